"""Windows of many samples from their columns: blocks cut at the edges, records carried in, strings as codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading.columns import STRINGS, BlockColumns, Parsed, RecordColumns
from services.jointcall.columnar.tables import CONTINUED, Blocks, Bytes, Ints, Longs, Shorts, Variants, Window

MOST_OF_A_WINDOW = 65_535
"""Bases: gaps and lengths are 16 bits wide."""


class _Places(NamedTuple):
    """Rows of one sample in each window, w of them: `begin[k]` to `end[k]`."""

    blocks_begin: Longs
    blocks_end: Longs
    records_begin: Longs
    records_end: Longs


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
        blocks = _blocks_of(
            [
                (sample.blocks, int(place.blocks_begin[k]), int(place.blocks_end[k]))
                for sample, place in zip(samples, places, strict=True)
            ],
            start,
            end,
        )
        variants, strings = _variants_of(
            [
                (sample.records, int(place.records_begin[k]), int(place.records_end[k]))
                for sample, place in zip(samples, places, strict=True)
            ]
        )
        yield Window(first=start, last=end, blocks=blocks, variants=variants, strings=strings)


def _places(sample: Parsed, starts: Longs, ends: Longs) -> _Places:
    blocks, records = sample.blocks, sample.records
    begin = np.searchsorted(records.start, starts)
    # the latest record in front of the window, if it is an explicit one that reaches in
    before = begin - 1
    block_before = np.searchsorted(blocks.start, starts) - 1
    known = before >= 0
    if known.any():
        later = np.where(block_before >= 0, blocks.start[block_before], 0) if len(blocks.start) else 0
        carried = known & (records.end[before] >= starts) & (records.start[before] > later)
        begin = begin - carried
    return _Places(
        blocks_begin=np.searchsorted(blocks.end, starts),
        blocks_end=np.searchsorted(blocks.start, ends, side="right"),
        records_begin=begin,
        records_end=np.searchsorted(records.start, ends, side="right"),
    )


def _blocks_of(slices: Sequence[tuple[BlockColumns, int, int]], first: int, last: int) -> Blocks:
    joined = BlockColumns(
        *(
            np.concatenate([columns[place][begin:end] for columns, begin, end in slices])
            for place in range(len(BlockColumns._fields))
        )
    )
    rows = _offsets(slices)
    gap, length = np.empty((2, len(joined.form)), np.uint16)
    _cut(rows, joined.start, joined.end, first, last, gap, length, joined.form)
    return Blocks(rows, gap, length, *joined[2:])


def _variants_of(slices: Sequence[tuple[RecordColumns, int, int]]) -> tuple[Variants, tuple[bytes, ...]]:
    # one of them stays for the columns' types
    some = [one for one in slices if one[1] < one[2]] or slices[:1]

    def column(name: str) -> Any:
        place = RecordColumns._fields.index(name)
        return np.concatenate([columns[place][begin:end] for columns, begin, end in some])

    def flat(name: str, rows: str) -> Any:
        place, offsets = RecordColumns._fields.index(name), RecordColumns._fields.index(rows)
        return np.concatenate([one[place][one[offsets][begin] : one[offsets][end]] for one, begin, end in some])

    def offsets(name: str) -> Longs:
        place = RecordColumns._fields.index(name)
        counts = [np.diff(columns[place][begin : end + 1]) for columns, begin, end in some]
        return np.concatenate([np.zeros(1, np.int64), *counts]).cumsum()

    alt_rows = offsets("alt_rows")
    lengths = np.concatenate(
        [
            one.lengths[one.alt_rows[begin] + STRINGS * begin : one.alt_rows[end] + STRINGS * end]
            for one, begin, end in some
        ]
    )
    heap = flat("heap", "heap_rows")
    start = column("start")
    ref, id_, pgt, pid = np.empty((4, len(start)), np.int32)
    alt = np.empty(alt_rows[-1], np.int32)
    spans = np.empty((len(lengths), 2), np.int64)
    count = _code(heap, lengths, alt_rows, ref, alt, id_, pgt, pid, spans)
    text = heap.tobytes()
    variants = Variants(
        rows=_offsets(slices),
        start=start,
        end=column("end"),
        ref=ref,
        alt_rows=alt_rows,
        alt=alt,
        flags=column("flags"),
        ploidy=column("ploidy"),
        gt=column("gt"),
        gq=column("gq"),
        dp=column("dp"),
        min_dp=column("min_dp"),
        ad_rows=offsets("ad_rows"),
        ad=flat("ad", "ad_rows"),
        pl_rows=offsets("pl_rows"),
        pl=flat("pl", "pl_rows"),
        sb=column("sb"),
        pgt=pgt,
        pid=pid,
        ps=column("ps"),
        id=id_,
        info_dp=column("info_dp"),
        mq_sum=column("mq_sum"),
        mq_depth=column("mq_depth"),
        ranked=column("ranked"),
    )
    return variants, tuple(text[begin:end] for begin, end in spans[:count].tolist())


def _offsets(slices: Sequence[tuple[object, int, int]]) -> Longs:
    return np.cumsum([0, *(end - begin for _, begin, end in slices)], dtype=np.int64)


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
    lengths: Ints,
    alt_rows: Longs,
    ref: Ints,
    alt: Ints,
    id_: Ints,
    pgt: Ints,
    pid: Ints,
    spans: NDArray[np.int64],
) -> int:
    """Codes of the rows' strings, by first appearance. Returns how many there are; `spans`: where each lies in the
    heap."""
    size = 64
    while size < 2 * len(lengths):
        size *= 2
    slots = np.full(size, -1, np.int32)
    count, at, string = 0, 0, 0
    for row in range(len(ref)):
        alts = alt_rows[row + 1] - alt_rows[row]
        for place in range(alts + STRINGS):
            length = lengths[string]
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
