"""Which record covers which site: against looking at each base of each sample, on windows made at random."""

from __future__ import annotations

import numpy as np
import pytest

from services.jointcall.columnar.genotype import walk as walking
from services.jointcall.columnar.genotype.ordering import by_start
from services.jointcall.columnar.genotype.walk import fill, kind_of, walk
from services.jointcall.columnar.tables import (
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    USUAL_FORM,
    Blocks,
    Variants,
    Window,
)

FIRST, LAST, SAMPLES = 1001, 1400, 7
FORMS = (USUAL_FORM,) * 8 + (
    HAS_DP | HAS_GQ,
    HAS_DP | HAS_GQ | HAS_PL | HAPLOID,
    HAS_DP | NO_CALL,
    HAS_DP | HAS_MIN_DP | HAS_PL,
)


def made(rng: np.random.Generator, *, upstream: bool) -> tuple[Window, np.ndarray]:
    """A window, and (samples, bases) which record covers each base: block b is b + 1, explicit record v is -v - 1."""
    covers = np.zeros((SAMPLES, LAST - FIRST + 1), np.int64)
    blocks: list[tuple[int, ...]] = []
    records: list[tuple[int, int]] = []
    block_rows, record_rows = [0], [0]
    for sample in range(SAMPLES):
        at, last_end = FIRST, FIRST - 1
        if upstream and rng.random() < 0.6:
            # it reaches in from in front of the window, up to where the next record begins
            at = int(rng.integers(FIRST, FIRST + 20))
            records.append((FIRST - int(rng.integers(1, 50)), at + int(rng.integers(-1, 9))))
            covers[sample, : records[-1][1] + 1 - FIRST] = -len(records)
        while at <= LAST:
            if rng.random() < 0.25:
                records.append((at, at + int(rng.choice([0, 0, 0, 3, 30]))))
                covers[sample, at - FIRST :] = 0
                covers[sample, at - FIRST : records[-1][1] + 1 - FIRST] = -len(records)
                at += int(rng.integers(1, 6))
                continue
            length = min(int(rng.choice([1, 2, 9, 40])), LAST - at + 1)
            blocks.append((at - last_end - 1, length))
            covers[sample, at - FIRST :] = 0
            covers[sample, at - FIRST : at - FIRST + length] = len(blocks)
            at += length
            last_end = at - 1
            at += int(rng.choice([0, 0, 0, 0, 5]))
        block_rows.append(len(blocks))
        record_rows.append(len(records))
    n = len(blocks)
    form = rng.choice(np.array(FORMS, np.uint8), n)
    table = Blocks(
        rows=np.array(block_rows, np.int64),
        gap=np.array([gap for gap, _ in blocks], np.uint16),
        length=np.array([length for _, length in blocks], np.uint16),
        form=form,
        gq=rng.integers(0, 100, n).astype(np.uint8),
        min_dp=rng.integers(0, 50, n).astype(np.uint16),
        dp=rng.integers(0, 50, n).astype(np.uint16),
        pl0=np.where(rng.random(n) < 0.05, 7, 0).astype(np.uint16),
        pl1=rng.integers(0, 300, n).astype(np.uint16),
        pl2=np.where(form & HAPLOID, 0, rng.integers(200, 900, n)).astype(np.uint16),
    )
    return Window(FIRST, LAST, table, explicit(records, record_rows), ()), covers


