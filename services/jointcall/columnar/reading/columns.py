"""One sample's columns of one interval, as they are read: absolute positions, each string as it stands."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from services.jointcall.columnar.tables import RANKED, Bytes, Floats, Ints, Longs, Shorts

STRINGS = 4
"""Of an explicit record besides its ALTs: REF in front of them; ID, PGT and PID behind."""


class BlockColumns(NamedTuple):
    """Reference blocks by position, without overlaps; what the columns mean: tables.Blocks."""

    start: Ints
    end: Ints
    form: Bytes
    gq: Bytes
    min_dp: Shorts
    dp: Shorts
    pl0: Shorts
    pl1: Shorts
    pl2: Shorts


class RecordColumns(NamedTuple):
    """Explicit records by position, r rows; what their figures mean: tables.Variants, here by place (below).

    In `lists` each row has AD, PL, and the lengths of its strings, REF, the ALTs, ID, PGT and PID, ABSENT for none;
    in `heap` the strings themselves. How much of both is a row's, its figures say.
    """

    figures: Longs  # (r, FIGURES)
    ranked: Floats  # (r, len(RANKED))
    lists: Ints
    heap: Bytes


START, END, FLAGS, PLOIDY, ALLELE, GQ, DP, MIN_DP, PS, INFO_DP = 0, 1, 2, 3, 4, 6, 7, 8, 9, 10
MQ_SUM, MQ_DEPTH, SB, ALTS, ADS, PLS, BYTES, FIGURES = 11, 12, 13, 17, 18, 19, 20, 21
"""Places in `figures`. ALLELE is two wide, SB four; ALTS, ADS and PLS count the lists, BYTES the row's in the heap."""


class Parsed(NamedTuple):
    """A sample's records that start in `first` to `last`, and the one before that reaches into it.

    A block ends where the next record begins; an explicit record keeps its end, and is over where the next one begins
    all the same. `found` and `variants` count the records
    that start in the interval and those of them with an allele besides `<NON_REF>`; `gaps`: stretches of the declared
    regions that no record covers.
    """

    first: int
    last: int
    blocks: BlockColumns
    records: RecordColumns
    found: int
    variants: int
    gaps: tuple[tuple[int, int], ...]


_BLOCK_TYPES = (np.int32, np.int32, np.uint8, np.uint8, *(np.uint16,) * 5)

# places in Growing.counts: rows and values that are used
BLOCKS, RECORDS, LISTS_USED, HEAP_USED, COVERED = range(5)
# the latest record's start and what it left behind; counts for Parsed; where reading ended; room for a line's places
BEFORE, KIND, FOUND, VARIANTS, HERE, PLACES, COUNTS = 5, 6, 7, 8, 9, 10, 20
NOTHING, A_BLOCK, A_RECORD = range(3)

_SHORTEST_LINE = 26
"""Bytes: ten columns with a byte each, `<NON_REF>` in one of them."""


class Growing:
    """Columns with room behind their ends, and `counts` of what is used of them; for compiled code to fill."""

    def __init__(self) -> None:
        self.counts: Longs = np.zeros(COUNTS, np.int64)
        self.blocks = BlockColumns(*(_part(np.zeros(0, dtype), 0, 0) for dtype in _BLOCK_TYPES))
        self.records = RecordColumns(
            figures=np.zeros((0, FIGURES), np.int64),
            ranked=np.zeros((0, len(RANKED)), np.float32),
            lists=np.zeros(0, np.int32),
            heap=np.zeros(0, np.uint8),
        )
        self.covered: Ints = np.zeros((0, 2), np.int32)

    def reserve(self, text: int) -> None:
        """Room for whatever this many bytes of whole lines hold."""
        used, lines, values = self.counts, text // _SHORTEST_LINE + 2, text // 2 + 2
        self.blocks = BlockColumns(*(with_room(one, used[BLOCKS], lines) for one in self.blocks))
        self.covered = with_room(self.covered, used[COVERED], lines)
        rooms = (lines, lines, values + STRINGS * lines, text + 2)
        self.records = RecordColumns(
            *(with_room(one, used[at], room) for one, at, room in zip(self.records, _USED, rooms, strict=True))
        )

    def parsed(self, *, first: int, last: int, gaps: tuple[tuple[int, int], ...]) -> Parsed:
        used = self.counts
        return Parsed(
            first=first,
            last=last,
            blocks=BlockColumns(*(_part(one, 0, used[BLOCKS]) for one in self.blocks)),
            records=RecordColumns(*(_part(one, 0, used[at]) for one, at in zip(self.records, _USED, strict=True))),
            found=int(used[FOUND]),
            variants=int(used[VARIANTS]),
            gaps=gaps,
        )

    def turn(self, last: int) -> None:
        """To the interval behind `last`: only the latest record is kept, as far as it reaches there."""
        used, kept = self.counts, np.zeros(COUNTS, np.int64)
        kept[BEFORE] = used[BEFORE]
        if used[KIND] == A_BLOCK and self.blocks.end[used[BLOCKS] - 1] > last:
            kept[[BLOCKS, KIND]] = 1, A_BLOCK
            for one in self.blocks:
                one[0] = one[used[BLOCKS] - 1]
        elif used[KIND] == A_RECORD and self.records.figures[used[RECORDS] - 1, END] > last:
            figures = self.records.figures[used[RECORDS] - 1]
            kept[[RECORDS, KIND]] = 1, A_RECORD
            kept[HEAP_USED] = figures[BYTES]
            kept[LISTS_USED] = figures[[ADS, PLS, ALTS]].sum() + STRINGS
            for column, at in zip(self.records, _USED, strict=True):
                column[: kept[at]] = column[used[at] - kept[at] : used[at]].copy()
        if used[COVERED]:
            # the latest stretch may reach on
            self.covered[0] = self.covered[used[COVERED] - 1]
            kept[COVERED] = 1
        self.counts = kept

    @property
    def room(self) -> int:
        """Bytes of all columns, used or not."""
        return sum(one.nbytes for one in (*self.blocks, *self.records, self.covered))

    def clear(self) -> None:
        self.counts = np.zeros(COUNTS, np.int64)


_USED = (RECORDS, RECORDS, LISTS_USED, HEAP_USED)
"""Which count says how much of each of RecordColumns is used."""


def with_room(column: Any, used: int, room: int) -> Any:
    """The column with room behind what is used of it."""
    if used + room <= len(column):
        return column
    grown = np.empty((used + used // 2 + room, *column.shape[1:]), column.dtype)
    grown[:used] = column[:used]
    return grown


def _part(column: Any, begin: int, end: int) -> Any:
    return column[begin:end].copy()
