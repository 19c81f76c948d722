"""Where a tool inside this process writes: native code knows file descriptors 1 and 2, not Python's streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chassis.errors import Rejected, ToolFailed

TOLD_BYTES = 20_000  # GATK's banners, its stack trace and what led to it


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Append to `log` what this process writes to stdout and stderr meanwhile; a process runs one task at a time."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, stream):
            os.close(descriptor)


@contextmanager
def told_on_failure(log: Path) -> Iterator[None]:
    """When what runs within fails, repeat the end of its log on stderr: scratch goes with the attempt, while the
    attempt's own log, which stays, is this process's stderr."""
    try:
        yield
    except (Rejected, ToolFailed):
        if log.exists():
            with log.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - TOLD_BYTES))
                sys.stderr.write(stream.read().decode(errors="replace"))
        raise
