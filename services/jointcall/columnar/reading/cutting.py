"""Windows of many samples from their columns: blocks cut at the edges, records carried in, strings as codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading.columns import (
    ADS,
    ALLELE,
    ALTS,
    BYTES,
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
from services.jointcall.columnar.tables import CONTINUED, Blocks, Bytes, Ints, Longs, Shorts, Variants, Window

MOST_OF_A_WINDOW = 65_535
"""Bases: gaps and lengths are 16 bits wide."""


class _Places(NamedTuple):
    """Where one sample's windows begin and end in its columns: each (w, 2), row k is window k."""

    blocks: Longs
    records: Longs
    lists: Longs
    heap: Longs


def windows_of(samples: Sequence[Parsed], *, first: int, last: int, window_bp: int) -> Iterator[Window]:
    """Windows of `window_bp` bases from `first` on, the last one ending at `last`, each with all samples in the order
    given. Every sample was parsed over an interval that holds `first` to `last`."""
    if not 1 <= window_bp <= MOST_OF_A_WINDOW:
        raise ValueError(f"a window has 1 to {MOST_OF_A_WINDOW} bases, not {window_bp}")
    if not samples or any(sample.first > first or sample.last < last for sample in samples):
        raise ValueError(f"no sample, or one that was parsed over less than {first}-{last}")
    starts = np.arange(first, last + 1, window_bp)
    ends = np.minimum(starts + window_bp - 1, last)
    places = [_places(sample, starts, ends) for sample in samples]
    for k in range(len(starts)):
        start, end = int(starts[k]), int(ends[k])
        blocks = _blocks_of(samples, [place.blocks[k] for place in places], start, end)
        variants, strings = _variants_of(samples, places, k)
        yield Window(first=start, last=end, blocks=blocks, variants=variants, strings=strings)


def _places(sample: Parsed, starts: Longs, ends: Longs) -> _Places:
    blocks, figures = sample.blocks, sample.records.figures
    begin = np.searchsorted(figures[:, START], starts)
    # the latest record in front of the window, if it is an explicit one that reaches in
    before = begin - 1
    block_before = np.searchsorted(blocks.start, starts) - 1
    if len(figures):
        later = np.where(block_before >= 0, blocks.start[block_before], 0) if len(blocks.start) else 0
        begin = begin - ((before >= 0) & (figures[before, END] >= starts) & (figures[before, START] > later))
    records = np.stack((begin, np.searchsorted(figures[:, START], ends, side="right")), axis=1)
    within = np.stack((np.searchsorted(blocks.end, starts), np.searchsorted(blocks.start, ends, side="right")), axis=1)

    def sums(counts: Longs) -> Any:
        return np.concatenate((np.zeros(1, np.int64), counts.cumsum()))[records]

    return _Places(
        blocks=within,
        records=records,
        lists=sums(figures[:, ADS] + figures[:, PLS] + figures[:, ALTS] + STRINGS),
        heap=sums(figures[:, BYTES]),
    )


def _blocks_of(samples: Sequence[Parsed], places: Sequence[Longs], first: int, last: int) -> Blocks:
    def joined(column: int) -> Any:
        return np.concatenate(
            [sample.blocks[column][begin:end] for sample, (begin, end) in zip(samples, places, strict=True)]
        )

    columns = BlockColumns(*(joined(column) for column in range(len(BlockColumns._fields))))
    rows = _ends(end - begin for begin, end in places)
    gap, length = np.empty((2, len(columns.form)), np.uint16)
    _cut(rows, columns.start, columns.end, first, last, gap, length, columns.form)
    return Blocks(rows, gap, length, *columns[2:])


def _variants_of(samples: Sequence[Parsed], places: Sequence[_Places], k: int) -> tuple[Variants, tuple[bytes, ...]]:
    def joined(column: int, part: int) -> Any:
        """Column of RecordColumns, cut where this part of _Places says."""
        return np.concatenate(
            [
                sample.records[column][place[part][k, 0] : place[part][k, 1]]
                for sample, place in zip(samples, places, strict=True)
            ]
        )

    figures, ranked, lists, heap = (joined(column, part) for column, part in enumerate((1, 1, 2, 3)))
    alt_rows, ad_rows, pl_rows = _ends(figures[:, ALTS]), _ends(figures[:, ADS]), _ends(figures[:, PLS])
    ref, id_, pgt, pid = np.empty((4, len(figures)), np.int32)
    alt, ad, pl = (np.empty(rows[-1], np.int32) for rows in (alt_rows, ad_rows, pl_rows))
    spans = np.empty((len(alt) + STRINGS * len(ref), 2), np.int64)
    count = _code(heap, lists, alt_rows, ad_rows, pl_rows, ad, pl, ref, alt, id_, pgt, pid, spans)
    text = heap.tobytes()
    narrow = figures.astype(np.int32)
    variants = Variants(
        rows=_ends(place.records[k, 1] - place.records[k, 0] for place in places),
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


def _ends(counts: Iterable[int]) -> Longs:
    """Offsets of lists of these lengths that lie end to end."""
    return np.cumsum([0, *counts], dtype=np.int64)


@compiled
def _cut(rows: Longs, start: Ints, end: Ints, first: int, last: int, gap: Shorts, length: Shorts, form: Bytes) -> None:
    """Gaps and lengths of blocks as far as they lie in the window; marks those that began before it."""
    for sample in range(len(rows) - 1):
        behind = first
        for row in range(rows[sample], rows[sample + 1]):
            begin = int(start[row])
            if begin < first:
                begin = first
                form[row] |= CONTINUED
            stop = min(int(end[row]), last) + 1
            gap[row] = begin - behind
            length[row] = stop - begin
            behind = stop


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
