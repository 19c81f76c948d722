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
)
from services.jointcall.columnar.tables import Longs


class Gathered(NamedTuple):
    """Samples that were all parsed over `first` to `last` at least. Sample i has the rows `rows[i]:rows[i + 1]` of
    `blocks`, and `record_rows[i]:record_rows[i + 1]` of `records`; those of record r are `list_ends[r]:list_ends[r + 1]`
    of its lists and `heap_ends[r]:heap_ends[r + 1]` of its heap."""

    first: int
    last: int
    rows: Longs
    blocks: BlockColumns
    record_rows: Longs
    records: RecordColumns
    list_ends: Longs
    heap_ends: Longs


class Group:
    """Samples as they are read. Takes each one's columns over: nobody else should hold them, as `gathered` has them
    all twice otherwise. `bytes` and `block_rows` are of those that are there."""

    def __init__(self) -> None:
        self._samples: list[tuple[int, int]] = []
        self._columns: list[list[Any]] = [[] for _ in (*BlockColumns._fields, *RecordColumns._fields)]
        self.bytes = self.block_rows = 0

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, parsed: Parsed) -> None:
        self._samples.append((parsed.first, parsed.last))
        for kept, column in zip(self._columns, (*parsed.blocks, *parsed.records), strict=True):
            kept.append(column)
            self.bytes += column.nbytes
        self.block_rows += len(parsed.blocks.start)

    def gathered(self) -> Gathered:
        """All samples, which the group has no longer. Memory is that of the columns once, and of one of them more."""
        rows, record_rows = (ends([len(one) for one in self._columns[at]]) for at in (0, len(BlockColumns._fields)))
        columns = []
        for parts in self._columns:
            columns.append(np.concatenate(parts) if parts else np.zeros(0))
            parts.clear()
        blocks, records = columns[: len(BlockColumns._fields)], RecordColumns(*columns[len(BlockColumns._fields) :])
        figures = records.figures
        firsts, lasts = zip(*self._samples, strict=True) if self._samples else ((0,), (0,))
        self._samples = []
        self.bytes = self.block_rows = 0
        return Gathered(
            first=max(firsts),
            last=min(lasts),
            rows=rows,
            blocks=BlockColumns(*blocks),
            record_rows=record_rows,
            records=records,
            list_ends=ends(figures[:, ADS] + figures[:, PLS] + figures[:, ALTS] + STRINGS),
            heap_ends=ends(figures[:, BYTES]),
        )


def ends(counts: Any) -> Longs:
    """Offsets of lists of these lengths that lie end to end."""
    offsets: Longs = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
