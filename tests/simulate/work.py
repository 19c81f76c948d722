"""Intervals and their runtimes, and how a strategy cuts them into tasks and chunks.

Published (docs/scale.md, "A: a published cohort"): 11,238 genomes, 3,169 intervals, a mean of 1,154.7 minutes per
interval for GenotypeGVCFs. 3,169 intervals over a genome of 3.1 Gb are 1 Mb each, our `jointcall.interval_bp`. Only the
mean is published. The rest is assumed, and drawn from the seed:

- an interval's minutes: log-normal, sigma 0.7 (the largest of 3,169 is about nine times the mean), scaled so that the
  mean of those drawn is the published one;
- inside an interval: 50 bins of 20 kb whose shares are log-normal, sigma 0.5;
- a predicted work: the true minutes times a log-normal error, sigma 0.3. It is told to the planner as a density of
  variants, the way an earlier freeze would.

Every strategy gets the same landscape: a chunk or a piece takes the minutes of the bins it covers. Cutting is the
service's own code: `intervals.plan` for pieces of about equal predicted work, `intervals.chunks` for chunks.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.values import Interval
from services.jointcall.intervals import BASES_PER_VARIANT, chunks, plan

PUBLISHED_SAMPLES = 11_238
PUBLISHED_INTERVALS = 3_169
PUBLISHED_MEAN_MINUTES = 1_154.7
INTERVAL_BP = 1_000_000
BINS = 50
SIGMA_INTERVALS = 0.7
SIGMA_BINS = 0.5
SIGMA_PREDICTION = 0.3
WEIGHT_OF_MEAN = 20
"""Work per base that the planner is told of an interval of mean work. It counts at least 1 per base: what is predicted
at less than a twentieth of the mean is taken for a twentieth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """An interval and where its minutes lie: `upto[i]` are those of the first i bins."""

    interval: Interval
    upto: tuple[float, ...]
    predicted: float

    def minutes(self, part: Interval) -> float:
        return self._before(part.end) - self._before(part.start - 1)

    def _before(self, bases: int) -> float:
        place = bases * BINS / INTERVAL_BP
        whole = min(int(place), BINS - 1)
        return self.upto[whole] + (self.upto[whole + 1] - self.upto[whole]) * (place - whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """None for `chunk_bp`: an attempt starts its task anew. None for `split_bp`: an interval is a task, in genome
    order; else the pieces hold what `split_bp` average bases hold, and the largest predicted runs first."""

    name: str
    chunk_bp: int | None = None
    split_bp: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A task's work: its chunks' names and minutes, in order; one chunk without a name where nothing is recorded."""

    key: str
    subject: str
    priority: float
    chunks: tuple[tuple[str, float], ...]
    checkpoints: bool

    @property
    def minutes(self) -> float:
        return math.fsum(minutes for _, minutes in self.chunks)


def draw(*, intervals: int, seed: int, mean_minutes: float = PUBLISHED_MEAN_MINUTES) -> tuple[Landscape, ...]:
    """`intervals` landscapes whose mean is `mean_minutes` exactly."""
    drawn = random.Random(f"{seed}:work")
    sizes = [drawn.lognormvariate(0.0, SIGMA_INTERVALS) for _ in range(intervals)]
    scale = mean_minutes * intervals / math.fsum(sizes)
    made = []
    for index, size in enumerate(sizes):
        shares = [drawn.lognormvariate(0.0, SIGMA_BINS) for _ in range(BINS)]
        minutes = size * scale / math.fsum(shares)
        upto = [0.0]
        for share in shares:
            upto.append(upto[-1] + share * minutes)
        whole = Interval(contig=f"part{index + 1}", start=1, end=INTERVAL_BP, contig_length=INTERVAL_BP)
        error = drawn.lognormvariate(0.0, SIGMA_PREDICTION)
        made.append(Landscape(interval=whole, upto=tuple(upto), predicted=upto[-1] * error))
    return tuple(made)


def jobs(landscapes: Sequence[Landscape], strategy: Strategy) -> tuple[Job, ...]:
    """The tasks of a freeze under `strategy`. No two priorities are equal, so that claims come in one order only."""
    made: list[Job] = []
    for landscape, piece, priority in _pieces(landscapes, strategy):
        if strategy.chunk_bp is None:
            parts: tuple[tuple[str, float], ...] = (("", landscape.minutes(piece)),)
        else:
            parts = tuple((part.slug, landscape.minutes(part)) for part in chunks(piece, strategy.chunk_bp))
        made.append(
            Job(
                key=f"interval:{piece}",
                subject="freeze",
                priority=priority - len(made) * 1e-6,
                chunks=parts,
                checkpoints=strategy.chunk_bp is not None,
            )
        )
    return tuple(made)


def _pieces(landscapes: Sequence[Landscape], strategy: Strategy) -> list[tuple[Landscape, Interval, float]]:
    if strategy.split_bp is None:
        return [(one, one.interval, 0.0) for one in landscapes]
    by_contig = {one.interval.contig: one for one in landscapes}
    planned = plan(
        reference_intervals=[one.interval for one in landscapes],
        max_bp=strategy.split_bp,
        density=_density(landscapes),
    )
    return [(by_contig[one.interval.contig], one.interval, float(one.predicted_work)) for one in planned]


def _density(landscapes: Sequence[Landscape]) -> dict[Interval, int]:
    """Variants that make the planner see each interval's predicted work."""
    mean = math.fsum(one.predicted for one in landscapes) / len(landscapes)
    return {
        one.interval: max(0, round((WEIGHT_OF_MEAN * one.predicted / mean - 1) * INTERVAL_BP / BASES_PER_VARIANT))
        for one in landscapes
    }
