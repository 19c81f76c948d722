"""Paired reads of the simulated people, as a patterned flow cell's base caller would have called them.

Fragments are drawn evenly from both haplotypes, with normal lengths. Qualities are the four bins that current
instruments write, lower ones likelier towards a read's end; a base is wrong as often as its quality says, and the
lowest bin is a no-call. A few fragments are sequenced again as PCR duplicates, some of them as optical duplicates
next to the first.
"""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
import numpy.typing as npt

from console.demo.genome import Bases
from console.demo.population import Population
from console.demo.runplan import RunPlan, SamplePlan

NO_CALL_QUALITY = 2
# each bin's share of bases at a read's start and end; the rest is the best bin
QUALITY_SHARES = {NO_CALL_QUALITY: (0.0003, 0.001), 12: (0.008, 0.03), 23: (0.02, 0.09)}
BEST_QUALITY = 37
PHRED_OFFSET = 33
OPTICAL_PIXELS = 500  # well within the 2,500 that markers of duplicates take for patterned flow cells
COMPRESSION = 1  # the reads are read once or twice: a run is written quickest at the lowest level


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadProfile:
    """Lengths in bases; the shares of fragments that are sequenced twice, and of those that lie side by side."""

    insert_mean: float = 400.0
    insert_sd: float = 60.0
    duplicates: float = 0.03
    optical: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fragments:
    """One row each: first base within the person's concatenated haplotypes, length, and where its cluster lies."""

    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    reverse: npt.NDArray[np.bool_]
    lane: npt.NDArray[np.int64]
    tile: npt.NDArray[np.int64]
    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]


