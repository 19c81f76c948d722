"""Calling the sites of a stretch, one after the other: which alleles stay, what each sample has, what INFO says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import assigning, cells, combining, frequency, model, pruning, spreading
from services.jointcall.columnar.genotype.cells import Alleles, Cells
from services.jointcall.columnar.genotype.explicit import ALTS, GQ, ONE, PLOIDY, Records
from services.jointcall.columnar.genotype.shapes import STAR, Shapes
from services.jointcall.columnar.genotype.walk import KEY_APPROXIMATE, KEY_UNUSED
from services.jointcall.columnar.tables import ABSENT, Bytes, Floats, Ints, Longs

Doubles = NDArray[np.float64]

LOG_10 = float(np.log(10.0))

# Called.written
NOT_WRITTEN = 0
VARIANT = 1
REFERENCE_ONLY = 2  # with all sites: there is no ALT
TURNED_OUT = 3  # with all sites: no ALT is kept or called
LEFT_OUT = 4  # a sample is called with an ALT and has no likelihoods: GATK passes over the site without a word


class Pooled(NamedTuple):
    """Reference blocks over m sites: `plain` (m, 256), the others' keys and counts (by site in `rows`), reads,
    chromosomes of called blocks, and whether there is any block."""

    plain: Ints
    rows: Longs
    key: Longs
    times: Longs
    depth: Longs
    called: Longs
    covered: Bytes


class Called(NamedTuple):
    """`allele_...` are parallel to Alleles.code, `gt`, `gq` and `state` to the cells; the rest is (m,)."""

    written: Bytes
    qual: Doubles
    allele_kept: Bytes
    allele_mle: Ints
    allele_count: Ints
    number: Ints  # of called alleles
    depth: Longs
    squares: Longs  # (m, 2): RAW_MQandDP, ABSENT reads without
    ranked: Floats
    strand: Ints  # (m, 8): of cells with more than two reads, then of all
    qd_depth: Longs
    excess_het: Doubles  # NaN: there is none
    inbreeding: Doubles  # infinite: there is none
    near_stop: Bytes
    gt: NDArray[np.int8]
    gq: Ints
    state: Bytes


@compiled
def _blank(m: int, alleles: int, c: int) -> Called:
    squares = np.zeros((m, 2), np.int64)
    squares[:, 1] = ABSENT
    return Called(
        np.zeros(m, np.uint8),
        np.full(m, np.nan, np.float64),
        np.zeros(alleles, np.uint8),
        np.zeros(alleles, np.int32),
        np.zeros(alleles, np.int32),
        np.zeros(m, np.int32),
        np.zeros(m, np.int64),
        squares,
        np.full((m, 7), np.nan, np.float32),
        np.zeros((m, 8), np.int32),
        np.zeros(m, np.int64),
        np.full(m, np.nan, np.float64),
        np.full(m, np.inf, np.float64),
        np.zeros(m, np.uint8),
        np.full((c, 2), ABSENT, np.int8),
        np.full(c, ABSENT, np.int32),
        np.zeros(c, np.uint8),
    )


@compiled
def call(
    positions: Ints,
    lengths: Ints,
    alleles: Alleles,
    found: Cells,
    shape: Ints,
    shapes: Shapes,
    star: Ints,
    records: Records,
    own_squares: Longs,
    own_ranked: Floats,
    pooled: Pooled,
    powers: Doubles,
    open_until: int,
    all_sites: bool,
) -> tuple[Called, int]:
    """`lengths` of the alleles, parallel to their codes; `own_squares` and `own_ranked` of the records (RAW_MQandDP,
    RANKED). `open_until`: the last base of the deletions that were emitted upstream; the second value is the same for
    what comes behind the last site."""
    m = len(positions)
    out = _blank(m, len(alleles.code), len(found.row))
    for site in range(m):
        begin, end = alleles.rows[site], alleles.rows[site + 1]
        c0, c1 = found.rows[site], found.rows[site + 1]
        code, rows = alleles.code[begin:end], found.row[c0:c1]
        k = end - begin
        if (k < 2 and not all_sites) or _too_many(k, rows, records):
            continue
        depth = combining.depth_of_site(rows, records, pooled.depth[site])
        out.depth[site] = depth
        if all_sites and (c1 > c0 or pooled.covered[site]):
            out.written[site] = REFERENCE_ONLY
        if k < 2:
            continue
        keys = pooled.key[pooled.rows[site] : pooled.rows[site + 1]]
        times = pooled.times[pooled.rows[site] : pooled.rows[site + 1]]
        if not all_sites and pruning.hopeless(k, rows, records, pooled.plain[site], keys, times, powers):
            continue
        local = np.empty((c1 - c0, k), np.int16)
        standing = np.empty(c1 - c0, np.uint8)
        _seen(local, standing, code, site, rows, shape, star, shapes, records)
        if _lacking(rows, records, local):
            # without a read, or with `*` alone, it would have been no variant anyway
            out.written[site] = LEFT_OUT if depth > 0 and (k > 2 or code[1] != STAR) else NOT_WRITTEN
            continue
        if depth == 0:
            continue
        if all_sites and not _any_likelihoods(rows, records, standing, pooled.plain[site], keys):
            out.written[site] = NOT_WRITTEN
            continue
        considered = model.considered(k, rows, records, local, standing)
        blocks = frequency.blocks_of(pooled.plain[site], keys, times, powers, len(considered) < k)
        kept, qual, near = model.model(
            considered, code, lengths[begin:end], rows, records, local, standing, blocks,
            open_until >= positions[site], powers, out.allele_mle[begin:end],
        )  # fmt: skip
        out.near_stop[site] = near
        if len(kept) == 1:
            # how sure it is that there is a variant after all
            qual = -10.0 * np.log10(-np.expm1(qual / -10.0 * LOG_10)) + 0.0
        out.qual[site] = qual
        if all_sites:
            out.written[site] = TURNED_OUT
        elif len(kept) == 1 or qual < model.CONFIDENCE:
            continue
        combining.combine(out.squares[site], out.ranked[site], positions[site], rows, records, own_squares, own_ranked)
        if len(kept) == 1:
            continue
        for at in kept[1:]:
            shorter = lengths[begin] - lengths[begin + at]
            if shorter > 0:
                open_until = max(open_until, positions[site] + shorter)
        for at in kept:
            out.allele_kept[begin + at] = 1
        number, out.qd_depth[site] = assigning.genotypes(
            out.gt[c0:c1], out.gq[c0:c1], out.state[c0:c1], out.allele_count[begin:end],
            kept, rows, records, local, standing,
        )  # fmt: skip
        out.number[site] = number + pooled.called[site]
        if _is_variant(out.allele_kept[begin:end], out.allele_count[begin:end], code, all_sites):
            out.written[site] = VARIANT
            combining.strands(out.strand[site], rows, records, standing)
            out.excess_het[site], out.inbreeding[site] = spreading.spread(
                out.gt[c0:c1], out.state[c0:c1], kept, rows, records, local, pooled.plain[site], keys, times, powers
            )
    return out, open_until


@compiled
def _seen(
    local: NDArray[np.int16],
    standing: Bytes,
    code: Ints,
    site: int,
    rows: Ints,
    shape: Ints,
    star: Ints,
    shapes: Shapes,
    records: Records,
) -> None:
    """Fills `local` (c, K) and `standing` (c,) for the site's records `rows`."""
    for cell, row in enumerate(rows):
        standing[cell] = cells.standing(records, row)
        # neighbours have the same alleles nearly always
        if cell and shape[row] == shape[rows[cell - 1]] and star[row] == star[rows[cell - 1]]:
            local[cell] = local[cell - 1]
        else:
            cells.local_alleles(local[cell], code, site, shape[row], star[row], shapes, records, row)


