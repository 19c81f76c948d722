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
    which base a record reaches in that only the interval's start leaves open (cohorts.shadow)."""

    theirs: Record | None
    ours: Record | None
    items: tuple[Mismatch, ...]
    shadow: int = 0

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
class CountedTwice:
    """More chromosomes than the samples have."""

    name: str = "samples counted twice"
    reason: str = (
        "with all sites GATK now and then writes a `*` alone, inside of a deletion of a sample that has a block there, "
        "and counts its samples twice: AN is above two for each (seen: AN=46 of 12 people)"
    )
    cap: int = 50

    def explains(self, item: Mismatch, context: Context) -> bool:
        theirs = context.theirs
        if theirs is None or theirs.alt != "*":
            return False
        return int(theirs.info.get("AN", "0")) > 2 * len(theirs.cells)


def _by_one(theirs: str, ours: str) -> bool:
    one, other = theirs.split(","), ours.split(",")
    try:
        return len(one) == len(other) and all(abs(int(a) - int(b)) <= 1 for a, b in zip(one, other, strict=True))
    except ValueError:
        return False


PREDICATES: tuple[Predicate, ...] = (MleacTie(), EdgeOverlap(), CountedTwice())
