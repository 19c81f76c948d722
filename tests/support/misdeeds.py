"""What a task may do to its host, for tests that want it done: eat memory or disk, burn the processor, kill."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from opentelemetry import trace

from chassis.telemetry.setup import tracer

BURNER = "import time; end = time.monotonic() + {}\nwhile time.monotonic() < end: pass"
MB = 1 << 20


def eat_memory(wanted_mb: int, *, within_mb: int) -> None:
    """Ask for so much under a limit; raises MemoryError beyond it. Zeros that nobody touches cost nothing."""
    resource.setrlimit(resource.RLIMIT_AS, (within_mb * MB, resource.RLIM_INFINITY))
    bytes(wanted_mb * MB)


def eat_disk(folder: Path, megabytes: int) -> None:
    """Write so much below this folder, or to what stands in for a disk beside the attempts' folders."""
    stand_in = folder.parents[2] / "disk"
    with (stand_in if stand_in.exists() else folder / "large").open("wb") as out:
        for _ in range(megabytes):
            out.write(bytes(MB))


def burn(processes: int, seconds: float) -> None:
    for _ in range(processes):
        subprocess.Popen([sys.executable, "-I", "-S", "-c", BURNER.format(seconds)])


def make_spans(count: int) -> int:
    """Make so many spans at once; how many wait for a backend then, at most in one of the queues."""
    for _ in range(count):
        tracer().start_span("tiny span").end()
    provider: Any = trace.get_tracer_provider()
    processors = provider._active_span_processor._span_processors
    return max(len(processor._batch_processor._queue) for processor in processors)


def be_killed() -> None:
    """As the kernel does when memory is short: without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_worker() -> None:
    """Take the worker's process along, as a task does that brings its host down."""
    worker = _parent_of(os.getppid())
    said = Path(f"/proc/{worker}/cmdline").read_bytes()
    assert b"tests.support.run" in said, "only a worker that is a process of its own is killed"
    os.kill(worker, signal.SIGKILL)
    signal.pause()


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
