"""Differences that are understood: each has a name, a reason, and a cap above which it counts as a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.oracle.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """`sample` is empty where the site differs; a side without the record or field is `-`."""

    site: str
    sample: str
    field: str
    theirs: str
    ours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Both records of the mismatch's site, None where one side has none, and all that differs there. `shadow`: up to
    which base a record reaches in that only the interval's start leaves open (cohorts.shadow). `spanned`: with all
    sites, the bases behind the first one of some sample's record with an ALT (cohorts.spanned)."""

    theirs: Record | None
    ours: Record | None
    items: tuple[Mismatch, ...]
    shadow: int = 0
    spanned: frozenset[int] = frozenset()

    @property
    def position(self) -> int:
        record = self.theirs or self.ours
        return record.position if record is not None else 0


class Predicate(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def cap(self) -> int:
        """The most sites of which it may explain a mismatch, for each 10,000 sites compared."""
        ...

    def explains(self, item: Mismatch, context: Context) -> bool: ...


@dataclass(frozen=True, slots=True)
class MleacTie:
    """A count of exactly one half."""

    name: str = "MLEAC tie"
    reason: str = (
        "a genotype whose likelihood says nothing of an allele splits it evenly, so that expected counts of exactly "
        "one half are common and the last bit of a logarithm rounds them up or down"
    )
    cap: int = 50

    def explains(self, item: Mismatch, context: Context) -> bool:
        if item.field == "MLEAC":
            return _by_one(item.theirs, item.ours)
        if item.field == "MLEAF" and context.theirs is not None and context.ours is not None:
            # MLEAF is MLEAC over one number of chromosomes: it follows, and is judged with it
            return any(one.field == "MLEAC" and _by_one(one.theirs, one.ours) for one in context.items)
        return False


@dataclass(frozen=True, slots=True)
class EdgeOverlap:
    """A record in front of the interval."""

    name: str = "edge overlap"
    reason: str = (
        "GATK imports what overlaps the interval alone: a sample's record that lies wholly in front of it does not end "
        "the longer one around it, which covers the interval's first sites then; ours are those of the whole contig"
    )
    cap: int = 50

    def explains(self, item: Mismatch, context: Context) -> bool:
        return 0 < context.position <= context.shadow


@dataclass(frozen=True, slots=True)
class UnderDeletion:
    """With all sites: a base that a record with an ALT reaches over, where no ALT of its own is called."""

    name: str = "all sites, under a deletion"
    reason: str = (
        "where no record starts at a base GATK shows what it merged at each site upstream that reaches over it, all "
        "samples once for each of these (AN above two for each), with QUAL of rounding errors; ours is what covers the "
        "base in each sample, once"
    )
    cap: int = 4_000

    def explains(self, item: Mismatch, context: Context) -> bool:
        plain = (None, ".", "*")
        theirs = context.theirs.alt if context.theirs else None
        ours = context.ours.alt if context.ours else None
        return context.position in context.spanned and theirs in plain and ours in plain


@dataclass(frozen=True, slots=True)
class NearCertainty:
    """With all sites: QUAL of a site without an ALT, from 100 on."""

    name: str = "near certainty"
    reason: str = (
        "QUAL of a reference site is the logarithm of 1 less a probability that differs from 1 by 10^-10 or less: of "
        "such a difference a double keeps few digits, and none in the end (Infinity)"
    )
    cap: int = 50

    def explains(self, item: Mismatch, context: Context) -> bool:
        if item.field != "QUAL" or context.theirs is None or context.ours is None:
            return False
        if context.theirs.alt != "." or context.ours.alt != ".":
            return False
        return "." not in (item.theirs, item.ours) and min(float(item.theirs), float(item.ours)) >= 100.0


def _by_one(theirs: str, ours: str) -> bool:
    one, other = theirs.split(","), ours.split(",")
    try:
        return len(one) == len(other) and all(abs(int(a) - int(b)) <= 1 for a, b in zip(one, other, strict=True))
    except ValueError:
        return False


PREDICATES: tuple[Predicate, ...] = (MleacTie(), EdgeOverlap(), UnderDeletion(), NearCertainty())