def explicit(records: list[tuple[int, int]], rows: list[int]) -> Variants:
    """Of each only where it lies, and one likelihood, its number; `alt` has as many values as the number modulo 3."""
    n = len(records)
    none, empty = np.full(n, -1, np.int32), np.zeros(n + 1, np.int64)
    each = np.arange(n) % 3
    alt_rows = np.concatenate([[0], np.cumsum(each)]).astype(np.int64)
    return Variants(
        rows=np.array(rows, np.int64), start=np.array([start for start, _ in records], np.int32),
        end=np.array([end for _, end in records], np.int32), ref=none, alt_rows=alt_rows,
        alt=np.repeat(np.arange(n), each).astype(np.int32), flags=np.zeros(n, np.uint8),
        ploidy=np.full(n, 2, np.uint8), gt=np.zeros((n, 2), np.int8), gq=none, dp=none, min_dp=none, ad_rows=empty,
        ad=none[:0], pl_rows=np.arange(n + 1, dtype=np.int64), pl=np.arange(n, dtype=np.int32),
        sb=np.zeros((n, 4), np.int32), pgt=none, pid=none, ps=none, id=none, info_dp=none,
        mq_sum=none.astype(np.int64), mq_depth=none.astype(np.int64), ranked=np.zeros((n, 7), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_the_latest_record_covers_and_blocks_are_counted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, covers = made(rng, upstream=seed % 3 != 0)
    positions = np.sort(rng.choice(np.arange(FIRST, LAST + 1), int(rng.integers(1, 250)), replace=False)).astype(
        np.int32
    )
    masked = (rng.random(SAMPLES) < 0.2).astype(np.uint8)
    m = len(positions)
    plain, depths, covered = np.zeros((m, 256), np.int32), np.zeros(m, np.int64), np.zeros(m, np.int64)
    found = walk(window, positions, masked, plain, depths, covered)
    dense = walking.dense(m, SAMPLES)
    fill(FIRST, LAST, window.blocks, positions, np.arange(SAMPLES, dtype=np.int32), masked, dense)

    cells, odd, single = set(), [], set()
    b = window.blocks
    for at, position in enumerate(positions.tolist()):
        counts, depth, copies = np.zeros(256, int), 0, 0
        for sample in np.flatnonzero(masked == 0).tolist():
            which = int(covers[sample, position - FIRST])
            if which < 0:
                cells.add((at, sample, -which - 1))
            if which <= 0:
                assert dense.form[at, sample] == walking.EMPTY
                continue
            row = which - 1
            form, pl1, pl2 = int(b.form[row]), int(b.pl1[row]), int(b.pl2[row])
            if b.pl0[row] > 0 or (form & HAPLOID and pl1 == 1 and form & (NO_CALL | HAS_GQ) != HAS_GQ):
                single.add((at, sample, row))
                assert dense.form[at, sample] == walking.EMPTY
                continue
            reads = int(b.min_dp[row] if form & HAS_MIN_DP else b.dp[row])
            depth += reads
            key, shown, quality = kind_of(form, int(b.gq[row]), int(b.dp[row]), pl1, pl2)
            assert dense.form[at, sample] & (walking.WITH_DEPTH - 1) == shown
            assert (dense.depth[at, sample], dense.gq[at, sample]) == (reads, quality)
            assert (dense.pl1[at, sample], dense.pl2[at, sample]) == (pl1, pl2)
            if form == USUAL_FORM and pl1 > 0 and pl2 >= 255:
                counts[min(pl1, 255)] += 1
                copies += 2
                continue
            odd.append((at, int(key)))
            if not shown & (walking.UNCALLED | walking.BARE):
                copies += 1 if form & HAPLOID else 2
        assert plain[at].tolist() == counts.tolist()
        assert (depths[at], covered[at]) == (depth, copies)
    assert set(zip(*(one.tolist() for one in found[:3]), strict=True)) == cells
    assert sorted(zip(found.odd_site.tolist(), found.odd_key.tolist(), strict=True)) == sorted(odd)
    singles = (found.block_site, found.block_sample, found.block_row)
    assert set(zip(*(one.tolist() for one in singles), strict=True)) == single


@pytest.mark.parametrize("far", [0, 1 << 17])
def test_records_by_start_are_the_same_records(far: int) -> None:
    rng = np.random.default_rng(5)
    starts = [(int(one), int(one)) for one in rng.integers(1, 50 + far, 80)]
    variants = explicit(starts, [0, len(starts)])
    ordered, place = by_start(variants)
    assert (np.diff(ordered.start) >= 0).all()
    same = np.diff(ordered.start) == 0
    assert (np.diff(ordered.pl)[same] > 0).all(), "those of one base stay as they were"
    for row in range(len(starts)):
        at = place[row]
        assert ordered.start[at] == variants.start[row]
        assert ordered.pl[ordered.pl_rows[at] : ordered.pl_rows[at + 1]].tolist() == [row]
        mine = ordered.alt[ordered.alt_rows[at] : ordered.alt_rows[at + 1]]
        assert mine.tolist() == [row] * (row % 3)
