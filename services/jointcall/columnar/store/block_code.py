"""Blocks as they lie on disk and back (schema.py has the table). The way back is what genotyping waits for: each of its
loops goes over few columns, so that the compiler makes vector instructions of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled, unsigned
from services.jointcall.columnar.store.planes import join, split
from services.jointcall.columnar.tables import HAPLOID, HAS_PL, USUAL_FORM, Blocks, Bytes

USUAL_SLOPE = 30
"""Phred of a base as sequencers report it: where a sample has no row to tell it."""
ASKED = 256
"""Rows of a sample that tell its slope: the median of more is the same."""


def to_disk(blocks: Blocks) -> dict[str, Bytes]:
    """The columns of blocks.arrow, as planes."""
    n = blocks.gap.size
    min_dp, dp, pl1, pl2 = (np.empty(n, np.uint16) for _ in range(4))
    gq = np.empty(n, np.uint8)
    slope = np.empty(blocks.rows.size - 1, np.uint8)
    _slopes(blocks.rows, blocks.min_dp, blocks.pl1, blocks.pl2, slope)
    _differ(
        blocks.rows, slope, blocks.form, blocks.gq, blocks.min_dp, blocks.dp, blocks.pl0, blocks.pl1, blocks.pl2,
        gq, min_dp, dp, pl1, pl2,
    )  # fmt: skip
    columns: dict[str, NDArray[Any]] = {
        "rows": np.diff(blocks.rows).astype(np.uint32),
        "slope": slope,
        "gap": blocks.gap,
        "length": blocks.length - np.uint16(1),
        "form": blocks.form ^ np.uint8(USUAL_FORM),
        "gq": gq,
        "min_dp": min_dp,
        "dp": dp,
        "pl0": blocks.pl0,
        "pl1": pl1,
        "pl2": pl2,
    }
    return {name: split(column) for name, column in columns.items()}


def from_disk(columns: Mapping[str, Bytes], *, samples: int) -> Blocks:
    """The tables again. Raises ValueError where the columns do not fit each other."""
    rows = np.zeros(samples + 1, np.int64)
    np.cumsum(join(columns["rows"], count=samples, dtype=np.uint32), out=rows[1:])
    n = int(rows[-1])
    slope = join(columns["slope"], count=samples, dtype=np.uint8)
    form = join(columns["form"], count=n, dtype=np.uint8)
    gq = join(columns["gq"], count=n, dtype=np.uint8)
    gap, length, min_dp, dp, pl0, pl1, pl2 = (
        join(columns[name], count=n, dtype=np.uint16) for name in ("gap", "length", "min_dp", "dp", "pl0", "pl1", "pl2")
    )
    length += np.uint16(1)
    form ^= np.uint8(USUAL_FORM)
    _restore(rows, slope, (form & np.uint8(HAS_PL | HAPLOID)) == HAS_PL, gq, min_dp, dp, pl0, pl1, pl2)
    return Blocks(rows, gap, length, form, gq, min_dp, dp, pl0, pl1, pl2)


def require_within(blocks: Blocks, *, bases: int) -> None:
    """Raises ValueError where a sample's blocks reach past a window of so many bases: who goes through them looks
    places up by base."""
    sample = _reaching_past(blocks.rows, blocks.gap, blocks.length, bases)
    if sample >= 0:
        raise ValueError(f"the blocks of its sample {sample} reach past the window")


@compiled
def _reaching_past(rows: Any, gap: Any, length: Any, bases: int) -> int:
    for sample in range(rows.size - 1):
        reach = np.int64(0)
        for i in range(rows[sample], rows[sample + 1]):
            reach += np.int64(gap[i]) + np.int64(length[i])
        if reach > bases:
            return sample
    return -1


@compiled
def _zigzag(value: Any) -> Any:
    """Of a difference modulo 65,536, into 16 bits."""
    short = value & np.int32(0xFFFF)
    return ((short << np.int32(1)) ^ (np.int32(0) - (short >> np.int32(15)))) & np.int32(0xFFFF)


@compiled
def _unzigzag(code: Any) -> Any:
    return (code >> np.int32(1)) ^ (-(code & np.int32(1)))


@compiled
def _implied_gq(pl0: Any, pl1: Any, pl2: Any, diploid: Any) -> Any:
    """Of two or three likelihoods, as HaplotypeCaller has it: second smallest less smallest, at most 99."""
    low, high = min(pl0, pl1), max(pl0, pl1)
    third = pl2 | ((diploid - np.int32(1)) & np.int32(0xFFFF))
    return min(min(high, max(low, third)) - min(low, third), np.int32(99))


@compiled
def _slopes(rows: Any, min_dp: Any, pl1: Any, pl2: Any, slope: Any) -> None:
    """Per sample the median of pl2 / min_dp, of rows where the SNP model spoke."""
    seen = np.zeros(256, np.int64)
    for sample in range(rows.size - 1):
        begin, end = rows[sample], rows[sample + 1]
        seen[:] = 0
        total = 0
        for row in range(begin, end, 1 + (end - begin) // ASKED):
            i = unsigned(row)
            depth, third = np.int64(min_dp[i]), np.int64(pl2[i])
            if depth > 0 and third > 0 and third != 15 * np.int64(pl1[i]):
                nearest: Any = min((third + depth // 2) // depth, 255)
                seen[nearest] += 1
                total += 1
        best = USUAL_SLOPE
        if total:
            best, below = 0, seen[0]
            while below * 2 < total:
                best += 1
                below += seen[best]
        slope[sample] = best


@compiled
def _differ(
    rows: Any, slope: Any, form: Any, gq: Any, min_dp: Any, dp: Any, pl0: Any, pl1: Any, pl2: Any,
    to_gq: Any, to_min_dp: Any, to_dp: Any, to_pl1: Any, to_pl2: Any,
) -> None:  # fmt: skip
    for sample in range(rows.size - 1):
        best = np.int32(slope[sample])
        before = np.int32(0)
        for row in range(rows[sample], rows[sample + 1]):
            i = unsigned(row)
            depth, one, two = np.int32(min_dp[i]), np.int32(pl1[i]), np.int32(pl2[i])
            diploid = np.int32((form[i] & np.uint8(HAS_PL | HAPLOID)) == HAS_PL)
            to_min_dp[i] = _zigzag(depth - before)
            before = depth
            to_dp[i] = _zigzag(np.int32(dp[i]) - depth)
            to_pl1[i] = _zigzag(one - np.int32(3) * depth * diploid)
            expected = best * depth * diploid
            likely = _zigzag(np.int32(15) * one * diploid - expected)
            found = _zigzag(two - expected)
            # the likely one comes first, those before it make room
            to_pl2[i] = np.int32(0) if found == likely else found + np.int32(found < likely)
            to_gq[i] = np.uint8((np.int32(gq[i]) - _implied_gq(np.int32(pl0[i]), one, two, diploid)) & np.int32(0xFF))


@compiled
def _restore(rows: Any, slope: Any, diploid: Any, gq: Any, min_dp: Any, dp: Any, pl0: Any, pl1: Any, pl2: Any) -> None:
    for sample in range(rows.size - 1):
        before = np.int32(0)
        for i in range(rows[sample], rows[sample + 1]):
            before = before + _unzigzag(np.int32(min_dp[i]))
            min_dp[i] = before
    _restore_dp(min_dp, dp)
    _restore_pl1(min_dp, diploid, pl1)
    for sample in range(rows.size - 1):
        begin, end = rows[sample], rows[sample + 1]
        best = np.int32(slope[sample])
        _restore_pl2(best, diploid[begin:end], min_dp[begin:end], pl1[begin:end], pl2[begin:end])
    _restore_gq(diploid, pl0, pl1, pl2, gq)


@compiled
def _restore_dp(min_dp: Any, dp: Any) -> None:
    for i in range(dp.size):
        dp[i] = np.int32(min_dp[i]) + _unzigzag(np.int32(dp[i]))


@compiled
def _restore_pl1(min_dp: Any, diploid: Any, pl1: Any) -> None:
    for i in range(pl1.size):
        pl1[i] = _unzigzag(np.int32(pl1[i])) + np.int32(3) * np.int32(min_dp[i]) * np.int32(diploid[i])


@compiled
def _restore_pl2(best: Any, diploid: Any, min_dp: Any, pl1: Any, pl2: Any) -> None:
    for i in range(pl2.size):
        told = np.int32(diploid[i])
        expected = best * np.int32(min_dp[i]) * told
        likely = _zigzag(np.int32(15) * np.int32(pl1[i]) * told - expected)
        code = np.int32(pl2[i])
        later = code - np.int32(code <= likely)
        pl2[i] = _unzigzag(likely if code == 0 else later) + expected


@compiled
def _restore_gq(diploid: Any, pl0: Any, pl1: Any, pl2: Any, gq: Any) -> None:
    for i in range(gq.size):
        one, two = np.int32(pl1[i]), np.int32(pl2[i])
        gq[i] += np.uint8(_implied_gq(np.int32(pl0[i]), one, two, np.int32(diploid[i])))
