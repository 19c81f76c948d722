"""Which record of each sample covers each site, in one pass over a sample's records.

The record with the latest start wins; where it has ended nothing covers, whatever reaches over from further upstream.
Explicit records become cells, one by one. Reference blocks that can only be 0/0 or no-call become counts: what the
model needs of them is how many there are of each kind of likelihoods. A block whose best genotype is not 0/0 is a cell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import Whole, compiled
from services.jointcall.columnar.tables import (
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    Blocks,
    Bytes,
    Ints,
    Longs,
    Shorts,
)

SATURATED = 255
"""Likelihoods of 0/<NON_REF> and <NON_REF>/<NON_REF> beyond this many phred change no result: at a billion samples the
largest prior odds are 10^18, and 10^-25.5 times that is below what a sum in double precision keeps."""

# Dense.form: what stands in a sample's column
EMPTY = 0
REFERENCE = 1
UNCALLED = 2
BARE = 4  # no-call without any field
ONE_COPY = 8
WITH_PL = 16
WITH_GQ = 32
WITH_DEPTH = 64
WITH_SAID = 128

# bits of a likelihood key above its three values of 16 bits
KEY_HAPLOID = np.int64(1) << np.int64(48)
KEY_APPROXIMATE = np.int64(1) << np.int64(49)  # no PL: from GQ
KEY_UNCALLED = np.int64(1) << np.int64(50)
KEY_UNUSED = np.int64(1) << np.int64(51)  # not in the model
KEY_BARE = np.int64(1) << np.int64(52)  # in the model, and written without any field


class Found(NamedTuple):
    """Of one batch. `cell_...` are parallel, by sample, then site. `plain[i, p]`: called blocks with likelihoods
    (0, p, 255 or more) over site i. `odd_site`, `odd_key`: the other blocks, one entry each. `block_...`: blocks that
    have to be looked at one by one: site, sample of the batch, row."""

    cell_site: Ints
    cell_sample: Ints
    cell_row: Ints
    odd_site: Ints
    odd_key: Longs
    block_site: Ints
    block_sample: Ints
    block_row: Ints


class Dense(NamedTuple):
    """What stands in the columns of samples that a block covers, site by site: (m, N) each."""

    form: Bytes
    gq: Bytes  # of the likelihoods
    said: Bytes  # the record's own GQ
    depth: Shorts
    reads: Shorts  # the record's own DP
    pl1: Shorts
    pl2: Shorts


def dense(sites: int, samples: int) -> Dense:
    shape = (sites, samples)
    return Dense(
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.uint16),
        np.zeros(shape, np.uint16),
        np.zeros(shape, np.uint16),
        np.zeros(shape, np.uint16),
    )


@compiled
def _grown(array: NDArray[Any], least: int) -> NDArray[Any]:
    out = np.empty(max(least, 2 * len(array)), array.dtype)
    out[: len(array)] = array
    return out


@compiled
def walk(
    first: int,
    blocks: Blocks,
    rows: Longs,
    starts: Ints,
    ends: Ints,
    positions: Ints,
    columns: Ints,
    masked: Bytes,
    plain: Ints,
    depths: Longs,
    covered: Longs,
    want_dense: bool,
    out: Dense,
) -> Found:
    """One batch's window, whose first base is `first`, against the sites at `positions` (ascending, of this window).

    `rows`, `starts` and `ends` are those of the window's explicit records. `columns[i]` is sample i's place in the
    cohort. Adds to `plain` (m, 256), to `depths` (m,) the reads of blocks, and to `covered` (m,) the chromosomes
    that a called block has there. Fills `out` where `want_dense`."""
    cell_site, cell_sample, cell_row = np.empty(64, np.int32), np.empty(64, np.int32), np.empty(64, np.int32)
    odd_site, odd_key = np.empty(64, np.int32), np.empty(64, np.int64)
    block_site, block_sample, block_row = np.empty(16, np.int32), np.empty(16, np.int32), np.empty(16, np.int32)
    cells = odds = singles = 0
    m = len(positions)
    for sample in range(len(blocks.rows) - 1):
        if masked[sample]:
            continue
        b, b_end = blocks.rows[sample], blocks.rows[sample + 1]
        v, v_end = rows[sample], rows[sample + 1]
        column = columns[sample]
        b_start = np.int64(-1)  # of block b - 1, the last one that starts at or before the site
        b_stop = np.int64(first) - 1
        next_start = b_stop + 1 + np.int64(blocks.gap[b]) if b < b_end else np.int64(1) << 40
        for site in range(m):
            at = np.int64(positions[site])
            while next_start <= at:
                b_start = next_start
                b_stop = next_start + np.int64(blocks.length[b]) - 1
                b += 1
                next_start = b_stop + 1 + np.int64(blocks.gap[b]) if b < b_end else np.int64(1) << 40
            while v < v_end and starts[v] <= at:
                v += 1
            if v > rows[sample] and np.int64(starts[v - 1]) >= b_start:
                if ends[v - 1] >= at:
                    if cells == len(cell_site):
                        cell_site = _grown(cell_site, cells)
                        cell_sample = _grown(cell_sample, cells)
                        cell_row = _grown(cell_row, cells)
                    cell_site[cells], cell_sample[cells], cell_row[cells] = site, sample, v - 1
                    cells += 1
                continue
            if b_stop < at:
                continue
            row = b - 1
            form = blocks.form[row]
            gq = blocks.gq[row]
            depth = blocks.min_dp[row] if form & HAS_MIN_DP else blocks.dp[row]
            pl0, pl1, pl2 = blocks.pl0[row], blocks.pl1[row], blocks.pl2[row]
            if form & (HAPLOID | NO_CALL | HAS_PL | HAS_GQ) == HAS_PL | HAS_GQ and pl0 == 0 and pl1 > 0 and pl2 >= 255:
                plain[site, min(pl1, np.uint16(SATURATED))] += 1
                depths[site] += depth
                covered[site] += 2
                if want_dense:
                    shown = REFERENCE | WITH_PL | WITH_GQ | WITH_SAID
                    if form & (HAS_MIN_DP | HAS_DP):
                        shown |= WITH_DEPTH
                    out.form[site, column] = shown
                    out.gq[site, column] = min(np.uint16(99), pl1, pl2)
                    out.said[site, column] = gq
                    out.depth[site, column] = depth
                    out.reads[site, column] = blocks.dp[row]
                    out.pl1[site, column] = pl1
                    out.pl2[site, column] = pl2
                continue
            # a haploid 0,1 is enough to call from at a site of three alleles, and not at one of two
            edge = form & HAPLOID and pl1 == 1 and form & (NO_CALL | HAS_GQ) != HAS_GQ
            if pl0 > 0 or edge:
                if singles == len(block_site):
                    block_site = _grown(block_site, singles)
                    block_sample = _grown(block_sample, singles)
                    block_row = _grown(block_row, singles)
                block_site[singles], block_sample[singles], block_row[singles] = site, sample, row
                singles += 1
                continue
            depths[site] += depth
            key, shown, quality = _kind(form, gq, blocks.dp[row], pl1, pl2)
            if not shown & (UNCALLED | BARE):
                covered[site] += 1 if form & HAPLOID else 2
            if odds == len(odd_site):
                odd_site, odd_key = _grown(odd_site, odds), _grown(odd_key, odds)
            odd_site[odds], odd_key[odds] = site, key
            odds += 1
            if want_dense:
                if form & (HAS_MIN_DP | HAS_DP):
                    shown |= WITH_DEPTH
                if form & HAS_GQ:
                    shown |= WITH_SAID
                out.form[site, column] = shown
                out.gq[site, column] = quality
                out.said[site, column] = gq
                out.depth[site, column] = depth
                out.reads[site, column] = blocks.dp[row]
                out.pl1[site, column] = pl1
                out.pl2[site, column] = pl2
    return Found(
        cell_site[:cells],
        cell_sample[:cells],
        cell_row[:cells],
        odd_site[:odds],
        odd_key[:odds],
        block_site[:singles],
        block_sample[:singles],
        block_row[:singles],
    )


@compiled
def _kind(form: int, gq: int, dp: int, pl1: int, pl2: int) -> tuple[Whole, int, int]:
    """Likelihood key, `Dense.form` and GQ of a block whose best genotype is 0/0."""
    key = (np.int64(pl1) << np.int64(16)) | np.int64(pl2)
    haploid = form & HAPLOID != 0
    shown = ONE_COPY if haploid else 0
    if haploid:
        key |= KEY_HAPLOID
    no_quality = form & HAS_GQ != 0 and gq == 0
    no_depth = form & HAS_DP != 0 and dp == 0
    if form & HAS_PL:
        flat = pl1 == 0 and (haploid or pl2 == 0)
        quality = min(99, pl1) if haploid else min(99, pl1, pl2)
        shown |= WITH_PL
        if form & HAS_GQ or pl1 + (0 if haploid else pl2) > 1:
            shown |= WITH_GQ
        if no_quality and no_depth:
            return key | KEY_UNCALLED | (KEY_BARE if flat else KEY_UNUSED), BARE | shown, 0
        if quality < 1:
            return key | KEY_UNCALLED, UNCALLED | shown, quality
        return key, REFERENCE | shown, quality
    quality = gq
    if form & HAS_GQ:
        shown |= WITH_GQ
    called = form & NO_CALL == 0
    if not called or haploid or form & HAS_GQ == 0 or gq == 0:
        key |= KEY_UNUSED
    else:
        key = (np.int64(gq) << np.int64(16)) | np.int64(10 * gq) | KEY_APPROXIMATE
    if no_quality and no_depth:
        return key | KEY_UNCALLED, BARE | shown, 0
    if not called or form & HAS_GQ == 0 or gq < 1:
        return key | KEY_UNCALLED, UNCALLED | shown, quality
    return key, REFERENCE | shown, quality
