"""Calling intervals: what is left of the sequences without long runs of N, in pieces of a bounded length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from chassis.reference.fasta import Sequence
from chassis.reference.regions import Stretch
from contracts.values import Interval

N_RUN_BP = 50
"""A gap this long or longer separates intervals: no read pair of 2 x 150 bp calls across it, and a shorter one may lie
within an active region."""


def calling_intervals(
    sequences: Iterable[Sequence],
    *,
    max_interval_bp: int,
    n_run_bp: int = N_RUN_BP,
    within: Mapping[str, tuple[Stretch, ...]] | None = None,
) -> tuple[Interval, ...]:
    """In the order of the sequences. A stretch that is too long is cut into pieces of nearly equal length, as a short
    last piece would cost a whole task. `within`: by contig, what calling is limited to (see `read_regions`)."""
    if max_interval_bp < 1 or n_run_bp < 1:
        raise ValueError("lengths are at least 1")
    return tuple(
        Interval(contig=sequence.name, start=start + 1, end=end, contig_length=sequence.length)
        for sequence in sequences
        for stretch in _limited(_stretches(sequence, n_run_bp), sequence.name, within)
        for start, end in _pieces(*stretch, max_interval_bp)
    )


def _stretches(sequence: Sequence, n_run_bp: int) -> Iterator[tuple[int, int]]:
    """0-based, half-open."""
    start = 0
    for run_start, run_end in sequence.n_runs:
        if run_end - run_start < n_run_bp:
            continue
        if run_start > start:
            yield start, run_start
        start = run_end
    if sequence.length > start:
        yield start, sequence.length


def _limited(
    stretches: Iterable[Stretch], contig: str, within: Mapping[str, tuple[Stretch, ...]] | None
) -> Iterator[Stretch]:
    """What of the stretches lies in the contig's regions, in order."""
    for start, end in stretches:
        if within is None:
            yield start, end
            continue
        for first, last in within.get(contig, ()):
            if max(start, first) < min(end, last):
                yield max(start, first), min(end, last)


def _pieces(start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    length = end - start
    count = -(-length // longest)
    for piece in range(count):
        yield start + piece * length // count, start + (piece + 1) * length // count
