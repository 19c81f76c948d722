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
    Window,
)

SATURATED = 255
"""Likelihoods of 0/<NON_REF> and <NON_REF>/<NON_REF> beyond this many phred change no result: at a billion samples the
largest prior odds are 10^18, and 10^-25.5 times that is below what a sum in double precision keeps."""

AT_ONCE = 4
"""Sites that are written without asking whether the block reaches as far."""
TILE = 16
"""Sites whose counts fit into the processor's nearest memory."""

# of Blocks.form: what makes a block plain, with likelihoods (0, more than 0, 255 or more). Nearly all are
PLAIN_BITS = np.uint8(HAPLOID | NO_CALL | HAS_PL | HAS_GQ)
PLAIN = np.uint8(HAS_PL | HAS_GQ)

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


def walk(window: Window, positions: Ints, masked: Bytes, plain: Ints, depths: Longs, covered: Longs) -> Found:
    """One batch's window against the sites at `positions` (ascending, of this window).

    Adds to `plain` (m, 256), to `depths` (m,) the reads of blocks, and to `covered` (m,) the chromosomes that a called
    block has there."""
    blocks, variants = window.blocks, window.variants
    sites = _sites_before(window.first, window.last, positions)
    reads = np.zeros(len(positions) + 1, np.int64)
    kinds = np.zeros((int(np.count_nonzero(masked == 0)), len(positions) + AT_ONCE), np.uint8)
    others = _kinds(
        blocks.rows, blocks.gap, blocks.length, blocks.form, blocks.min_dp, blocks.dp, blocks.pl0, blocks.pl1,
        blocks.pl2, masked, sites, kinds, reads,
    )  # fmt: skip
    odd_site, odd_key, block_site, block_row = _one_by_one(blocks, *others, covered, reads)
    _count(kinds, reads, plain, depths, covered)
    return Found(
        *_cells(window.first, blocks.rows, blocks.gap, blocks.length, variants.rows, variants.start, variants.end,
                masked, sites),
        odd_site,
        odd_key,
        block_site,
        (np.searchsorted(blocks.rows, block_row, side="right") - 1).astype(np.int32),
        block_row,
    )  # fmt: skip


@compiled
def _kinds(
    rows: Longs,
    gap: Shorts,
    length: Shorts,
    form: Bytes,
    min_dp: Shorts,
    dp: Shorts,
    pl0: Shorts,
    pl1: Shorts,
    pl2: Shorts,
    masked: Bytes,
    sites: Longs,
    kinds: Bytes,
    reads: Longs,
) -> tuple[Longs, Longs, Longs]:
    """Fills `kinds` (samples that are not masked, m + AT_ONCE) with what plain blocks say, 0 where there is none, and
    `reads` with the steps of their depth. Returns the other blocks that lie over sites: row, first site, site behind.

    Millions of blocks go through here: no branch depends on where sites lie."""
    others, firsts, behind = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    many = 0
    n = -1
    for sample in range(len(masked)):
        if masked[sample]:
            continue
        n += 1
        mine = kinds[n]
        at = np.int64(0)  # bases from the window's first one
        for row in range(rows[sample], rows[sample + 1]):
            begin = sites[np.uint64(at + np.int64(gap[row]))]
            at += np.int64(gap[row]) + np.int64(length[row])
            end = sites[np.uint64(at)]
            if (form[row] & PLAIN_BITS) != PLAIN or pl0[row] > 0 or pl1[row] == 0 or pl2[row] < SATURATED:
                if begin < end:
                    if many == len(others):
                        others, firsts, behind = _grown(others, many), _grown(firsts, many), _grown(behind, many)
                    others[many], firsts[many], behind[many] = row, begin, end
                    many += 1
                continue
            kind = np.uint8(min(pl1[row], np.uint16(SATURATED)))
            # what is written too far is written over by what follows
            mine[np.uint64(begin)] = kind
            mine[np.uint64(begin) + np.uint64(1)] = kind
            mine[np.uint64(begin) + np.uint64(2)] = kind
            mine[np.uint64(begin) + np.uint64(3)] = kind
            for site in range(begin + AT_ONCE, end):
                mine[np.uint64(site)] = kind
            mine[np.uint64(end)] = 0
            mine[np.uint64(end) + np.uint64(1)] = 0
            mine[np.uint64(end) + np.uint64(2)] = 0
            mine[np.uint64(end) + np.uint64(3)] = 0
            depth = np.int64(min_dp[row] if form[row] & HAS_MIN_DP else dp[row])
            reads[np.uint64(begin)] += depth
            reads[np.uint64(end)] -= depth
    return others[:many], firsts[:many], behind[:many]


@compiled
def _one_by_one(
    blocks: Blocks, others: Longs, firsts: Longs, behind: Longs, covered: Longs, reads: Longs
) -> tuple[Ints, Longs, Ints, Ints]:
    """Sites and keys of blocks that are not plain, then sites and rows of those that have to be looked at as if they
    were explicit."""
    room = np.int64(0)
    for at in range(len(others)):
        room += behind[at] - firsts[at]
    odd_site, odd_key = np.empty(room, np.int32), np.empty(room, np.int64)
    single_site, single_row = np.empty(room, np.int32), np.empty(room, np.int32)
    odds = singles = 0
    for at in range(len(others)):
        row = others[at]
        form = blocks.form[row]
        if is_single(form, blocks.pl0[row], blocks.pl1[row]):
            for site in range(firsts[at], behind[at]):
                single_site[singles], single_row[singles] = site, row
                singles += 1
            continue
        depth = np.int64(blocks.min_dp[row] if form & HAS_MIN_DP else blocks.dp[row])
        reads[firsts[at]] += depth
        reads[behind[at]] -= depth
        key, shown, _ = kind_of(form, blocks.gq[row], blocks.dp[row], blocks.pl1[row], blocks.pl2[row])
        copies = 0 if shown & (UNCALLED | BARE) else (1 if form & HAPLOID else 2)
        for site in range(firsts[at], behind[at]):
            covered[site] += copies
            odd_site[odds], odd_key[odds] = site, key
            odds += 1
    return odd_site[:odds], odd_key[:odds], single_site[:singles], single_row[:singles]


