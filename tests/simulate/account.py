"""What the machines' hours went into.

Of the machine time of all attempts (busy), *needed* is what every finished task costs once: its minutes, one set-up
and the recording of its chunks. The rest is *wasted*: work done again, set-ups done again, and all that went into tasks
that never ended well (their recorded chunks are the *stranded* part, which a revived task would take up). Apart from it
stands what no machine spent: hours that a task waited between its machine's end and the sweep that took its lease back.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.simulate.fleet import HOUR
from tests.simulate.work import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Minutes that an attempt takes before its first chunk, and seconds that recording a chunk takes. Both assumed."""

    setup_minutes: float = 3.0
    """Start of the tool, reference, unpacking of the interval's import."""
    chunk_seconds: float = 10.0
    """Upload of a chunk's VCF and its row in the checkpoint."""

    def of_chunk(self, minutes: float, *, recorded: bool) -> float:
        """Seconds."""
        return minutes * 60 + (self.chunk_seconds if recorded else 0.0)

    def of_job(self, job: Job) -> float:
        """Seconds of an undisturbed attempt."""
        return self.setup_minutes * 60 + math.fsum(
            self.of_chunk(minutes, recorded=job.checkpoints) for _, minutes in job.chunks
        )


@dataclass(slots=True, kw_only=True)
class Tally:
    """Seconds, summed while the fleet plays."""

    busy: float = 0.0
    waiting: float = 0.0
    endings: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    kept: dict[str, float] = field(default_factory=dict)
    """By task: what is recorded for good."""
    done: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One strategy on one fleet. Hours are machine hours but for the two makespans."""

    strategy: str
    mtbf_hours: float
    workers: int
    tasks: int
    done: int
    dead: int
    unfinished: int
    attempts: int
    losses: int
    preemptions: int
    work_hours: float
    overhead_hours: float
    wasted_hours: float
    stranded_hours: float
    busy_hours: float
    wasted_percent: float
    waiting_hours: float
    makespan_hours: float
    """Until the last task ended, well or not."""
    share_hours: float
    """All needed hours over all workers: with the next one, what no fleet of this size can beat."""
    longest_hours: float
    """The longest task, undisturbed."""
    chunk_minutes: float | None
    """Mean, without the recording."""
    calls: Mapping[str, int]

    @property
    def complete(self) -> bool:
        return self.done == self.tasks

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"complete": self.complete}


def figures(
    tally: Tally, jobs: Sequence[Job], *, costs: Costs, strategy: str, mtbf_hours: float, workers: int, ended: float
) -> Figures:
    ended_well = [job for job in jobs if job.key in tally.done]
    work = math.fsum(job.minutes * 60 for job in ended_well)
    needed = math.fsum(costs.of_job(job) for job in ended_well)
    stranded = math.fsum(kept for key, kept in tally.kept.items() if key not in tally.done)
    wasted = tally.busy - needed
    durations = [costs.of_job(job) for job in jobs]
    chunks = [minutes for job in jobs if job.checkpoints for _, minutes in job.chunks]
    return Figures(
        strategy=strategy,
        mtbf_hours=mtbf_hours,
        workers=workers,
        tasks=len(jobs),
        done=len(tally.done),
        dead=len(tally.dead),
        unfinished=len(jobs) - len(tally.done) - len(tally.dead),
        attempts=tally.endings.total(),
        losses=tally.endings["loss"],
        preemptions=tally.endings["preemption"],
        work_hours=work / HOUR,
        overhead_hours=(needed - work) / HOUR,
        wasted_hours=wasted / HOUR,
        stranded_hours=stranded / HOUR,
        busy_hours=tally.busy / HOUR,
        wasted_percent=100 * wasted / tally.busy if tally.busy else 0.0,
        waiting_hours=tally.waiting / HOUR,
        makespan_hours=ended / HOUR,
        share_hours=math.fsum(durations) / workers / HOUR,
        longest_hours=max(durations) / HOUR,
        chunk_minutes=math.fsum(chunks) / len(chunks) if chunks else None,
        calls=dict(sorted(tally.calls.items())),
    )
