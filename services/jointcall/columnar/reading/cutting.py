"""Windows of many samples from their columns: blocks cut at the edges, records carried in, strings as codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.compiled import unsigned as _at
from services.jointcall.columnar.reading.columns import (
    ADS,
    ALLELE,
    ALTS,
    DP,
    END,
    FLAGS,
    GQ,
    INFO_DP,
    MIN_DP,
    MQ_DEPTH,
    MQ_SUM,
    PLOIDY,
    PLS,
    PS,
    SB,
    START,
    STRINGS,
    BlockColumns,
    Parsed,
)
from services.jointcall.columnar.reading.gathering import Gathered, Group
from services.jointcall.columnar.reading.gathering import ends as _ends
from services.jointcall.columnar.tables import BLOCK_TYPES, CONTINUED, Blocks, Bytes, Ints, Longs, Variants, Window

MOST_OF_A_WINDOW = 65_535
"""Bases: gaps and lengths are 16 bits wide."""


def windows_of(samples: Sequence[Parsed], *, first: int, last: int, window_bp: int) -> Iterator[Window]:
    """`windows_in` of samples that are laid end to end for it."""
    group = Group()
    for sample in samples:
        group.add(sample)
    return windows_in(group.gathered(), first=first, last=last, window_bp=window_bp)


def windows_in(samples: Gathered, *, first: int, last: int, window_bp: int) -> Iterator[Window]:
    """Windows of `window_bp` bases from `first` on, the last one ending at `last`, each with all samples in the order
    given. Every sample was parsed over an interval that holds `first` to `last`."""
    if not 1 <= window_bp <= MOST_OF_A_WINDOW:
        raise ValueError(f"a window has 1 to {MOST_OF_A_WINDOW} bases, not {window_bp}")
    if samples.first > first or samples.last < last:
        raise ValueError(f"a sample was parsed over less than {first}-{last}")
    for start in range(first, last + 1, window_bp):
        end = min(start + window_bp - 1, last)
        places, record_places = np.empty((2, len(samples.rows) - 1, 2), np.int64)
        _find(
            *(samples.rows, samples.blocks.start, samples.blocks.end, samples.record_rows, samples.records.figures),
            *(start, end, places, record_places),
        )
        blocks = _blocks_of(samples, places, start, end)
        variants, strings = _variants_of(samples, record_places)
        yield Window(first=start, last=end, blocks=blocks, variants=variants, strings=strings)


def _blocks_of(samples: Gathered, places: Longs, first: int, last: int) -> Blocks:
    rows = _ends(places[:, 1] - places[:, 0])
    columns = (np.empty(rows[-1], dtype) for dtype in BLOCK_TYPES.values())
    blocks = Blocks(rows, *columns)
    _cut(samples.blocks, places, first, last, blocks)
    _copy(samples.blocks, places, blocks)
    return blocks


def _variants_of(samples: Gathered, places: Longs) -> tuple[Variants, tuple[bytes, ...]]:
    rows = _ends(places[:, 1] - places[:, 0])
    figures, ranked = (_joined(column, places, rows[-1]) for column in samples.records[:2])
    lists, heap = (
        _joined(column, ends[places], (ends[places[:, 1]] - ends[places[:, 0]]).sum())
        for column, ends in zip(samples.records[2:], (samples.list_ends, samples.heap_ends), strict=True)
    )
    alt_rows, ad_rows, pl_rows = _ends(figures[:, ALTS]), _ends(figures[:, ADS]), _ends(figures[:, PLS])
    ref, id_, pgt, pid = np.empty((4, len(figures)), np.int32)
    alt, ad, pl = (np.empty(rows[-1], np.int32) for rows in (alt_rows, ad_rows, pl_rows))
    spans = np.empty((len(alt) + STRINGS * len(ref), 2), np.int64)
    count = _code(heap, lists, alt_rows, ad_rows, pl_rows, ad, pl, ref, alt, id_, pgt, pid, spans)
    text = heap.tobytes()
    narrow = figures.astype(np.int32)
    variants = Variants(
        rows=rows,
        start=narrow[:, START].copy(),
        end=narrow[:, END].copy(),
        ref=ref,
        alt_rows=alt_rows,
        alt=alt,
        flags=figures[:, FLAGS].astype(np.uint8),
        ploidy=figures[:, PLOIDY].astype(np.uint8),
        gt=figures[:, ALLELE : ALLELE + 2].astype(np.int8),
        gq=narrow[:, GQ].copy(),
        dp=narrow[:, DP].copy(),
        min_dp=narrow[:, MIN_DP].copy(),
        ad_rows=ad_rows,
        ad=ad,
        pl_rows=pl_rows,
        pl=pl,
        sb=narrow[:, SB : SB + 4].copy(),
        pgt=pgt,
        pid=pid,
        ps=narrow[:, PS].copy(),
        id=id_,
        info_dp=narrow[:, INFO_DP].copy(),
        mq_sum=figures[:, MQ_SUM].copy(),
        mq_depth=figures[:, MQ_DEPTH].copy(),
        ranked=ranked,
    )
    return variants, tuple(text[begin:end] for begin, end in spans[:count].tolist())


def _joined(column: Any, places: Longs, size: int) -> Any:
    """What of the column lies between `places`, (n, 2), end to end: `size` values."""
    joined = np.empty((size, *column.shape[1:]), column.dtype)
    _join(column, places, joined)
    return joined


@compiled
def _join(column: Any, places: Longs, joined: Any) -> None:
    at = 0
    for k in range(len(places)):
        begin, end = places[k, 0], places[k, 1]
        joined[at : at + end - begin] = column[begin:end]
        at += end - begin


@compiled
def _find(
    rows: Longs,
    start: Ints,
    end: Ints,
    record_rows: Longs,
    figures: Longs,
    first: int,
    last: int,
    places: Longs,
    record_places: Longs,
) -> None:
    """Of each sample, where what lies in a window begins and ends: blocks, and explicit records with the latest in
    front of it, if it reaches in and no block began behind it."""
    for sample in range(len(rows) - 1):
        begin, stop = rows[sample], rows[sample + 1]
        places[sample, 0] = begin + np.searchsorted(end[begin:stop], first)
        places[sample, 1] = begin + np.searchsorted(start[begin:stop], last, side="right")
        before = begin + np.searchsorted(start[begin:stop], first) - 1
        later = start[before] if before >= begin else 0
        begin, stop = record_rows[sample], record_rows[sample + 1]
        starts = figures[begin:stop, START]
        at = begin + np.searchsorted(starts, first)
        if at > begin and figures[at - 1, END] >= first and figures[at - 1, START] > later:
            record_places[sample, 0] = at - 1
        else:
            record_places[sample, 0] = at
        record_places[sample, 1] = begin + np.searchsorted(starts, last, side="right")


@compiled
def _cut(columns: BlockColumns, places: Longs, first: int, last: int, blocks: Blocks) -> None:
    """Blocks that lie between `places`, as far as they lie in the window; marks those that began before it."""
    start, end, form = columns.start, columns.end, columns.form
    gap, length, to_form = blocks.gap, blocks.length, blocks.form
    at = 0
    for sample in range(len(places)):
        begin, stop = places[sample, 0], places[sample, 1]
        behind = first
        for k in range(stop - begin):
            own, reached = int(start[_at(begin + k)]), int(end[_at(begin + k)]) + 1
            gap[_at(at + k)] = own - behind
            length[_at(at + k)] = reached - own
            to_form[_at(at + k)] = form[_at(begin + k)]
            behind = reached
        # the first may begin before the window, the last may end behind it
        if begin < stop:
            if start[begin] < first:
                gap[at] = 0
                length[at] = min(int(end[begin]), last) + 1 - first
                to_form[at] |= CONTINUED
            at += stop - begin
            if end[stop - 1] > last:
                length[at - 1] = last + 1 - max(int(start[stop - 1]), first)


@compiled
def _copy(columns: BlockColumns, places: Longs, blocks: Blocks) -> None:
    """The other columns of blocks that lie between `places`."""
    gq, min_dp, dp, pl0, pl1, pl2 = columns.gq, columns.min_dp, columns.dp, columns.pl0, columns.pl1, columns.pl2
    to_gq, to_min_dp, to_dp = blocks.gq, blocks.min_dp, blocks.dp
    to_pl0, to_pl1, to_pl2 = blocks.pl0, blocks.pl1, blocks.pl2
    at = 0
    for sample in range(len(places)):
        begin, size = places[sample, 0], places[sample, 1] - places[sample, 0]
        # a loop for each column, in local names: the compiler makes vector instructions of it
        for k in range(size):
            to_gq[_at(at + k)] = gq[_at(begin + k)]
        for k in range(size):
            to_min_dp[_at(at + k)] = min_dp[_at(begin + k)]
        for k in range(size):
            to_dp[_at(at + k)] = dp[_at(begin + k)]
        for k in range(size):
            to_pl0[_at(at + k)] = pl0[_at(begin + k)]
        for k in range(size):
            to_pl1[_at(at + k)] = pl1[_at(begin + k)]
        for k in range(size):
            to_pl2[_at(at + k)] = pl2[_at(begin + k)]
        at += size


@compiled
def _code(
    heap: Bytes,
    lists: Ints,
    alt_rows: Longs,
    ad_rows: Longs,
    pl_rows: Longs,
    ad: Ints,
    pl: Ints,
    ref: Ints,
    alt: Ints,
    id_: Ints,
    pgt: Ints,
    pid: Ints,
    spans: NDArray[np.int64],
) -> int:
    """Parts the rows' lists: AD, PL, and the strings' lengths. Their codes count by first appearance. Returns how many
    there are; `spans`: where each lies in the heap."""
    size = 64
    while size < 2 * len(spans):
        size *= 2
    slots = np.full(size, -1, np.int32)
    count, at, string = 0, 0, 0
    for row in range(len(ref)):
        for k in range(ad_rows[row], ad_rows[row + 1]):
            ad[k] = lists[string]
            string += 1
        for k in range(pl_rows[row], pl_rows[row + 1]):
            pl[k] = lists[string]
            string += 1
        alts = alt_rows[row + 1] - alt_rows[row]
        for place in range(alts + STRINGS):
            length = lists[string]
            string += 1
            code = -1
            if length >= 0:
                value = 0
                for k in range(at, at + length):
                    value = (value * 31 + int(heap[k])) & 0xFFFFFFFFFF
                slot = (value ^ (value >> 17)) & (size - 1)
                while code < 0:
                    code = slots[slot]
                    if code < 0:
                        slots[slot] = code = count
                        spans[count, 0], spans[count, 1] = at, at + length
                        count += 1
                    elif not _same(heap, at, length, spans[code, 0], spans[code, 1]):
                        code = -1
                        slot = (slot + 1) & (size - 1)
                at += length
            if place == 0:
                ref[row] = code
            elif place <= alts:
                alt[alt_rows[row] + place - 1] = code
            elif place == alts + 1:
                id_[row] = code
            elif place == alts + 2:
                pgt[row] = code
            else:
                pid[row] = code
    return count


@compiled
def _same(heap: Bytes, at: int, length: int, begin: int, end: int) -> bool:
    if end - begin != length:
        return False
    for k in range(length):  # noqa: SIM110 (compiled code has no generators)
        if heap[at + k] != heap[begin + k]:
            return False
    return True
