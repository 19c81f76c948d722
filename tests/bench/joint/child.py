"""A command in a process of its own, on one core: seconds, processor seconds, peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis.tools.measured import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """`cpu_s` of all threads, user and system; `peak_bytes` resident."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    said: str = ""

    def less(self, start: Ran) -> Ran:
        """Without what starting takes."""
        return Ran(
            wall_s=max(0.0, self.wall_s - start.wall_s),
            cpu_s=max(0.0, self.cpu_s - start.cpu_s),
            peak_bytes=self.peak_bytes,
            said=self.said,
        )


@contextmanager
def one_core() -> Iterator[int | None]:
    """Children started meanwhile stay on the machine's last core, where the system can do that (None: it cannot)."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def run(argv: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> Ran:
    """Raises SystemExit with the end of the log when the command fails."""
    usage = Usage()
    with log.open("wb") as told, one_core():
        begun = time.perf_counter()
        process = subprocess.Popen(
            [os.fspath(one) for one in argv],
            stdout=subprocess.PIPE,
            stderr=told,
            env={**os.environ, **(environment or {})},
        )
        assert process.stdout is not None
        said = process.stdout.read()
        status = usage.wait(process)
        wall = time.perf_counter() - begun
    if status:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise SystemExit(f"{Path(argv[0]).name} {' '.join(map(str, argv[-8:]))} ended with {status}:\n{end}")
    return Ran(wall_s=wall, cpu_s=usage.cpu_seconds, peak_bytes=usage.peak_bytes, said=said.decode(errors="replace"))
