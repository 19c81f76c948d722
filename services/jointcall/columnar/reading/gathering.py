"""Columns of many samples laid end to end, so that one compiled loop goes over all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from services.jointcall.columnar.reading.columns import (
    ADS,
    ALTS,
    BYTES,
    PLS,
    STRINGS,
    BlockColumns,
    Parsed,
    RecordColumns,
    with_room,
)
from services.jointcall.columnar.tables import Longs

OF_BLOCKS = len(BlockColumns._fields)
COLUMNS = OF_BLOCKS + len(RecordColumns._fields)


class Gathered(NamedTuple):
    """Samples that were all parsed over `first` to `last` at least. Sample i has the rows `rows[i]:rows[i + 1]` of
    `blocks`, and `record_rows[i]:record_rows[i + 1]` of `records`; record r has `list_ends[r]:list_ends[r + 1]` of the
    lists and `heap_ends[r]:heap_ends[r + 1]` of the heap."""

    first: int
    last: int
    rows: Longs
    blocks: BlockColumns
    record_rows: Longs
    records: RecordColumns
    list_ends: Longs
    heap_ends: Longs


class Group:
    """Samples' columns as they are read. `bytes` and `block_rows` are of those that are there.

    `samples` are expected, or as many as have `most` bytes: room is made for them at once, which takes no memory before
    it is used."""

    def __init__(self, *, samples: int = 1, most: int = 0) -> None:
        self._expected, self._most = samples, most
        self._clear()

    def _clear(self) -> None:
        self._columns: list[Any] = []
        self._samples: list[tuple[int, int]] = []
        # rows of each column that are used, behind each sample
        self._used: list[list[int]] = [[0] * COLUMNS]
        self.bytes = self.block_rows = 0

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, parsed: Parsed) -> None:
        columns = (*parsed.blocks, *parsed.records)
        if not self._columns:
            self._columns = [one[:0] for one in columns]
        size = sum([column.nbytes for column in columns])
        expected = min(self._expected - len(self), (self._most - self.bytes) // max(size, 1) + 1)
        used = []
        for at, (column, begin) in enumerate(zip(columns, self._used[-1], strict=True)):
            end = begin + len(column)
            if end > len(self._columns[at]):
                self._columns[at] = with_room(self._columns[at], begin, len(column) * max(expected, 1))
            self._columns[at][begin:end] = column
            used.append(end)
        self.bytes += size
        self._used.append(used)
        self._samples.append((parsed.first, parsed.last))
        self.block_rows += len(parsed.blocks.start)

    def gathered(self) -> Gathered:
        """All samples, which the group has no longer. Raises ValueError where there are none."""
        if not self._samples:
            raise ValueError("there is no sample")
        firsts, lasts = zip(*self._samples, strict=True)
        used = np.array(self._used, np.int64)
        columns = [column[:end] for column, end in zip(self._columns, self._used[-1], strict=True)]
        self._clear()
        records = RecordColumns(*columns[OF_BLOCKS:])
        figures = records.figures
        return Gathered(
            first=max(firsts),
            last=min(lasts),
            rows=used[:, 0].copy(),
            blocks=BlockColumns(*columns[:OF_BLOCKS]),
            record_rows=used[:, OF_BLOCKS].copy(),
            records=records,
            list_ends=ends(figures[:, ADS] + figures[:, PLS] + figures[:, ALTS] + STRINGS),
            heap_ends=ends(figures[:, BYTES]),
        )


def ends(counts: Any) -> Longs:
    """Offsets of lists of these lengths that lie end to end."""
    offsets: Longs = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
