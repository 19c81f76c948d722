"""One sample's columns of one interval, as they are read: absolute positions, each string as it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

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
    """Explicit records by position, r rows; what the columns mean: tables.Variants.

    The `alts[i]` ALTs of row i and its other strings lie end to end in `heap[heap_rows[i]:heap_rows[i + 1]]`: REF,
    ALTs, ID, PGT, PID, each as long as `lengths` says, from `alt_rows[i] + STRINGS * i` on; ABSENT is none.
    """

    start: Ints
    end: Ints
    flags: Bytes
    ploidy: Bytes
    gt: NDArray[np.int8]
    gq: Ints
    dp: Ints
    min_dp: Ints
    sb: Ints
    ps: Ints
    info_dp: Ints
    mq_sum: Longs
    mq_depth: Longs
    ranked: Floats
    alt_rows: Longs
    ad_rows: Longs
    pl_rows: Longs
    heap_rows: Longs
    ad: Ints
    pl: Ints
    lengths: Ints
    heap: Bytes


class Parsed(NamedTuple):
    """A sample's records that start in `first` to `last`, and the one before that reaches into it.

    Of two records with the same start the later one stands. A block ends where the next record begins; an explicit
    record keeps its end, and is over where the next one begins all the same. `found` and `variants` count the records
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
_ROW_TYPES = (
    *(np.int32, np.int32, np.uint8, np.uint8, np.int8, *(np.int32,) * 6, np.int64, np.int64, np.float32),
    *(np.int64,) * 4,
)
_ROW_WIDTHS = {"gt": (2,), "sb": (4,), "ranked": (len(RANKED),)}
_ROWS = RecordColumns._fields[: len(_ROW_TYPES)]
_OFFSETS = ("alt_rows", "ad_rows", "pl_rows", "heap_rows")

# places in Growing.counts
BLOCKS, RECORDS, ADS, PLS, LENGTHS, HEAP, COVERED = range(7)
BEFORE, KIND, FOUND, VARIANTS, HERE, LATEST_FORMAT = range(7, 13)
NOTHING, A_BLOCK, A_RECORD = range(3)
"""In KIND: what the latest record that was met left behind."""

_SHORTEST_LINE = 26
"""Bytes: ten columns with a byte each, `<NON_REF>` in one of them."""


class Growing:
    """Columns with room behind their ends, and `counts` of what is used of them; for compiled code to fill."""

    def __init__(self) -> None:
        self.counts: Longs = np.zeros(13, np.int64)
        self.blocks = BlockColumns(*_copies(np.empty(0, dtype) for dtype in _BLOCK_TYPES))
        self.records = _no_records()
        self.covered: Ints = np.empty((0, 2), np.int32)

    def reserve(self, text: int) -> None:
        """Room for whatever this many bytes of whole lines hold."""
        used, lines, values = self.counts, text // _SHORTEST_LINE + 2, text // 2 + 2
        self.blocks = BlockColumns(*(_with_room(one, int(used[BLOCKS]), lines) for one in self.blocks))
        self.covered = _with_room(self.covered, int(used[COVERED]), lines)
        needs = {"ad": (ADS, values), "pl": (PLS, values), "heap": (HEAP, text + 2)}
        needs["lengths"] = LENGTHS, values + STRINGS * lines
        rows = RECORDS, lines + 1
        self.records = RecordColumns(
            *(
                _with_room(one, int(used[at]) + (name in _OFFSETS), room)
                for name, one in self.records._asdict().items()
                for at, room in (needs.get(name, rows),)
            )
        )

    def parsed(self, *, first: int, last: int, gaps: tuple[tuple[int, int], ...]) -> Parsed:
        return Parsed(
            first=first,
            last=last,
            blocks=BlockColumns(*_copies(one[: self.counts[BLOCKS]] for one in self.blocks)),
            records=self._records(0),
            found=int(self.counts[FOUND]),
            variants=int(self.counts[VARIANTS]),
            gaps=gaps,
        )

    def after(self, last: int) -> Self:
        """For the interval behind `last`: with the latest record, as far as it reaches there."""
        following = type(self)()
        following.counts[BEFORE] = self.counts[BEFORE]
        kind = int(self.counts[KIND])
        if kind == A_BLOCK:
            row = int(self.counts[BLOCKS]) - 1
            if row >= 0 and self.blocks.end[row] > last:
                following.blocks = BlockColumns(*_copies(one[row : row + 1] for one in self.blocks))
                following.counts[[BLOCKS, KIND]] = 1, A_BLOCK
        elif kind == A_RECORD:
            row = int(self.counts[RECORDS]) - 1
            if row >= 0 and self.records.end[row] > last:
                following.records = kept = self._records(row)
                following.counts[[RECORDS, KIND]] = 1, A_RECORD
                following.counts[[ADS, PLS, LENGTHS, HEAP]] = (
                    *(len(kept.ad), len(kept.pl)),
                    *(len(kept.lengths), len(kept.heap)),
                )
        if self.counts[COVERED]:
            # the stretch that is open may reach on
            following.covered = self.covered[self.counts[COVERED] - 1 : self.counts[COVERED]].copy()
            following.counts[COVERED] = 1
        return following

    def _records(self, row: int) -> RecordColumns:
        """Copies of the rows from `row` on."""
        used, mine = self.counts, self.records
        rows = int(used[RECORDS])
        begins = {"ad": (mine.ad_rows[row], ADS), "pl": (mine.pl_rows[row], PLS), "heap": (mine.heap_rows[row], HEAP)}
        begins["lengths"] = mine.alt_rows[row] + STRINGS * row, LENGTHS
        columns = []
        for name, one in mine._asdict().items():
            if name in begins:
                begin, end = begins[name]
                columns.append(one[begin : used[end]].copy())
            elif name in _OFFSETS:
                columns.append(one[row : rows + 1] - one[row])
            else:
                columns.append(one[row:rows].copy())
        return RecordColumns(*columns)


def _no_records() -> RecordColumns:
    rows: Iterator[Any] = (
        np.zeros((int(name in _OFFSETS), *_ROW_WIDTHS.get(name, ())), dtype)
        for name, dtype in zip(_ROWS, _ROW_TYPES, strict=True)
    )
    flat: Iterator[Any] = (np.zeros(0, dtype) for dtype in (np.int32, np.int32, np.int32, np.uint8))
    return RecordColumns(*rows, *flat)


def _with_room(column: Any, used: int, room: int) -> Any:
    if used + room <= len(column):
        return column
    grown = np.empty((used + used // 2 + room, *column.shape[1:]), column.dtype)
    grown[:used] = column[:used]
    return grown


def _copies(columns: Iterable[Any]) -> Iterator[Any]:
    return (column.copy() for column in columns)
