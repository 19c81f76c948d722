"""Processor seconds over time: of this process and all its descendants, and of the whole machine.

On a shared machine a wall time means little without what others took of the processors meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Of one window. `others` in processors, on average; `busy` is the share of all processors that worked."""

    cpu_s: float
    others: float
    busy: float


class Meter:
    """Looks twice a second while its context is open. Times are those of time.time()."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float, float]] = []
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    def __enter__(self) -> Meter:
        self._seen.append(self._look())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._thread.join()

    def used(self, begin: float, end: float) -> Used:
        """Between two times, interpolated between the looks around them."""
        own = [self._at(moment, 1) for moment in (begin, end)]
        machine = [self._at(moment, 2) for moment in (begin, end)]
        wall = max(end - begin, 1e-9)
        cpu, busy = own[1] - own[0], machine[1] - machine[0]
        return Used(cpu_s=cpu, others=max(0.0, busy - cpu) / wall, busy=busy / wall / (os.cpu_count() or 1))

    def _at(self, moment: float, column: int) -> float:
        after = bisect_left(self._seen, (moment,))
        if after == 0:
            return self._seen[0][column]
        if after == len(self._seen):
            return self._seen[-1][column]
        one, other = self._seen[after - 1], self._seen[after]
        share = (moment - one[0]) / (other[0] - one[0])
        return one[column] + share * (other[column] - one[column])

    def _watch(self) -> None:
        while not self._leave.wait(LOOK_S):
            self._seen.append(self._look())
        self._seen.append(self._look())

    @staticmethod
    def _look() -> tuple[float, float, float]:
        return time.time(), _own_cpu_s(), _machine_cpu_s()


def _machine_cpu_s() -> float:
    """User, nice, system, irq, softirq and steal: all that was not idle or waiting for a disk."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) * TICK_S


def _own_cpu_s() -> float:
    """Living descendants, and those that they (or we) have waited for."""
    stats: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        stats[int(path.parent.name)] = int(fields[1]), sum(int(field) for field in fields[11:15])
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    total, open_ = 0, [os.getpid()]
    while open_:
        pid = open_.pop()
        total += stats[pid][1] if pid in stats else 0
        open_ += children.get(pid, [])
    return total * TICK_S
