"""Sites that nobody gets for the record of one sample: it is called with an ALT and has no likelihoods.

GATK 4.6.2.0 passes over such a site without a word, and so do these calls, to be the same; but other samples may carry
its ALTs with all that is needed. It is told here, by site, with the samples to be called again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from services.jointcall.columnar.genotype.explicit import ALTS, GQ, ONE, START, TWO
from services.jointcall.columnar.genotype.sites import LEFT_OUT
from services.jointcall.columnar.genotype.stretch import Stretch

MOST_NAMED = 10
"""Sites that a tally names, whatever the region's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutSite:
    """`samples`: whose record is the cause, in cohort order. It starts at the site, or is a deletion from upstream."""

    contig: str
    position: int
    samples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """How many sites, and the first of them."""

    sites: int = 0
    first: tuple[LeftOutSite, ...] = ()


def left_out(stretch: Stretch, *, contig: str, samples: Sequence[str]) -> Iterator[LeftOutSite]:
    """By position; `samples` are the cohort's names in order."""
    for site in np.flatnonzero(stretch.called.written == LEFT_OUT).tolist():
        yield LeftOutSite(
            contig=contig,
            position=int(stretch.positions[site]),
            samples=tuple(samples[at] for at in _causes(stretch, site)),
        )


class Tally:
    """Counts the sites of stretches that go on to a writer. `samples` as in `left_out`."""

    def __init__(self, *, samples: Sequence[str]) -> None:
        self._samples = tuple(samples)
        self._sites = 0
        self._first: list[LeftOutSite] = []

    def passed(self, contig: str, stretches: Iterable[Stretch]) -> Iterator[Stretch]:
        """The same stretches of a contig again, each when it has been counted."""
        for stretch in stretches:
            self._add(contig, stretch)
            yield stretch

    @property
    def found(self) -> LeftOut:
        return LeftOut(sites=self._sites, first=tuple(self._first))

    def _add(self, contig: str, stretch: Stretch) -> None:
        count = int(np.count_nonzero(stretch.called.written == LEFT_OUT))
        if count:
            self._sites += count
            told = left_out(stretch, contig=contig, samples=self._samples)
            self._first += islice(told, MOST_NAMED - len(self._first))


def _causes(stretch: Stretch, site: int) -> list[int]:
    """Places in the cohort of the samples that `sites.call` found lacking."""
    begin, end = stretch.cells.rows[site], stretch.cells.rows[site + 1]
    rows, records = stretch.cells.row[begin:end], stretch.records
    figures = records.figures[rows]
    bare = (records.pl_rows[rows + 1] == records.pl_rows[rows]) & (figures[:, GQ] > 0)
    genotype = figures[:, (ONE, TWO)]
    own = ((genotype > 0) & (genotype <= figures[:, ALTS, None])).any(axis=1)
    # of a deletion from upstream no other ALT counts
    star = stretch.star[rows]
    over = (star > 0) & (genotype == star[:, None]).any(axis=1)
    lacking = bare & np.where(figures[:, START] == stretch.positions[site], own, over)
    causes: list[int] = stretch.cells.sample[begin:end][lacking].tolist()
    return causes
