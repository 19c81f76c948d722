"""Where a record stands among those before it, compiled: what it ends, what it replaces, what is covered."""

from __future__ import annotations

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading.columns import (
    A_BLOCK,
    AD_USED,
    BEFORE,
    BLOCKS,
    COVERED,
    FOUND,
    HEAP_USED,
    KIND,
    LENGTHS_USED,
    NOTHING,
    PL_USED,
    RECORDS,
    VARIANTS,
)
from services.jointcall.columnar.tables import Bytes, Ints, Longs


@compiled
def agrees(mine: int, theirs: int) -> bool:
    """A base of REF and the reference's there: an ambiguous one of the reference stands for several."""
    theirs &= 0xDF
    return (mine & 0xDF) == theirs or not (theirs == 65 or theirs == 67 or theirs == 71 or theirs == 84)


@compiled
def displace(position: int, first: int, counts: Longs, start: Ints, end: Ints) -> None:
    """A record starts at `position`, behind all others: a block before it ends there at the latest. In front of the
    interval it leaves nothing of those before it. `start` and `end` are the blocks'."""
    if position < first:
        counts[BLOCKS] = counts[RECORDS] = 0
        counts[AD_USED] = counts[PL_USED] = counts[LENGTHS_USED] = counts[HEAP_USED] = 0
    elif counts[KIND] == A_BLOCK:
        row = counts[BLOCKS] - 1
        if start[row] < first and position == first:
            counts[BLOCKS] = row
        elif end[row] >= position:
            end[row] = position - 1
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
def add_string(text: Bytes, begin: int, end: int, counts: Longs, lengths: Ints, heap: Bytes) -> None:
    """`text[begin:end]`, or none when `end` lies before `begin`."""
    at = counts[HEAP_USED]
    for k in range(end - begin):
        heap[at + k] = text[begin + k]
    lengths[counts[LENGTHS_USED]] = max(end - begin, -1)
    counts[LENGTHS_USED] += 1
    counts[HEAP_USED] = at + max(end - begin, 0)