@compiled
def _cells(
    first: int,
    rows: Longs,
    gap: Shorts,
    length: Shorts,
    explicit: Longs,
    starts: Ints,
    ends: Ints,
    masked: Bytes,
    sites: Longs,
) -> tuple[Ints, Ints, Ints]:
    """Sites, samples and rows of explicit records that cover sites: each up to where the sample's next record begins,
    which is one of the `explicit` rows or of the blocks' `rows`."""
    site_of, sample_of, row_of = np.empty(64, np.int32), np.empty(64, np.int32), np.empty(64, np.int32)
    n = 0
    width = len(sites) - 1
    for sample in range(len(masked)):
        if masked[sample]:
            continue
        block, stop = rows[sample], np.int64(0)
        begin = np.int64(-1) << np.int64(40)  # of the last block that was looked at
        for row in range(explicit[sample], explicit[sample + 1]):
            start = np.int64(starts[row]) - first
            until = min(np.int64(ends[row]) - first + 1, np.int64(width))
            if row + 1 < explicit[sample + 1]:
                until = min(until, np.int64(starts[row + 1]) - first)
            while begin <= start and block < rows[sample + 1]:
                begin = stop + np.int64(gap[block])
                stop = begin + np.int64(length[block])
                block += 1
            if begin > start:
                until = min(until, begin)
            for site in range(sites[max(np.int64(0), start)], sites[max(np.int64(0), until)]):
                if n == len(site_of):
                    site_of, sample_of, row_of = _grown(site_of, n), _grown(sample_of, n), _grown(row_of, n)
                site_of[n], sample_of[n], row_of[n] = site, sample, row
                n += 1
    return site_of[:n], sample_of[:n], row_of[:n]


@compiled
def fill(first: int, last: int, blocks: Blocks, positions: Ints, columns: Ints, masked: Bytes, out: Dense) -> None:
    """What the window's blocks say at the sites at `positions`, into `out`. `columns[i]` is sample i's place in the
    cohort."""
    sites = _sites_before(first, last, positions)
    gap, length = blocks.gap, blocks.length
    for sample in range(len(masked)):
        if masked[sample]:
            continue
        column = columns[sample]
        at = np.int64(0)
        for row in range(blocks.rows[sample], blocks.rows[sample + 1]):
            begin = sites[np.uint64(at + np.int64(gap[row]))]
            at += np.int64(gap[row]) + np.int64(length[row])
            end = sites[np.uint64(at)]
            if begin == end:
                continue
            form, gq, dp = blocks.form[row], blocks.gq[row], blocks.dp[row]
            pl1, pl2 = blocks.pl1[row], blocks.pl2[row]
            if is_single(form, blocks.pl0[row], pl1):
                continue
            _, shown, quality = kind_of(form, gq, dp, pl1, pl2)
            if form & (HAS_MIN_DP | HAS_DP):
                shown |= WITH_DEPTH
            if form & HAS_GQ:
                shown |= WITH_SAID
            depth = blocks.min_dp[row] if form & HAS_MIN_DP else dp
            for site in range(begin, end):
                out.form[site, column] = shown
                out.gq[site, column] = quality
                out.said[site, column] = gq
                out.depth[site, column] = depth
                out.reads[site, column] = dp
                out.pl1[site, column] = pl1
                out.pl2[site, column] = pl2


@compiled
def _sites_before(first: int, last: int, positions: Ints) -> Longs:
    """How many sites lie in front of base `first` + i, up to the base behind the last."""
    out = np.empty(last - first + 2, np.int64)
    site = 0
    for at in range(len(out)):
        out[at] = site
        if site < len(positions) and positions[site] == first + at:
            site += 1
    return out


@compiled
def _count(kinds: Bytes, reads: Longs, plain: Ints, depths: Longs, covered: Longs) -> None:
    samples, m = len(kinds), len(depths)
    for begin in range(0, m, TILE):
        end = min(m, begin + TILE)
        for sample in range(samples):
            for site in range(begin, end):
                plain[site, kinds[sample, site]] += 1
    depth = np.int64(0)
    for site in range(m):
        depth += reads[site]
        depths[site] += depth
        # kind 0 is no plain block
        covered[site] += 2 * (samples - plain[site, 0])
        plain[site, 0] = 0


@compiled
def is_single(form: int, pl0: Whole, pl1: Whole) -> bool:
    """Whether the block has to be looked at as if it were explicit: 0/0 is not its best genotype; or a haploid 0,1,
    which is enough to call from at a site of three alleles, and not at one of two."""
    return bool(pl0 > 0 or (form & HAPLOID != 0 and pl1 == 1 and form & (NO_CALL | HAS_GQ) != HAS_GQ))


@compiled
def kind_of(form: int, gq: int, dp: int, pl1: int, pl2: int) -> tuple[Whole, int, int]:
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
