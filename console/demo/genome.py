"""The simulated genome before anybody varies: stretches of sequence, runs of N between them, short tandem repeats."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Bases = npt.NDArray[np.uint8]

LETTERS: Bases = np.frombuffer(b"ACGT", dtype=np.uint8)
SPLIT_N_BP = 50  # a run of N at least this long ends a calling interval; shorter ones stay inside
HUMAN_GC = 0.41
# a pair that starts in one stretch may end in the next, so gaps stay shorter than a fragment, as assembly gaps often do
N_RUN_BP = (100, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A half-open, 0-based piece of a contig."""

    contig: str
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A short tandem repeat of the reference: `copies` of `unit` from `start`, not extended by what flanks it."""

    contig: str
    start: int
    unit: str
    copies: int

    @property
    def end(self) -> int:
        return self.start + len(self.unit) * self.copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Contig:
    """`reference` has runs of N where an assembly would have gaps; `genome` has the bases that people carry there."""

    name: str
    reference: str
    genome: str

    @property
    def length(self) -> int:
        return len(self.reference)


def stretches(contig: str, reference: str, *, split_n_bp: int = SPLIT_N_BP) -> list[Span]:
    """What lies between runs of at least `split_n_bp` N, in order."""
    spans, start = [], 0
    for gap in re.finditer(f"N{{{split_n_bp},}}", reference):
        if gap.start() > start:
            spans.append(Span(contig=contig, start=start, end=gap.start()))
        start = gap.end()
    if start < len(reference):
        spans.append(Span(contig=contig, start=start, end=len(reference)))
    return spans


def calling_intervals(contig: str, reference: str, *, max_bp: int) -> list[Span]:
    """Stretches, each cut into the fewest pieces of near-equal length that are no longer than `max_bp`."""
    intervals = []
    for stretch in stretches(contig, reference):
        pieces = -(-stretch.length // max_bp)
        cuts = [stretch.start + stretch.length * i // pieces for i in range(pieces + 1)]
        intervals += [Span(contig=contig, start=a, end=b) for a, b in pairwise(cuts)]
    return intervals


def contig_lengths(contigs: int, total_bp: int) -> list[int]:
    """Lengths that fall from contig to contig (60 % and 40 % for two) and add up to `total_bp`."""
    weights = np.array([1 / (1 + i / 2) for i in range(contigs)])
    lengths = [int(share) for share in total_bp * weights / weights.sum()]
    lengths[0] += total_bp - sum(lengths)
    return lengths


def draw_bases(rng: np.random.Generator, length: int) -> Bases:
    """Random sequence whose GC content drifts around the human mean from one kilobase to the next."""
    knots = rng.normal(HUMAN_GC, 0.05, size=length // 1000 + 2)
    gc = np.interp(np.arange(length), np.arange(knots.size) * 1000, knots)
    is_gc = rng.random(length) < gc
    either = rng.integers(0, 2, size=length)
    # A C G T: the inner two are the strong pair
    return LETTERS[np.where(is_gc, 1 + either, 3 * either)]


def draw_gaps(rng: np.random.Generator, length: int, *, max_interval_bp: int) -> list[tuple[int, int]]:
    """Where the runs of N lie, as (start, end).

    A contig that has the room begins with a stretch of exactly two intervals' length, so that it holds an edge which
    is cut for length alone; the other stretches fit one interval each.
    """
    gaps = []
    at = 2 * max_interval_bp if length >= 3 * max_interval_bp else int(max_interval_bp * 0.9)
    shortest = max_interval_bp // 4
    while at + N_RUN_BP[1] + shortest < length:
        end = at + int(rng.integers(*N_RUN_BP))
        gaps.append((at, end))
        at = end + int(rng.integers(int(0.8 * max_interval_bp), max_interval_bp))
    return gaps


def mask_gaps(genome: Bases, gaps: Sequence[tuple[int, int]]) -> str:
    """The reference's text: the genome with N in the gaps."""
    reference = genome.copy()
    for start, end in gaps:
        reference[start:end] = ord("N")
    return reference.tobytes().decode()


def plant_repeats(
    rng: np.random.Generator, genome: Bases, closed: npt.NDArray[np.bool_], *, contig: str, count: int
) -> list[Repeat]:
    """Write up to `count` short tandem repeats into `genome` where `closed` is False; returns them in order.

    The bases on both sides are changed where they would extend the repeat, so that its left end is where every change
    of its length is left-aligned to.
    """
    repeats: list[Repeat] = []
    taken = closed.copy()
    for start in rng.integers(1, genome.size - 100, size=count * 20).tolist():
        if len(repeats) == count:
            break
        unit = _draw_unit(rng)
        copies = int(rng.integers(6, 11)) if len(unit) > 1 else int(rng.integers(8, 11))
        end = start + len(unit) * copies
        if taken[max(0, start - 60) : end + 60].any():
            continue
        genome[start:end] = np.frombuffer((unit * copies).encode(), dtype=np.uint8)
        _unlike(rng, genome, start - 1, unit[-1])
        _unlike(rng, genome, end, unit[0])
        taken[start:end] = True
        repeats.append(Repeat(contig=contig, start=start, unit=unit, copies=copies))
    return sorted(repeats, key=lambda repeat: repeat.start)


def _draw_unit(rng: np.random.Generator) -> str:
    length = int(rng.choice([1, 2, 3, 4], p=[0.1, 0.5, 0.2, 0.2]))
    while True:
        unit = bytes(LETTERS[rng.integers(0, 4, size=length)]).decode()
        # ACAC is a repeat of AC, and AAA one of A: their left ends would not be where `start` says
        if all(unit != unit[:period] * (length // period) for period in range(1, length) if length % period == 0):
            return unit


def _unlike(rng: np.random.Generator, genome: Bases, at: int, base: str) -> None:
    if genome[at] == ord(base):
        genome[at] = rng.choice([letter for letter in LETTERS.tolist() if letter != ord(base)])
