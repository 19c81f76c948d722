"""Windows made of whole cloth, for tests of the store: every form of a block, every field of a record there or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.tables import (
    BLOCK_TYPES,
    CONTINUED,
    HAPLOID,
    HAS_PL,
    NO_CALL,
    RANKED,
    USUAL_FORM,
    Blocks,
    Variants,
    Window,
)

FORMS = (USUAL_FORM, USUAL_FORM | CONTINUED, USUAL_FORM | HAPLOID, USUAL_FORM & ~HAS_PL, NO_CALL, USUAL_FORM | NO_CALL)


def made_window(
    *, seed: int, samples: int, first: int = 1, last: int = 1024, records: int = 12, wild: bool = False
) -> Window:
    """Blocks and explicit records of each sample lie side by side, as in a gVCF: no two of a sample overlap, save that
    a deletion's record may be cut short by the next. `wild`: any number in any column but those of where blocks lie."""
    dice = np.random.default_rng(seed)
    strings = [b"A", b"C", b"G", b"T", b"AT", b"GCC", b"*", b"0|1", b"1|0"]
    columns: dict[str, list[int]] = {name: [] for name in BLOCK_TYPES}
    explicit: list[tuple[int, int]] = []
    block_rows, variant_rows = [0], [0]
    for _ in range(samples):
        at = first if dice.random() < 0.7 else first + int(dice.integers(0, 50))
        end = first - 1
        continued = bool(dice.random() < 0.3) and at == first
        while at <= last and dice.random() < 0.97 and len(columns["gap"]) - block_rows[-1] < records:
            if dice.random() < 0.2:
                span = int(dice.integers(1, 8))
                start = at - 3 if at == first and at > 3 and dice.random() < 0.5 else at
                explicit.append((start, start + span + 2))
                at += span
                continue
            length = min(int(dice.geometric(1 / 9)), last - at + 1)
            depth = int(dice.poisson(30))
            form = USUAL_FORM if dice.random() < 0.8 else int(dice.choice(FORMS))
            form = (form & ~CONTINUED) | (CONTINUED if continued else 0)
            pl1 = int(3 * depth + dice.integers(-9, 9)) if form & HAS_PL and depth > 3 else 0
            pl2 = 15 * pl1 if dice.random() < 0.3 else max(0, 33 * depth + int(dice.integers(-60, 60)))
            row = {
                "gap": at - end - 1,
                "length": length,
                "form": form,
                "gq": min(99, pl1) if dice.random() < 0.9 else int(dice.integers(0, 100)),
                "min_dp": depth,
                "dp": depth + int(dice.integers(0, 3)),
                "pl0": 0,
                "pl1": pl1,
                "pl2": pl2 if form & HAS_PL and not form & HAPLOID else 0,
            }
            for name, value in row.items():
                columns[name].append(value)
            end = at + length - 1
            at = end + 1 + (int(dice.integers(1, 40)) if dice.random() < 0.1 else 0)
            continued = False
        block_rows.append(len(columns["gap"]))
        variant_rows.append(len(explicit))
    arrays = {name: np.array(values, BLOCK_TYPES[name]) for name, values in columns.items()}
    if wild:
        for name in sorted(set(arrays) - {"gap", "length"}):
            array = arrays[name]
            top = int(np.iinfo(array.dtype).max)
            arrays[name] = dice.integers(0, top, array.size, array.dtype, endpoint=True)
    blocks = Blocks(np.array(block_rows, np.int64), **arrays)
    variants, strings = _explicit(dice, explicit, variant_rows, strings, wild=wild)
    return Window(first, last, blocks, variants, tuple(strings))


def _explicit(
    dice: np.random.Generator, spans: list[tuple[int, int]], rows: list[int], strings: list[bytes], *, wild: bool
) -> tuple[Variants, list[bytes]]:
    n = len(spans)
    alts = dice.integers(0, 4, n)
    ploidy = dice.integers(1, 3, n).astype(np.uint8)
    pls = np.where(ploidy == 1, alts + 2, (alts + 2) * (alts + 3) // 2)

    def maybe(values: NDArray[np.int32]) -> NDArray[np.int32]:
        """ABSENT in half of the rows."""
        return np.where(dice.random(n) < 0.5, np.int32(-1), values)

    def numbers(count: int, top: int = 2000) -> NDArray[np.int32]:
        return dice.integers(0, 2**31 - 1 if wild else top, count, np.int32)

    def lists(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        counts = np.where(dice.random(n) < 0.2, 0, counts)
        rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return rows, numbers(int(rows[-1]))

    def codes(count: int) -> NDArray[np.int32]:
        return dice.integers(0, len(strings), count, np.int32)

    strings = [*strings, *(b"%d_A_T" % start for start, _ in spans)]
    start = np.array([span[0] for span in spans], np.int32)
    depth = maybe(numbers(n, 80))
    mq_depth = maybe(numbers(n, 80)).astype(np.int64)
    ranked = dice.normal(0, 2, (n, len(RANKED))).astype(np.float32)
    ranked[dice.random((n, len(RANKED))) < 0.5] = np.nan
    gt = dice.integers(-1, 3, (n, 2)).astype(np.int8)
    gt[ploidy == 1, 1] = -1
    sb = numbers(4 * n, 40).reshape(n, 4)
    sb[dice.random(n) < 0.5] = -1
    alt_rows = np.concatenate([[0], np.cumsum(alts)]).astype(np.int64)
    ad_rows, ad = lists(alts + 2)
    pl_rows, pl = lists(pls)
    return Variants(
        rows=np.array(rows, np.int64),
        start=start,
        end=np.array([span[1] for span in spans], np.int32),
        ref=codes(n),
        alt_rows=alt_rows,
        alt=codes(int(alt_rows[-1])),
        flags=dice.integers(0, 2, n).astype(np.uint8),
        ploidy=ploidy,
        gt=gt,
        gq=maybe(numbers(n, 100)),
        dp=depth,
        min_dp=maybe(numbers(n, 80)),
        ad_rows=ad_rows,
        ad=ad,
        pl_rows=pl_rows,
        pl=pl,
        sb=sb,
        pgt=maybe(codes(n)),
        pid=maybe(codes(n)),
        ps=maybe(start if not wild else numbers(n)),
        id=maybe(codes(n)),
        info_dp=maybe(depth + 1),
        mq_sum=np.where(mq_depth == -1, -1, mq_depth * 3600 - dice.integers(0, 900, n)).astype(np.int64),
        mq_depth=mq_depth,
        ranked=ranked,
    ), strings


def same(one: Window, other: Window) -> bool:
    """Bit for bit: values, types and shapes of all columns, and the strings."""
    pairs = [*zip(one.blocks, other.blocks, strict=True), *zip(one.variants, other.variants, strict=True)]
    alike = all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)
    return alike and (one.first, one.last, one.strings) == (other.first, other.last, other.strings)
