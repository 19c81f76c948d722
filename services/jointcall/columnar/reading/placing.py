"""Where a record stands among those before it, compiled: what it ends, what it replaces, what is covered."""

from __future__ import annotations

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading.columns import (
    A_BLOCK,
    A_RECORD,
    ADS,
    BEFORE,
    BLOCKS,
    COVERED,
    FOUND,
    HEAP,
    KIND,
    LENGTHS,
    NOTHING,
    PLS,
    RECORDS,
    STRINGS,
    VARIANTS,
    BlockColumns,
    RecordColumns,
)
from services.jointcall.columnar.tables import Bytes, Ints, Longs


@compiled
def agrees(mine: int, theirs: int) -> bool:
    """A base of REF and the reference's there: an ambiguous one of the reference stands for several."""
    theirs &= 0xDF
    return (mine & 0xDF) == theirs or not (theirs == 65 or theirs == 67 or theirs == 71 or theirs == 84)


@compiled
def displace(position: int, first: int, counts: Longs, blocks: BlockColumns, records: RecordColumns) -> None:
    """A record starts at `position`: the one before it ends there at the latest, or is replaced when it starts there
    too. Up to the interval's first base it leaves nothing of those before it."""
    if position <= first:
        counts[BLOCKS] = counts[RECORDS] = counts[ADS] = counts[PLS] = counts[LENGTHS] = counts[HEAP] = 0
    elif counts[KIND] == A_BLOCK:
        row = counts[BLOCKS] - 1
        if blocks.start[row] == position:
            counts[BLOCKS] = row
        elif blocks.end[row] >= position:
            blocks.end[row] = position - 1
    elif counts[KIND] == A_RECORD:
        row = counts[RECORDS] - 1
        if records.start[row] == position:
            counts[RECORDS] = row
            counts[ADS] = records.ad_rows[row]
            counts[PLS] = records.pl_rows[row]
            counts[HEAP] = records.heap_rows[row]
            counts[LENGTHS] = records.alt_rows[row] + STRINGS * row
    counts[KIND] = NOTHING


@compiled
def cover(position: int, end: int, alts: int, first: int, counts: Longs, covered: Ints) -> bool:
    """Notes where the record lies. False when it ends before the interval, and is not kept."""
    open_one = counts[COVERED] - 1
    if open_one >= 0 and position <= covered[open_one, 1] + 1:
        if end > covered[open_one, 1]:
            covered[open_one, 1] = end
    else:
        covered[open_one + 1, 0] = position
        covered[open_one + 1, 1] = end
        counts[COVERED] += 1
    counts[BEFORE] = position
    if position >= first:
        counts[FOUND] += 1
        counts[VARIANTS] += int(alts > 0)
    return end >= first


@compiled
def add_block(
    position: int,
    end: int,
    form: int,
    gq: int,
    min_dp: int,
    dp: int,
    pl0: int,
    pl1: int,
    pl2: int,
    counts: Longs,
    blocks: BlockColumns,
) -> None:
    row = counts[BLOCKS]
    blocks.start[row] = position
    blocks.end[row] = end
    blocks.form[row] = form
    blocks.gq[row] = gq
    blocks.min_dp[row] = min_dp
    blocks.dp[row] = dp
    blocks.pl0[row] = pl0
    blocks.pl1[row] = pl1
    blocks.pl2[row] = pl2
    counts[BLOCKS] = row + 1
    counts[KIND] = A_BLOCK


@compiled
def add_string(text: Bytes, begin: int, end: int, counts: Longs, records: RecordColumns) -> None:
    """`text[begin:end]`, or none when `end` lies before `begin`."""
    at = counts[HEAP]
    for k in range(end - begin):
        records.heap[at + k] = text[begin + k]
    records.lengths[counts[LENGTHS]] = max(end - begin, -1)
    counts[LENGTHS] += 1
    counts[HEAP] = at + max(end - begin, 0)
