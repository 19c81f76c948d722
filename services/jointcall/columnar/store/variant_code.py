"""Explicit records as they lie on disk and back (schema.py has the table). They are few: plain numpy will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.store.planes import join, split, unzigzag, zigzag
from services.jointcall.columnar.tables import ABSENT, RANKED, Bytes, Ints, Longs, Variants

PERFECT = 3600
"""What a read of mapping quality 60 adds to RAW_MQandDP's sum of squares."""
NAN_BITS = int(np.array(np.nan, np.float32).view(np.uint32))

CODES = ("ref", "alt", "pgt", "pid", "id")
"""Columns that name strings."""
_NEXT = ("ref", "alt", "ad", "pl", "pgt", "pid", "id", "gq", "dp", "min_dp", "mq_depth")
"""Stored plus one."""
_LISTS = {"alts": "alt_rows", "ads": "ad_rows", "pls": "pl_rows"}


def to_disk(variants: Variants, *, first: int) -> dict[str, Bytes]:
    """The columns of variants.arrow, as planes. `first` is the window's first base."""
    v = variants
    columns: dict[str, NDArray[Any]] = {"rows": np.diff(v.rows).astype(np.uint32)}
    columns["start"] = zigzag(v.start - _before(v.start, v.rows, first))
    columns["end"] = zigzag(v.end - v.start)
    for name, rows in _LISTS.items():
        columns[name] = np.diff(getattr(v, rows)).astype(np.uint32)
    for name in _NEXT:
        columns[name] = _plus_one(getattr(v, name))
    columns["flags"], columns["ploidy"] = v.flags, v.ploidy
    columns["gt"] = (v.gt.T + np.int8(1)).view(np.uint8)
    columns["sb"] = _plus_one(np.ascontiguousarray(v.sb.T))
    columns["ps"] = np.where(v.ps == ABSENT, np.uint32(0), zigzag(v.ps - v.start) + np.uint32(1))
    columns["info_dp"] = zigzag(v.info_dp - v.dp)
    columns["mq_sum"] = zigzag(v.mq_sum - _expected_squares(v.mq_depth))
    columns["ranked"] = np.ascontiguousarray(v.ranked.T).view(np.uint32) ^ np.uint32(NAN_BITS)
    return {name: split(column) for name, column in columns.items()}


def from_disk(columns: Mapping[str, Bytes], *, samples: int, first: int) -> Variants:
    """The tables again. Raises ValueError where the columns do not fit each other."""

    def read(name: str, count: int, dtype: Any = np.uint32) -> Any:
        return join(columns[name], count=count, dtype=dtype)

    rows = _rows(read("rows", samples))
    n = int(rows[-1])
    lists: dict[str, Any] = {of: _rows(read(name, n)) for name, of in _LISTS.items()}
    many = {"alt": int(lists["alt_rows"][-1]), "ad": int(lists["ad_rows"][-1]), "pl": int(lists["pl_rows"][-1])}
    plain: dict[str, Any] = {
        name: _less_one(read(name, many.get(name, n), np.uint64 if name == "mq_depth" else np.uint32)) for name in _NEXT
    }
    start = _running(unzigzag(read("start", n)), rows, first)
    ps = read("ps", n)
    return Variants(
        rows=rows,
        start=start,
        end=start + unzigzag(read("end", n)),
        flags=read("flags", n, np.uint8),
        ploidy=read("ploidy", n, np.uint8),
        gt=np.ascontiguousarray((read("gt", 2 * n, np.uint8).view(np.int8) - np.int8(1)).reshape(2, n).T),
        sb=np.ascontiguousarray(_less_one(read("sb", 4 * n)).reshape(4, n).T),
        ps=np.where(ps == 0, np.int32(ABSENT), unzigzag(ps - np.uint32(1)) + start),
        info_dp=unzigzag(read("info_dp", n)) + plain["dp"],
        mq_sum=unzigzag(read("mq_sum", n, np.uint64)) + _expected_squares(plain["mq_depth"]),
        ranked=np.ascontiguousarray(
            (read("ranked", len(RANKED) * n) ^ np.uint32(NAN_BITS)).view(np.float32).reshape(len(RANKED), n).T
        ),
        **lists,
        **plain,
    )


def _expected_squares(mq_depth: Longs) -> Longs:
    return np.where(mq_depth == ABSENT, np.int64(ABSENT), mq_depth * PERFECT)


def _plus_one(values: NDArray[Any]) -> NDArray[Any]:
    stored: NDArray[Any] = (values + values.dtype.type(1)).view(np.dtype(f"u{values.dtype.itemsize}"))
    return stored


def _less_one(values: NDArray[Any]) -> NDArray[Any]:
    meant: NDArray[Any] = (values - values.dtype.type(1)).view(np.dtype(f"i{values.dtype.itemsize}"))
    return meant


def _rows(counts: NDArray[Any]) -> Longs:
    rows = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=rows[1:])
    return rows


def _before(start: Ints, rows: Longs, first: int) -> Ints:
    """For each row the start of the sample's row before; for a sample's first the window's first base."""
    before = np.empty_like(start)
    before[1:] = start[:-1]
    heads = rows[:-1][np.diff(rows) > 0]
    before[heads] = first
    return before


def _running(steps: Ints, rows: Longs, first: int) -> Ints:
    """Sums within each sample, from `first` on."""
    total = np.zeros(steps.size + 1, np.int64)
    np.cumsum(steps, out=total[1:])
    base = np.repeat(total[rows[:-1]], np.diff(rows))
    running: Ints = (total[1:] - base + first).astype(np.int32)
    return running
