"""Every run of a tool is measured here and told as one span: its name and never its arguments, how it ended, processor
seconds, peak memory.

Names of the attributes are OpenTelemetry's (`process.*`) where it has them. A tool in this process (pybwa, htslib, GATK
in a warm JVM) is measured by this process's own counters: a child of a worker runs one task at a time.
"""

from __future__ import annotations

import os
import resource
import select
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opentelemetry.trace import Span, Status, StatusCode

from chassis.errors import Rejected, ToolFailed
from chassis.telemetry.setup import tracer

LOOK_SECONDS = 0.2
"""How often a running child is asked for its peak memory. What `wait4` tells of it counts from before the exec, when it
still was a copy of this process: of a child that is smaller than this process it would tell this process's size."""
RESET_PEAK = "5"
"""Written to clear_refs, sets VmHWM back to what is resident now (proc(5), Linux 4.0)."""
_USER_ERROR = 2

_lock = threading.Lock()
_running: list[Usage] = []


class Usage:
    """What one run of a tool has used so far: `cpu_seconds` of all its threads, user and system; `peak_bytes`
    resident."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.peak_bytes = 0
        self.exit_code: int | None = None

    @contextmanager
    def in_process(self) -> Iterator[None]:
        """While the tool computes in this process; may be entered again, as a tool that streams does."""
        with _lock:
            _note_peak()
            _running.append(self)
        began = _own_cpu_seconds()
        try:
            yield
        finally:
            self.cpu_seconds += _own_cpu_seconds() - began
            with _lock:
                _note_peak()
                _running.remove(self)

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a child and take its usage; returns its status as Popen has it (-9 is SIGKILL)."""
        before = _status_bytes(os.getpid(), "VmHWM")
        seen = 0
        for _ in _until_ended(process.pid):
            seen = max(seen, _status_bytes(process.pid, "VmHWM"))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds += used.ru_utime + used.ru_stime
        told = used.ru_maxrss * 1024
        self.peak_bytes = max(self.peak_bytes, told if told > before or not seen else seen)
        self.exit_code = process.returncode
        return process.returncode


@contextmanager
def tool(command: str, *, executable: str) -> Iterator[Usage]:
    """The span of one run: `tool <command>`. It is nobody's parent and not the current span, so that a generator may
    hold it open over its yields. What the run raises passes through and makes it a failed one."""
    span = tracer().start_span(
        f"tool {command}", attributes={"process.executable.name": executable, "process.command": command}
    )
    usage = Usage()
    try:
        yield usage
    except GeneratorExit:  # whoever read its output has had enough
        raise
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", type(error).__name__)
        if usage.exit_code is None:
            usage.exit_code = _status_of(error)
        raise
    else:
        if usage.exit_code is None:
            usage.exit_code = 0
    finally:
        _tell(span, usage)
        span.end()


def run(argv: list[str], *, usage: Usage, log: Path) -> int:
    """Run a child to its end with its output appended to `log`; its status. Raises OSError when it cannot start."""
    with (
        log.open("ab") as stream,
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream) as process,
    ):
        return usage.wait(process)


def _tell(span: Span, usage: Usage) -> None:
    if usage.exit_code is not None:
        span.set_attribute("process.exit.code", usage.exit_code)
        if usage.exit_code != 0:
            span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("cohortstream.cpu_seconds", round(usage.cpu_seconds, 3))
    span.set_attribute("cohortstream.peak_memory_bytes", usage.peak_bytes)


def _status_of(error: BaseException) -> int:
    """What a process of its own would have ended with: GATK's convention, of all tools, tells bad input apart."""
    if isinstance(error, ToolFailed) and isinstance(error.status, int):
        return error.status
    return _USER_ERROR if isinstance(error, Rejected) else 1


def _own_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _note_peak() -> None:
    """The peak since the last time belongs to whatever ran since then."""
    peak = _status_bytes(os.getpid(), "VmHWM")
    for usage in _running:
        usage.peak_bytes = max(usage.peak_bytes, peak)
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return  # then the peak is this process's since its start: an upper bound


def _status_bytes(pid: int, name: str) -> int:
    """A size out of /proc/<pid>/status; 0 where there is none (another system, a process that ended)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _until_ended(pid: int) -> Iterator[None]:
    """Yields now and then while the child runs; what remains is to reap it."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):  # an old kernel, another system: without the looks
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll(LOOK_SECONDS * 1000):
            yield
    finally:
        os.close(descriptor)
