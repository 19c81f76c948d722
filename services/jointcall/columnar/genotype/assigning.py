"""What each sample has at a site, in the alleles that stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import Whole, compiled
from services.jointcall.columnar.genotype import cells
from services.jointcall.columnar.genotype.explicit import ALTS, DP, GQ, ONE, PLOIDY, Records
from services.jointcall.columnar.tables import ABSENT, Bytes, Ints

# bits of a cell's state
UNCALLED = 1
BARE = 2  # no-call without any field
DROPPED = 4  # had an ALT that the site does not keep
UNPHASED = 8  # the record's | is not taken over


@compiled
def genotypes(
    gt: NDArray[np.int8],
    gq: Ints,
    state: Bytes,
    count: Ints,
    kept: Ints,
    rows: Ints,
    records: Records,
    local: NDArray[np.int16],
    standing: Bytes,
) -> tuple[Whole, Whole]:
    """Fills `gt`, `gq` and `state` of the site's cells and adds to `count` (K,) the copies of each allele. Returns how
    many alleles are called, and the reads that QD divides by."""
    phred = np.empty(len(kept) * (len(kept) + 1) // 2 + 1, np.int32)
    number = supported = every = np.int64(0)
    for cell, row in enumerate(rows):
        n = cells.phreds(phred, records, row, local[cell], kept)
        one, two = ABSENT, ABSENT
        haploid = records.figures[row, PLOIDY] == 1
        sure = records.figures[row, GQ]
        if n and cells.informative(phred, n):
            best, sure = cells.quality(phred, n)
            if best > 0 or not cells.doubtful(phred, n):
                if haploid:
                    one = best
                else:
                    one, two = cells.pair(best)
        else:
            if not standing[cell] & cells.NOTHING_KNOWN:
                one, two = _matched(records, row, local[cell], kept)
            if n and sure != ABSENT:
                sure = cells.quality(phred, n)[1]
        if standing[cell] & cells.LIKELIEST and (n or standing[cell] & cells.NO_READS):
            state[cell] |= np.uint8(UNPHASED)
        if standing[cell] & cells.NO_READS:
            state[cell] |= np.uint8(BARE)
            one, two, sure = ABSENT, ABSENT, ABSENT
        if one == ABSENT:
            state[cell] |= np.uint8(UNCALLED)
        else:
            number += 1 if haploid else 2
            count[kept[one]] += 1
            if not haploid:
                count[kept[two]] += 1
        if _lost(records, row, local[cell], kept):
            state[cell] |= np.uint8(DROPPED)
        gt[cell, 0], gt[cell, 1], gq[cell] = one, two, sure
        if one > 0 or two > 0:
            reads, alts = _reads(records, row, local[cell], kept)
            if reads > 0:
                every += reads
                if alts > 1:
                    supported += reads
            else:
                every += max(0, cells.depth_of(records, row))
    return number, supported if supported > 0 else every


@compiled
def _matched(records: Records, row: int, local: NDArray[np.int16], kept: Ints) -> tuple[int, int]:
    """The record's own genotype in the kept alleles, REF for one that is not kept. <NON_REF> is REF too, but says
    nothing without a depth."""
    one, two = ABSENT, ABSENT
    non_ref = records.figures[row, ALTS] + 1
    for at in range(records.figures[row, PLOIDY]):
        mine = records.figures[row, ONE + at]
        to = ABSENT
        if mine >= 0 and (mine != non_ref or records.figures[row, DP] != ABSENT):
            to = 0
            for k in range(1, len(kept)):
                if local[kept[k]] == mine and mine != non_ref:
                    to = k
                    break
        if at == 0:
            one = to
        else:
            two = to
    return one, two


@compiled
def _lost(records: Records, row: int, local: NDArray[np.int16], kept: Ints) -> bool:
    """Whether the record's genotype has an ALT that is not among the kept ones."""
    for at in range(records.figures[row, PLOIDY]):
        mine = records.figures[row, ONE + at]
        if mine <= 0:
            continue
        there = False
        for k in range(1, len(kept)):
            there |= local[kept[k]] == mine
        if not there:
            return True
    return False


@compiled
def _reads(records: Records, row: int, local: NDArray[np.int16], kept: Ints) -> tuple[Whole, Whole]:
    begin = records.ad_rows[row]
    if records.ad_rows[row + 1] == begin:
        depth = max(0, cells.depth_of(records, row))
        return depth, 0
    total = alts = np.int64(0)
    for k in range(len(kept)):
        reads = records.ad[begin + local[kept[k]]]
        total += reads
        if k:
            alts += reads
    return total, alts
