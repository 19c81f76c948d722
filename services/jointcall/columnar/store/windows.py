"""Windows cut and put side by side: what compaction does to the tables, and nothing with files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.store.variant_code import CODES
from services.jointcall.columnar.tables import (
    ABSENT,
    BLOCK_TYPES,
    CONTINUED,
    Blocks,
    Longs,
    Variants,
    Window,
)

LISTS = {"alt": "alt_rows", "ad": "ad_rows", "pl": "pl_rows"}
_BY_ROW = ("start", "end", "ref", "flags", "ploidy", "gt", "gq", "dp", "min_dp", "sb", "pgt", "pid", "ps", "id")
PER_ROW = (*_BY_ROW, "info_dp", "mq_sum", "mq_depth", "ranked")

Place = tuple[int, int]
"""(which window, which of its samples)"""


def narrowed(window: Window, *, first: int, last: int) -> Window:
    """The part of a window from `first` to `last`: what a window of that place would have held. The strings stay."""
    if (first, last) == (window.first, window.last):
        return window
    if not window.first <= first <= last <= window.last:
        raise ValueError(f"{first}-{last} is no part of {window.first}-{window.last}")
    starts, ends = spans(window.blocks, first=window.first)
    variants = _reaching(window, starts, first=first, last=last)
    return Window(first, last, _cut(window.blocks, starts, ends, first=first, last=last), variants, window.strings)


def spans(blocks: Blocks, *, first: int) -> tuple[Longs, Longs]:
    """First and last base of each row; `first` is the window's first base."""
    running = np.zeros(blocks.gap.size + 1, np.int64)
    np.cumsum(blocks.gap.astype(np.int64) + blocks.length, out=running[1:])
    base = np.repeat(running[blocks.rows[:-1]], np.diff(blocks.rows))
    ends = running[1:] - base + (first - 1)
    return ends - blocks.length + 1, ends


def _cut(blocks: Blocks, starts: Longs, ends: Longs, *, first: int, last: int) -> Blocks:
    kept = np.flatnonzero((ends >= first) & (starts <= last))
    rows = np.searchsorted(kept, blocks.rows).astype(np.int64)
    begins, stops = np.maximum(starts[kept], first), np.minimum(ends[kept], last)
    before = np.empty_like(begins)
    before[1:] = stops[:-1]
    before[rows[:-1][np.diff(rows) > 0]] = first - 1
    columns = {name: getattr(blocks, name)[kept] for name in BLOCK_TYPES}
    columns["gap"] = (begins - before - 1).astype(np.uint16)
    columns["length"] = (stops - begins + 1).astype(np.uint16)
    columns["form"] = columns["form"] | np.where(starts[kept] < first, CONTINUED, 0).astype(np.uint8)
    return Blocks(rows, **columns)


def _reaching(window: Window, block_starts: Longs, *, first: int, last: int) -> Variants:
    """Records that start in the part, and of each sample the one that reaches in, if nothing began behind it."""
    v = window.variants
    inside = (v.start >= first) & (v.start <= last)
    for sample in range(v.rows.size - 1):
        begin, end = v.rows[sample], v.rows[sample + 1]
        earlier = begin + int(np.searchsorted(v.start[begin:end], first)) - 1
        if earlier < begin or v.end[earlier] < first:
            continue
        own = block_starts[window.blocks.rows[sample] : window.blocks.rows[sample + 1]]
        behind = int(np.searchsorted(own, first)) - 1
        if behind < 0 or own[behind] < v.start[earlier]:
            inside[earlier] = True
    kept = np.flatnonzero(inside)
    return picked(v, kept, np.searchsorted(kept, v.rows).astype(np.int64))


def beside(windows: Sequence[Window], places: Sequence[Place]) -> Window:
    """One window of the samples that `places` name, in that order, out of windows of the same stretch. Its strings are
    those in use, sorted. Raises ValueError where the windows are of different stretches, or there is none."""
    stretches = {(window.first, window.last) for window in windows}
    if len(stretches) != 1:
        raise ValueError(f"windows of one stretch are put side by side, not of {sorted(stretches)}")
    ((first, last),) = stretches
    blocks = _gathered_blocks([window.blocks for window in windows], places)
    variants = _gathered_variants(windows, places)
    used = np.unique(np.concatenate([getattr(variants, name) for name in CODES]))
    used = used[used != ABSENT]
    all_strings = [string for window in windows for string in window.strings]
    strings = sorted({all_strings[code] for code in used})
    rank = {string: code for code, string in enumerate(strings)}
    new_codes = np.full(len(all_strings) + 1, ABSENT, np.int32)
    for code in used:
        new_codes[code] = rank[all_strings[code]]
    # the last entry is what ABSENT, -1, finds
    renamed = {name: new_codes[getattr(variants, name)] for name in CODES}
    return Window(first, last, blocks, variants._replace(**renamed), tuple(strings))


def _gathered_blocks(tables: Sequence[Blocks], places: Sequence[Place]) -> Blocks:
    which, rows = _picks([table.rows for table in tables], places)
    return Blocks(rows, *(np.concatenate([getattr(t, name) for t in tables])[which] for name in BLOCK_TYPES))


def _gathered_variants(windows: Sequence[Window], places: Sequence[Place]) -> Variants:
    tables = [window.variants for window in windows]
    shift = 0
    whole: dict[str, list[NDArray[Any]]] = {name: [] for name in (*PER_ROW, *LISTS)}
    for window in windows:
        for name in whole:
            column = getattr(window.variants, name)
            whole[name].append(np.where(column == ABSENT, column, column + shift) if name in CODES else column)
        shift += len(window.strings)
    columns: dict[str, Any] = {name: np.concatenate(parts) for name, parts in whole.items()}
    for of in LISTS.values():
        columns[of] = _chained([getattr(table, of) for table in tables])
    joined = Variants(rows=_chained([table.rows for table in tables]), **columns)
    which, rows = _picks([table.rows for table in tables], places)
    return picked(joined, which, rows)


def picked(variants: Variants, which: Longs, rows: Longs) -> Variants:
    """The records `which`, in that order; `rows` says which of them are each sample's."""
    columns: dict[str, Any] = {name: getattr(variants, name)[which] for name in PER_ROW}
    for name, of in LISTS.items():
        offsets = getattr(variants, of)
        values, columns[of] = _runs(offsets[which], offsets[which + 1])
        columns[name] = getattr(variants, name)[values]
    return Variants(rows=rows, **columns)


def _picks(rows: Sequence[Longs], places: Sequence[Place]) -> tuple[Longs, Longs]:
    """(which rows of the tables laid end to end, the new row ranges) for samples in a new order."""
    bases = np.concatenate([[0], np.cumsum([table[-1] for table in rows])])
    begins = np.array([bases[table] + rows[table][sample] for table, sample in places], np.int64)
    ends = np.array([bases[table] + rows[table][sample + 1] for table, sample in places], np.int64)
    return _runs(begins, ends)


def _runs(begins: Longs, ends: Longs) -> tuple[Longs, Longs]:
    """(all numbers of the ranges, one after the other; where each range begins in them, and where the last ends)"""
    counts = ends - begins
    offsets = np.zeros(begins.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return np.repeat(begins - offsets[:-1], counts) + np.arange(offsets[-1], dtype=np.int64), offsets


def _chained(offsets: Sequence[Longs]) -> Longs:
    base = 0
    chained = [np.zeros(1, np.int64)]
    for own in offsets:
        chained.append(own[1:] + base)
        base += int(own[-1])
    return np.concatenate(chained)
