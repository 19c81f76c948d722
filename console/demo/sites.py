"""What a site is, and where on a contig one may still go."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from console.demo.alleles import normalise
from console.demo.genes import Gene
from console.demo.genome import Repeat, Span

Carriers = npt.NDArray[np.bool_]

POPULATION_SIZE = 10_000  # effective diploid size of people
TRANSITION_SHARE = 0.68  # gives the Ti/Tv near 2.1 of human genomes
SNP_GAP_BP = 4
# two changes nearer than this can be told in several ways, and then no comparison by normal alleles is fair
INDEL_GAP_BP = 25
LONGEST_INDEL_BP = 20
# reads thin out towards a contig's ends and clip at the gaps: truth there would measure the margin, not the caller
CONTIG_MARGIN_BP = 500
GAP_MARGIN_BP = 200
_TRANSITION = dict(zip("ACGT", "GTAC", strict=True))


class Origin(StrEnum):
    """Why a site is in the simulation."""

    SNP = "snp"
    INDEL = "indel"
    REPEAT = "repeat"
    NESTED_DELETION = "nested_deletion"
    NESTED_SNP = "nested_snp"
    EDGE_DELETION = "edge_deletion"
    CODING_SNP = "coding_snp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place where people differ: 0-based position, normal alleles, and each haplotype's allele index.

    Haplotypes 2i and 2i+1 are person i's. An ALT `*` stands for a haplotype whose base an upstream deletion took.
    """

    contig: str
    position: int
    ref: str
    alts: tuple[str, ...]
    haplotypes: tuple[int, ...]
    origin: Origin

    @property
    def end(self) -> int:
        return self.position + len(self.ref)


class Ground:
    """Where changes may still go on one contig: never in the closed places, and not too near to one another."""

    def __init__(self, *, length: int, gaps: Sequence[tuple[int, int]]) -> None:
        self._taken = np.zeros(length, dtype=bool)
        self._near = np.zeros(length, dtype=bool)
        margins = [(0, CONTIG_MARGIN_BP), (length - CONTIG_MARGIN_BP, length)]
        margins += [(max(0, start - GAP_MARGIN_BP), end + GAP_MARGIN_BP) for start, end in gaps]
        for start, end in margins:
            self._taken[start:end] = self._near[start:end] = True

    def claim(self, start: int, end: int, *, gap: int) -> bool:
        """Take [start, end) if nothing within `gap` bases, or within its own gap, has it; says whether it did."""
        low, high = max(0, start - gap), end + gap
        if self._near[start:end].any() or self._taken[low:high].any():
            return False
        self._taken[start:end] = True
        self._near[low:high] = True
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromosome:
    """One contig on its way to variants: its bases, its features, and the genealogy of the people's haplotypes.

    `ancestry` is a tskit tree sequence. The first `founders` people are there from the first run on, so that every
    planted feature is carried by at least one of them.
    """

    contig: str
    genome: str
    gaps: Sequence[tuple[int, int]]
    repeats: Sequence[Repeat]
    genes: Sequence[Gene]
    intervals: Sequence[Span]
    ancestry: Any
    founders: int


def site_of(chromosome: Chromosome, position: int, ref: str, alt: str, carriers: Carriers, origin: Origin) -> Site:
    """A site with one alternate allele, in its normal form."""
    position, ref, alt = normalise(chromosome.genome, position, ref, alt)
    return Site(
        contig=chromosome.contig,
        position=position,
        ref=ref,
        alts=(alt,),
        haplotypes=tuple(carriers.astype(int).tolist()),
        origin=origin,
    )


def snp(rng: np.random.Generator, chromosome: Chromosome, position: int, carriers: Carriers, origin: Origin) -> Site:
    """A SNP to a random base; transitions are commoner, as in people."""
    ref = chromosome.genome[position]
    alt = _TRANSITION[ref]
    if rng.random() > TRANSITION_SHARE:
        alt = str(rng.choice([base for base in "ACGT" if base not in (ref, alt)]))
    return site_of(chromosome, position, ref, alt, carriers, origin)


def msprime_seed(rng: np.random.Generator) -> int:
    """msprime wants a positive seed of 32 bits."""
    return int(rng.integers(1, 2**31))