@compiled
def _too_many(k: int, rows: Ints, records: Records) -> bool:
    if k >= cells.MOST_ALLELES:
        return True
    if (k + 1) * (k + 2) // 2 <= cells.MOST_GENOTYPES:
        return False
    diploid = 0
    for row in rows:
        diploid += records.figures[row, PLOIDY] == 2
    return diploid > 0


@compiled
def _lacking(rows: Ints, records: Records, local: NDArray[np.int16]) -> bool:
    """Whether a sample is called with an ALT of the site and has no likelihoods for it."""
    for cell, row in enumerate(rows):
        if records.pl_rows[row + 1] > records.pl_rows[row] or records.figures[row, GQ] <= 0:
            continue
        non_ref = records.figures[row, ALTS] + 1
        for at in range(records.figures[row, PLOIDY]):
            mine = records.figures[row, ONE + at]
            if 0 < mine < non_ref:
                for k in range(1, local.shape[1]):
                    if local[cell, k] == mine:
                        return True
    return False


@compiled
def _any_likelihoods(rows: Ints, records: Records, standing: Bytes, plain: Ints, keys: Longs) -> bool:
    """GATK does not genotype a site where no sample has PL, though it would approximate them from GQ where one has."""
    found = plain.sum() > 0
    for cell, row in enumerate(rows):
        found |= records.pl_rows[row + 1] > records.pl_rows[row] and not standing[cell] & cells.STRIPPED
    for key in keys:
        found |= key & (KEY_APPROXIMATE | KEY_UNUSED) == 0
    return bool(found)


@compiled
def _is_variant(kept: Bytes, count: Ints, code: Ints, all_sites: bool) -> bool:
    called = real = False
    for at in range(1, len(code)):
        if kept[at]:
            called |= count[at] > 0
            real |= code[at] != STAR
    return called and (real or all_sites)
