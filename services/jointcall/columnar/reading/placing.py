"""What is noted of any record, compiled: whether it fits the reference, what it covers, its strings."""

from __future__ import annotations

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.compiled import unsigned as _at
from services.jointcall.columnar.reading.columns import BEFORE, COVERED, FOUND, HEAP_USED, LISTS_USED, VARIANTS
from services.jointcall.columnar.tables import Bytes, Ints, Longs


@compiled
def agrees(mine: int, theirs: int) -> bool:
    """A base of REF and the reference's there: an ambiguous one of the reference stands for several."""
    theirs &= 0xDF
    return (mine & 0xDF) == theirs or not (theirs == 65 or theirs == 67 or theirs == 71 or theirs == 84)


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
def add_string(text: Bytes, begin: int, end: int, counts: Longs, lists: Ints, heap: Bytes) -> None:
    """`text[begin:end]`, or none when `end` lies before `begin`."""
    at = counts[HEAP_USED]
    for k in range(end - begin):
        heap[at + k] = text[_at(begin + k)]
    lists[counts[LISTS_USED]] = max(end - begin, -1)
    counts[LISTS_USED] += 1
    counts[HEAP_USED] = at + max(end - begin, 0)
