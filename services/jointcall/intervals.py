"""How a freeze's calling intervals are cut: by predicted work for tasks, by length for the chunks inside a task.

Pure functions of positions; 1-based, inclusive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from chassis.settings import JointcallSettings
from contracts.values import Interval

BASES_PER_VARIANT = 25
"""A variant record costs about as much as this many bases of reference blocks: of the 107,000 records of a gVCF's Mb
3,200 are variants, and those go through the genotyping model in all samples while the rest are only read."""
_SCALE = 1_000_000  # integer weights: cuts must be the same on every machine


LEAST_INTERVAL_BP = 100_000
"""A human genome is no more than 31,000 tasks: see docs/scale.md for what that bounds."""
LEAST_CHUNK_BP = 5_000
"""Below this the margins that are traversed around a chunk outweigh it."""


FASTER = {"columnar": 5}
"""How many times the bases times samples that the settings name for GATK. The columnar engine genotypes 2 to 5 million
cells a second, and a site comes every 25 bases in a large cohort: a chunk of 1,000 million bases times samples is 40
million cells, which with the text that is compressed for them takes under a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The most bases of an interval and of a chunk, for a freeze of so many samples.

    Genotyping a base takes about as long as there are samples (GATK: 6 microseconds each, see docs/scale.md). A machine
    that may vanish should lose minutes, so both are bounded by bases times samples too, as far as `LEAST_...` allows.
    """

    interval_bp: int
    chunk_bp: int

    @classmethod
    def of(cls, settings: JointcallSettings, *, samples: int, engine: str = "gatk") -> Self:
        faster = FASTER.get(engine, 1)
        interval_bp = max(faster * settings.interval_sample_bp // samples, LEAST_INTERVAL_BP)
        chunk_bp = max(faster * settings.chunk_sample_bp // samples, LEAST_CHUNK_BP)
        return cls(interval_bp=min(settings.interval_bp, interval_bp), chunk_bp=min(settings.chunk_bp, chunk_bp))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedInterval:
    """`index` counts from 0 in genome order. `predicted_work` in bases' worth of work, comparable within one plan:
    the claim priority, so that the largest runs first and none is left for the end."""

    interval: Interval
    index: int
    predicted_work: int


def plan(
    *, reference_intervals: Sequence[Interval], max_bp: int, density: Mapping[Interval, int] | None = None
) -> tuple[PlannedInterval, ...]:
    """Cut calling intervals into task intervals of at most `max_bp` bases and about the same predicted work.

    `reference_intervals` are disjoint, contigs in the reference's order. `density` gives variants seen per interval
    (an earlier freeze's counts, or the gVCFs'); where it says nothing its mean is taken. A stretch that is denser
    than the mean is cut shorter in proportion. Raises ValueError when intervals overlap or `max_bp` is not
    positive."""
    if max_bp < 1:
        raise ValueError("max_bp is a positive number of bases")
    ordered = _in_genome_order(reference_intervals)
    known = dict(density or {})
    mean = _mean_weight(known)
    planned: list[PlannedInterval] = []
    for whole in ordered:
        stretches = list(_stretches(whole, known, mean))
        for piece in _cut(whole, stretches, mean=mean, max_bp=max_bp):
            work = sum(weight * _shared(piece, start, end) for start, end, weight in stretches)
            planned.append(PlannedInterval(interval=piece, index=len(planned), predicted_work=work // _SCALE))
    return tuple(planned)


def work_of(interval: Interval, *, variants: int) -> int:
    """As `PlannedInterval.predicted_work`, of an interval whose variants were counted."""
    return interval.length + BASES_PER_VARIANT * variants


def cover_alike(ones: Sequence[Interval], others: Sequence[Interval]) -> bool:
    """Both are disjoint, and cover the same bases."""
    return _merged(ones) == _merged(others)


def chunks(interval: Interval, chunk_bp: int) -> tuple[Interval, ...]:
    """Sub-intervals of nearly equal length, none above `chunk_bp`, that cover `interval` in order."""
    if chunk_bp < 1:
        raise ValueError("chunk_bp is a positive number of bases")
    count = -(-interval.length // chunk_bp)
    edges = [interval.start + interval.length * step // count for step in range(count + 1)]
    return tuple(_part(interval, start, end - 1) for start, end in pairwise(edges))


def _merged(intervals: Sequence[Interval]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for one in sorted(intervals, key=lambda one: (one.contig, one.start)):
        if found and found[-1][0] == one.contig and found[-1][2] + 1 == one.start:
            found[-1] = (one.contig, found[-1][1], one.end)
        else:
            found.append((one.contig, one.start, one.end))
    return found


def _in_genome_order(intervals: Sequence[Interval]) -> list[Interval]:
    rank = {name: place for place, name in enumerate(dict.fromkeys(one.contig for one in intervals))}
    ordered = sorted(intervals, key=lambda one: (rank[one.contig], one.start))
    for one, after in pairwise(ordered):
        if one.contig == after.contig and one.end >= after.start:
            raise ValueError(f"calling intervals {one} and {after} overlap")
    return ordered


def _mean_weight(known: Mapping[Interval, int]) -> int:
    """Work per base where nothing is known."""
    bases = sum(one.length for one in known)
    return _SCALE + (_SCALE * BASES_PER_VARIANT * sum(known.values()) // bases if bases else 0)


def _stretches(whole: Interval, known: Mapping[Interval, int], mean: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, work per base) over `whole`, without gaps."""
    at = whole.start
    for one in sorted((one for one in known if one.contig == whole.contig), key=lambda one: one.start):
        start, end = max(one.start, at), min(one.end, whole.end)
        if start > end:
            continue
        if at < start:
            yield at, start - 1, mean
        yield start, end, _SCALE + _SCALE * BASES_PER_VARIANT * known[one] // one.length
        at = end + 1
    if at <= whole.end:
        yield at, whole.end, mean


def _cut(whole: Interval, stretches: Sequence[tuple[int, int, int]], *, mean: int, max_bp: int) -> Iterator[Interval]:
    """Equal parts of a measure in which no base counts less than the mean: a part that holds no more of it than
    `max_bp` average bases is neither too long nor too much work."""
    measure = [(start, end, max(weight, mean)) for start, end, weight in stretches]
    total = sum((end - start + 1) * weight for start, end, weight in measure)
    count = -(-total // (mean * max_bp))
    begin = whole.start
    for part in range(1, count + 1):
        # an edge in front of the first base that lies wholly behind the quantile; integers, so that no edge drifts
        last = _place(measure, part * total, count) if part < count else whole.end
        if last >= begin:
            yield _part(whole, begin, last)
            begin = last + 1


def _place(measure: Sequence[tuple[int, int, int]], quantile: int, count: int) -> int:
    before = 0
    for start, end, weight in measure:
        held = (end - start + 1) * weight
        if (before + held) * count >= quantile:
            return start - 1 + (quantile - before * count) // (weight * count)
        before += held
    return measure[-1][1]


def _shared(piece: Interval, start: int, end: int) -> int:
    return max(0, min(piece.end, end) - max(piece.start, start) + 1)


def _part(whole: Interval, start: int, end: int) -> Interval:
    return Interval(contig=whole.contig, start=start, end=end, contig_length=whole.contig_length)
