"""Sites at which people differ: one in each window of the reference, alleles and frequency drawn for the place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tests.support.seeded import drawn
from tests.support.seeded.reads import Stamp, contigs_of

WINDOW = 40
"""Bases. A site lies in the first 30 of its window, so that a deletion ends before the next site."""
DELETED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`position` is 1-based; `alts` one or two, against the same `ref`."""

    position: int
    ref: str
    alts: tuple[str, ...]
    frequency: float

    def genotype(self, seed: int) -> tuple[int, int]:
        """Allele indexes (0 is REF) of someone whose reads at the site add up to `seed`."""
        alleles = [self._allele(drawn.number("allele", self.position, seed, copy)) for copy in (1, 2)]
        return min(alleles), max(alleles)

    def _allele(self, number: int) -> int:
        if number % 1000 >= self.frequency * 1000:
            return 0
        return 1 + number // 1000 % len(self.alts)


@lru_cache(maxsize=8)
def sites_of(stamp: Stamp, contig: str) -> tuple[Site, ...]:
    bases = dict(contigs_of(stamp))[contig]
    found = (_site(contig, window, bases) for window in range(0, len(bases), WINDOW))
    return tuple(one for one in found if one is not None)


def _site(contig: str, window: int, bases: str) -> Site | None:
    number = drawn.number("site", contig, window)
    at = window + number % (WINDOW - 10)
    kind = number // 64 % 10
    ref = bases[at : at + (1 + DELETED if kind == 9 else 1)]
    if len(ref) != (1 + DELETED if kind == 9 else 1) or set(ref) - set("ACGT"):
        return None
    turn = 1 + number // 1024 % 3
    others = ["ACGT"[("ACGT".index(ref[0]) + turn + step) % 4] for step in (0, 1, 2)]
    others.remove(ref[0]) if ref[0] in others else others.pop()
    match kind:
        case 9:
            alts: tuple[str, ...] = (ref[0],)
        case 8:
            alts = (ref + "GT",)
        case 7:
            alts = (others[0], others[1])
        case _:
            alts = (others[0],)
    return Site(position=at + 1, ref=ref, alts=alts, frequency=0.1 + 0.5 * drawn.share("frequency", contig, at))