_CODE: Bases = np.full(256, 4, dtype=np.uint8)
_CODE[np.frombuffer(b"ACGT", dtype=np.uint8)] = np.arange(4, dtype=np.uint8)
_ERROR_RATE = np.power(10.0, -np.arange(BEST_QUALITY + 1) / 10).astype(np.float32)  # by quality
_LETTER: Bases = np.frombuffer(b"ACGTN", dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class PopulationReads:
    """A run's read source: the reads of a population's people, the same for the same seed, run and sample."""

    population: Population
    seed: int
    profile: ReadProfile = field(default_factory=ReadProfile)

    def __call__(self, *, run: RunPlan, sample: SamplePlan) -> Mapping[int, tuple[bytes, bytes]]:
        """Each lane's gzipped R1 and R2 of one sample, at the depth that its plan asks for."""
        rng = np.random.default_rng([self.seed, zlib.crc32(run.name.encode()), zlib.crc32(sample.sample.encode())])
        haplotypes = [
            _CODE[np.frombuffer(self.population.haplotype(sample.sample, contig.name, which).encode(), dtype=np.uint8)]
            for contig in self.population.contigs
            for which in (0, 1)
        ]
        bounds = np.cumsum([0, *(haplotype.size for haplotype in haplotypes)])
        fragments = self._draw(rng, bounds, depth=sample.depth / 2, read_bp=run.read_bp, lanes=sample.lanes)
        genome = np.concatenate(haplotypes)
        offsets = np.arange(run.read_bp)
        left = genome[fragments.start[:, None] + offsets]
        # the complement of code c is 3 - c
        right = 3 - genome[(fragments.start + fragments.length - 1)[:, None] - offsets]
        mates = (
            np.where(fragments.reverse[:, None], right, left),
            np.where(fragments.reverse[:, None], left, right),
        )
        called = [_call(rng, bases) for bases in mates]
        return {
            lane: (
                _fastq(run, sample, fragments, fragments.lane == lane, 1, *called[0]),
                _fastq(run, sample, fragments, fragments.lane == lane, 2, *called[1]),
            )
            for lane in sample.lanes
        }

    def _draw(
        self,
        rng: np.random.Generator,
        bounds: npt.NDArray[np.int64],
        *,
        depth: float,
        read_bp: int,
        lanes: tuple[int, ...],
    ) -> _Fragments:
        profile = self.profile
        sizes = np.diff(bounds)
        counts = np.round(sizes * depth / (2 * read_bp)).astype(int)
        haplotype = np.repeat(np.arange(sizes.size), counts)
        total = haplotype.size
        length = np.round(rng.normal(profile.insert_mean, profile.insert_sd, size=total)).astype(np.int64)
        length = np.clip(length, read_bp, sizes[haplotype])
        start = bounds[haplotype] + (rng.random(total) * (sizes[haplotype] - length + 1)).astype(np.int64)
        lane = rng.choice(np.array(lanes), size=total)
        # surface, swath and tile of a NovaSeq S4 flow cell; x and y are pixels within the tile
        tile = rng.integers(1, 3, total) * 1000 + rng.integers(1, 7, total) * 100 + rng.integers(1, 79, total)
        x, y = rng.integers(1000, 32_500, total), rng.integers(1000, 37_000, total)
        source = np.arange(total)
        again = rng.random(total) < profile.duplicates
        # duplicates take the place of other fragments, so that the depth stays what was asked for
        source[again] = rng.choice(np.flatnonzero(~again), size=int(again.sum()))
        beside = again & (rng.random(total) < profile.optical)
        near = source[beside]
        lane[beside], tile[beside] = lane[near], tile[near]
        x[beside] = x[near] + rng.integers(0, OPTICAL_PIXELS, near.size)
        y[beside] = y[near] + rng.integers(1, OPTICAL_PIXELS, near.size)
        order = np.lexsort((x, y, tile))
        # either strand may be read first, and a copy of a fragment keeps the strand of the original
        reverse = rng.random(total) < 0.5
        copied = source[order]
        return _Fragments(
            start=start[copied],
            length=length[copied],
            reverse=reverse[copied],
            lane=lane[order],
            tile=tile[order],
            x=x[order],
            y=y[order],
        )


def _call(rng: np.random.Generator, bases: Bases) -> tuple[Bases, Bases]:
    """What the base caller makes of true bases (codes, reads x cycles): letters and qualities as FASTQ characters."""
    reads, cycles = bases.shape
    draw = rng.random((reads, cycles), dtype=np.float32)
    progress = np.linspace(0, 1, cycles) ** 2
    quality = np.full((reads, cycles), BEST_QUALITY, dtype=np.uint8)
    below = np.zeros(cycles)
    for value, (first, last) in QUALITY_SHARES.items():
        above = below + first + (last - first) * progress
        quality[(draw >= below) & (draw < above)] = value
        below = above
    wrong = rng.random((reads, cycles), dtype=np.float32) < _ERROR_RATE[quality]
    called = bases.copy()
    called[wrong] = (called[wrong] + rng.integers(1, 4, int(wrong.sum()), dtype=np.uint8)) % 4
    called[quality == NO_CALL_QUALITY] = 4
    return _LETTER[called], quality + np.uint8(PHRED_OFFSET)


def _fastq(
    run: RunPlan,
    sample: SamplePlan,
    fragments: _Fragments,
    rows: npt.NDArray[np.bool_],
    mate: int,
    letters: Bases,
    qualities: Bases,
) -> bytes:
    """One gzipped FASTQ of the chosen rows, with the names that BCL Convert gives."""
    head, tail = f"@{run.instrument}:{run.number}:{run.flowcell}:", f" {mate}:N:0:{sample.index}+{sample.index2}"
    places = (getattr(fragments, field)[rows].tolist() for field in ("lane", "tile", "x", "y"))
    names = [f"{head}{lane}:{tile}:{x}:{y}{tail}" for lane, tile, x, y in zip(*places, strict=True)]
    width = letters.shape[1]
    bases, scores = letters[rows].tobytes().decode(), qualities[rows].tobytes().decode()
    starts = range(0, width * len(names), width)
    records = [
        f"{name}\n{bases[at : at + width]}\n{plus}\n{scores[at : at + width]}\n"
        for name, at, plus in zip(names, starts, repeat("+"), strict=False)
    ]
    # no time of writing in the header: the same reads are the same bytes
    return gzip.compress("".join(records).encode(), compresslevel=COMPRESSION, mtime=0)
