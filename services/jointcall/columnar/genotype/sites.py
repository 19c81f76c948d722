"""Calling the sites of a stretch, one after the other: which alleles stay, what each sample has, what INFO says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import cells, frequency, measures
from services.jointcall.columnar.genotype.cells import Alleles, Cells
from services.jointcall.columnar.genotype.frequency import COUNT_UNIT, Blocks, Explicit
from services.jointcall.columnar.genotype.shapes import STAR, Shapes
from services.jointcall.columnar.genotype.walk import (
    KEY_APPROXIMATE,
    KEY_BARE,
    KEY_HAPLOID,
    KEY_UNCALLED,
    KEY_UNUSED,
)
from services.jointcall.columnar.tables import ABSENT, Bytes, Floats, Ints, Longs, Variants

Doubles = NDArray[np.float64]

CONFIDENCE = 30.0
"""QUAL, in phred, from which a site is written."""
LOG_10 = float(np.log(10.0))
MOST_ALTS = 6
"""A site with more ALTs is called on the most likely ones of them."""
LEAST_SAMPLES = 10
"""From so many samples with likelihoods on InbreedingCoeff is written."""
NEAR_STOP = 1e-9
"""A last change of the model's counts so close to its stopping rule may stop one round earlier elsewhere."""

# bits of Called.state
UNCALLED = 1
BARE = 2  # no-call without any field
DROPPED = 4  # had an ALT that the site does not keep
UNPHASED = 8  # the record's | is not taken over

# Called.written
NOT_WRITTEN = 0
VARIANT = 1
REFERENCE_ONLY = 2  # with all sites: there is no ALT
TURNED_OUT = 3  # with all sites: no ALT is kept or called


class Pooled(NamedTuple):
    """Reference blocks over m sites: `plain` (m, 256), the others' keys and counts (by site in `rows`), reads, and
    chromosomes of called blocks."""

    plain: Ints
    rows: Longs
    key: Longs
    times: Longs
    depth: Longs
    called: Longs


class Called(NamedTuple):
    """`allele_...` are parallel to Alleles.code, `gt`, `gq` and `state` to the cells; the rest is (m,)."""

    written: Bytes
    qual: Doubles
    allele_kept: Bytes
    allele_mle: Ints
    allele_count: Ints
    mle_number: Ints
    number: Ints
    depth: Longs
    mq_sum: Longs
    mq_depth: Longs
    ranked: Floats
    strand: Ints  # (m, 8): of cells with more than two reads, then of all
    qd_depth: Longs
    excess_het: Doubles
    inbreeding: Doubles
    near_stop: Bytes
    gt: NDArray[np.int8]
    gq: Ints
    state: Bytes


@compiled
def _blank(m: int, alleles: int, c: int) -> Called:
    return Called(
        np.zeros(m, np.uint8),
        np.full(m, np.nan, np.float64),
        np.zeros(alleles, np.uint8),
        np.zeros(alleles, np.int32),
        np.zeros(alleles, np.int32),
        np.zeros(m, np.int32),
        np.zeros(m, np.int32),
        np.zeros(m, np.int64),
        np.zeros(m, np.int64),
        np.full(m, ABSENT, np.int64),
        np.full((m, 7), np.nan, np.float32),
        np.zeros((m, 8), np.int32),
        np.zeros(m, np.int64),
        np.full(m, np.nan, np.float64),
        np.full(m, np.nan, np.float64),
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
    variants: Variants,
    pooled: Pooled,
    powers: Doubles,
    open_until: int,
    all_sites: bool,
) -> tuple[Called, int]:
    """`lengths` of the alleles, parallel to their codes. `open_until`: the last base of the deletions that were
    emitted upstream; the second value is the same for what comes behind the last site."""
    m = len(positions)
    out = _blank(m, len(alleles.code), len(found.row))
    for site in range(m):
        begin, end = alleles.rows[site], alleles.rows[site + 1]
        c0, c1 = found.rows[site], found.rows[site + 1]
        k = end - begin
        if k < 2 and not all_sites:
            continue
        if _too_many(k, c0, c1, found, variants):
            continue
        local = np.empty((c1 - c0, k), np.int16)
        standing = np.empty(c1 - c0, np.uint8)
        for cell in range(c0, c1):
            row = found.row[cell]
            cells.local_alleles(
                local[cell - c0], alleles.code[begin:end], site, shape[row], star[row], shapes, variants, row
            )
            standing[cell - c0] = cells.standing(variants, row)
        _sums(out, site, positions[site], c0, c1, found, variants, standing, pooled)
        if all_sites:
            out.written[site] = REFERENCE_ONLY
        if k < 2 or out.depth[site] == 0:
            continue
        if _lacking(c0, c1, found, variants, local):
            out.written[site] = NOT_WRITTEN
            continue
        blocks = Blocks(
            pooled.plain[site],
            pooled.key[pooled.rows[site] : pooled.rows[site + 1]],
            pooled.times[pooled.rows[site] : pooled.rows[site + 1]],
        )
        considered = _considered(k, c0, c1, found, variants, local, standing)
        covered = open_until >= positions[site]
        if all_sites:
            out.written[site] = TURNED_OUT
        kept = _model(out, site, begin, considered, c0, c1, found, variants, local, standing, blocks, alleles, lengths, covered,
                      powers)  # fmt: skip
        if len(kept) == 1:
            # how sure it is that there is a variant after all
            out.qual[site] = -10.0 * np.log10(-np.expm1(out.qual[site] / -10.0 * LOG_10)) + 0.0
            continue
        if out.qual[site] < CONFIDENCE and not all_sites:
            continue
        for at in kept[1:]:
            shorter = lengths[begin] - lengths[begin + at]
            if shorter > 0:
                open_until = max(open_until, positions[site] + shorter)
        for at in kept:
            out.allele_kept[begin + at] = 1
        _genotypes(out, site, begin, kept, c0, c1, found, variants, local, standing, pooled)
        if _is_variant(out, begin, end, alleles, all_sites):
            out.written[site] = VARIANT
            _spread(out, site, kept, c0, c1, found, variants, local, blocks, powers)
    return out, open_until


@compiled
def _sums(
    out: Called,
    site: int,
    position: int,
    c0: int,
    c1: int,
    found: Cells,
    variants: Variants,
    standing: Bytes,
    pooled: Pooled,
) -> None:
    """What is summed over samples. Of a record that reaches over from upstream only reads and strands count."""
    depth = pooled.depth[site]
    values = np.empty((7, c1 - c0), np.float32)
    counts = np.zeros(7, np.int64)
    for cell in range(c0, c1):
        row = found.row[cell]
        if variants.info_dp[row] != ABSENT:
            depth += variants.info_dp[row]
        else:
            depth += max(0, cells.depth_of(variants, row))
        if variants.sb[row, 0] != ABSENT and not standing[cell - c0] & cells.STRIPPED:
            total = variants.sb[row, 0] + variants.sb[row, 1] + variants.sb[row, 2] + variants.sb[row, 3]
            for at in range(4):
                out.strand[site, 4 + at] += variants.sb[row, at]
                if total > 2:
                    out.strand[site, at] += variants.sb[row, at]
        if variants.start[row] != position:
            continue
        if variants.mq_depth[row] != ABSENT:
            out.mq_sum[site] += variants.mq_sum[row]
            out.mq_depth[site] = max(0, out.mq_depth[site]) + variants.mq_depth[row]
        for field in range(7):
            value = variants.ranked[row, field]
            if not np.isnan(value):
                values[field, counts[field]] = value
                counts[field] += 1
    for field in range(7):
        if counts[field]:
            out.ranked[site, field] = measures.upper_median(values[field, : counts[field]])
    out.depth[site] = depth


@compiled
def _too_many(k: int, c0: int, c1: int, found: Cells, variants: Variants) -> bool:
    if k >= cells.MOST_ALLELES:
        return True
    if (k + 1) * (k + 2) // 2 <= cells.MOST_GENOTYPES:
        return False
    diploid = 0
    for cell in range(c0, c1):
        diploid += variants.ploidy[found.row[cell]] == 2
    return diploid > 0


@compiled
def _lacking(c0: int, c1: int, found: Cells, variants: Variants, local: NDArray[np.int16]) -> bool:
    """Whether a sample is called with an ALT of the site and has no likelihoods for it."""
    for cell in range(c0, c1):
        row = found.row[cell]
        if variants.pl_rows[row + 1] > variants.pl_rows[row]:
            continue
        for at in range(variants.ploidy[row]):
            mine = variants.gt[row, at]
            if mine > 0:
                for k in range(1, local.shape[1]):
                    if local[cell - c0, k] == mine:
                        return True
    return False


@compiled
def _considered(
    k: int, c0: int, c1: int, found: Cells, variants: Variants, local: NDArray[np.int16], standing: Bytes
) -> Ints:
    """Places of the alleles that the model is run on: all, or REF and the ALTs whose carriers are surest."""
    every = np.arange(k).astype(np.int32)
    if k - 1 <= MOST_ALTS:
        return every
    weight = np.zeros(k, np.int64)
    phred = np.empty(k * (k + 1) // 2 + 1, np.int32)
    for cell in range(c0, c1):
        row = found.row[cell]
        genotypes = cells.phreds(phred, variants, row, local[cell - c0], every)
        if genotypes == 0 or standing[cell - c0] & cells.STRIPPED:
            continue
        best, _ = cells.quality(phred, genotypes)
        if best == 0:
            continue
        if variants.ploidy[row] == 1:
            weight[best] += phred[0]
            continue
        low, high = cells.pair(best)
        if low != 0:
            weight[low] += phred[0]
        if high != 0 and high != low:
            weight[high] += phred[0]
    order = np.argsort(-weight[1:], kind="mergesort")
    chosen = np.sort(order[:MOST_ALTS])
    out = np.zeros(MOST_ALTS + 1, np.int32)
    out[1:] = chosen + 1
    return out


@compiled
def _model(
    out: Called,
    site: int,
    begin: int,
    considered: Ints,
    c0: int,
    c1: int,
    found: Cells,
    variants: Variants,
    local: NDArray[np.int16],
    standing: Bytes,
    blocks: Blocks,
    alleles: Alleles,
    lengths: Ints,
    covered: bool,
    powers: Doubles,
) -> Ints:
    """Runs the model, leaves QUAL and MLE counts in `out`, returns the places of the alleles to keep, REF first."""
    k = len(considered)
    genotypes = k * (k + 1) // 2
    explicit = Explicit(
        np.empty(c1 - c0, np.uint8), np.zeros((c1 - c0, genotypes)), np.zeros((c1 - c0, genotypes + 1), np.int32)
    )
    used = 0
    for cell in range(c0, c1):
        row = found.row[cell]
        if standing[cell - c0] & cells.STRIPPED:
            continue
        mine = explicit.phred[used]
        n = cells.phreds(mine, variants, row, local[cell - c0], considered)
        if k < local.shape[1] and standing[cell - c0] & cells.NO_READS:
            continue
        if n == 0:
            if not cells.approximated(variants, row):
                continue
            n = _approximate(mine, k, variants.gq[row])
        for g in range(n):
            explicit.likelihood[used, g] = powers[mine[g]] if mine[g] < 3200 else 0.0
        explicit.ploidy[used] = variants.ploidy[row]
        used += 1
    explicit = Explicit(explicit.ploidy[:used], explicit.likelihood[:used], explicit.phred[:used])
    prior = np.empty(k)
    star = -1
    prior[0] = frequency.REF_PSEUDOCOUNT
    for at in range(1, k):
        same = lengths[begin + considered[at]] == lengths[begin]
        prior[at] = frequency.SNP_PSEUDOCOUNT if same else frequency.INDEL_PSEUDOCOUNT
        if alleles.code[begin + considered[at]] == STAR:
            star = at
    if k < local.shape[1]:
        blocks = _with_reads(blocks)
    counts, f, change = frequency.frequencies(blocks, explicit, prior, powers)
    absent = frequency.absences(blocks, explicit, f, star, powers)
    out.near_stop[site] = abs(change - frequency.CONVERGED) < NEAR_STOP
    kept = np.empty(k, np.int32)
    kept[0] = 0
    n = 1
    for at in range(1, k):
        is_star = at == star
        out.allele_mle[begin + considered[at]] = np.int32(np.floor(counts[at] + 0.5))
        if absent[at] + 1e-10 < -CONFIDENCE / 10.0 and (covered or not is_star):
            kept[n] = considered[at]
            n += 1
    out.qual[site] = -10.0 * absent[0] + 0.0
    return kept[:n]


@compiled
def _with_reads(blocks: Blocks) -> Blocks:
    """Where alleles are left out of the model, samples of which nothing is known are too."""
    kept = blocks.key & KEY_BARE == 0
    return Blocks(blocks.plain, blocks.key[kept], blocks.times[kept])


@compiled
def _approximate(out: Ints, k: int, gq: int) -> int:
    g = 0
    for j in range(k):
        for i in range(j + 1):
            out[g] = 0 if j == 0 else (gq if i == 0 else 10 * gq)
            g += 1
    return g


@compiled
def _genotypes(
    out: Called,
    site: int,
    begin: int,
    kept: Ints,
    c0: int,
    c1: int,
    found: Cells,
    variants: Variants,
    local: NDArray[np.int16],
    standing: Bytes,
    pooled: Pooled,
) -> None:
    """GT, GQ and state of each cell; AC, AN and the depth that QD divides by."""
    phred = np.empty(len(kept) * (len(kept) + 1) // 2 + 1, np.int32)
    number = mle_number = pooled.called[site]
    supported = every = np.int64(0)
    for cell in range(c0, c1):
        row = found.row[cell]
        at = cell - c0
        n = cells.phreds(phred, variants, row, local[at], kept)
        bare = standing[at] & cells.NO_READS != 0
        one, two = np.int8(ABSENT), np.int8(ABSENT)
        haploid = variants.ploidy[row] == 1
        gq = variants.gq[row]
        if n and cells.informative(phred, n):
            best, gq = cells.quality(phred, n)
            if haploid:
                one = np.int8(best)
            else:
                low, high = cells.pair(best)
                one, two = np.int8(low), np.int8(high)
            if best == 0 and cells.doubtful(phred, n):
                one, two = np.int8(ABSENT), np.int8(ABSENT)
        else:
            if not standing[at]:
                one, two = _matched(variants, row, local[at], kept)
            if n and gq != ABSENT:
                gq = cells.quality(phred, n)[1]
        if standing[at]:
            out.state[cell] |= np.uint8(UNPHASED)
        if bare:
            out.state[cell] |= np.uint8(BARE)
            one, two, gq = np.int8(ABSENT), np.int8(ABSENT), ABSENT
        if one == ABSENT:
            out.state[cell] |= np.uint8(UNCALLED)
        else:
            number += 1 if haploid else 2
            mle_number += 1 if haploid else 2
            _count(out, begin, kept, one)
            if not haploid:
                _count(out, begin, kept, two)
        if _lost(variants, row, local[at], kept):
            out.state[cell] |= np.uint8(DROPPED)
        out.gt[cell, 0], out.gt[cell, 1] = one, two
        out.gq[cell] = gq
        if one > 0 or two > 0:
            reads, alts = _reads(variants, row, local[at], kept)
            if reads > 0:
                every += reads
                if alts > 1:
                    supported += reads
            else:
                every += max(0, cells.depth_of(variants, row))
    out.number[site] = number
    out.mle_number[site] = mle_number
    out.qd_depth[site] = supported if supported > 0 else every


@compiled
def _count(out: Called, begin: int, kept: Ints, allele: int) -> None:
    out.allele_count[begin + kept[allele]] += 1


@compiled
def _matched(variants: Variants, row: int, local: NDArray[np.int16], kept: Ints) -> tuple[np.int8, np.int8]:
    """The record's own genotype in the kept alleles, REF for one that is not kept."""
    one, two = np.int8(ABSENT), np.int8(ABSENT)
    non_ref = variants.alt_rows[row + 1] - variants.alt_rows[row] + 1
    for at in range(variants.ploidy[row]):
        mine = variants.gt[row, at]
        to = np.int8(ABSENT)
        if mine >= 0:
            to = np.int8(0)
            for k in range(1, len(kept)):
                if local[kept[k]] == mine and mine != non_ref:
                    to = np.int8(k)
                    break
        if at == 0:
            one = to
        else:
            two = to
    return one, two


@compiled
def _lost(variants: Variants, row: int, local: NDArray[np.int16], kept: Ints) -> bool:
    """Whether the record's genotype has an ALT that is not among the kept ones."""
    for at in range(variants.ploidy[row]):
        mine = variants.gt[row, at]
        if mine <= 0:
            continue
        there = False
        for k in range(1, len(kept)):
            there |= local[kept[k]] == mine
        if not there:
            return True
    return False


@compiled
def _reads(variants: Variants, row: int, local: NDArray[np.int16], kept: Ints) -> tuple[int, int]:
    begin = variants.ad_rows[row]
    if variants.ad_rows[row + 1] == begin:
        depth = max(0, cells.depth_of(variants, row))
        return depth, 0
    total = alts = np.int64(0)
    for k in range(len(kept)):
        reads = variants.ad[begin + local[kept[k]]]
        total += reads
        if k:
            alts += reads
    return total, alts


@compiled
def _is_variant(out: Called, begin: int, end: int, alleles: Alleles, all_sites: bool) -> bool:
    called = real = False
    for at in range(begin + 1, end):
        if out.allele_kept[at]:
            called |= out.allele_count[at] > 0
            real |= alleles.code[at] != STAR
    return called and (real or all_sites)


@compiled
def _spread(
    out: Called,
    site: int,
    kept: Ints,
    c0: int,
    c1: int,
    found: Cells,
    variants: Variants,
    local: NDArray[np.int16],
    blocks: Blocks,
    powers: Doubles,
) -> None:
    """ExcessHet and InbreedingCoeff: how many diploid samples have two REF alleles, one, none, by their likelihoods.

    Of more than two alleles a called ALT/ALT counts as none, and every other sample with REF and one ALT: its own, or
    if it has none the likeliest."""
    k = len(kept)
    sums = np.zeros(3, np.int64)  # fractions of samples, in steps of 2^-40
    whole = np.zeros(3, np.int64)
    samples = np.int64(0)
    called = False
    for p in range(1, 256):
        if blocks.plain[p]:
            _share(sums, whole, 1.0, powers[p], powers[255], blocks.plain[p])
            samples += blocks.plain[p]
            called = True
    for at in range(len(blocks.key)):
        key = blocks.key[at]
        if key & (KEY_HAPLOID | KEY_UNUSED | KEY_BARE):
            continue
        p1, p2 = (key >> np.int64(16)) & np.int64(0xFFFF), key & np.int64(0xFFFF)
        l1 = powers[p1] if p1 < 3200 else 0.0
        if key & KEY_APPROXIMATE:
            _approximate_share(sums, whole, l1, blocks.times[at])
        else:
            _share(sums, whole, 1.0, l1, powers[p2] if p2 < 3200 else 0.0, blocks.times[at])
        samples += blocks.times[at]
        called |= key & KEY_UNCALLED == 0
    phred = np.empty(k * (k + 1) // 2 + 1, np.int32)
    for cell in range(c0, c1):
        row = found.row[cell]
        if variants.ploidy[row] != 2 or out.state[cell] & np.uint8(BARE):
            continue
        one, two = out.gt[cell, 0], out.gt[cell, 1]
        called |= one >= 0
        n = cells.phreds(phred, variants, row, local[cell - c0], kept)
        if n == 0:
            if cells.approximated(variants, row):
                error = powers[variants.gq[row]] if variants.gq[row] < 3200 else 0.0
                _approximate_share(sums, whole, error, 1)
                samples += 1
            continue
        samples += 1
        if k > 2 and one > 0 and two > 0:
            _share(sums, whole, 0.0, 0.0, 1.0, 1)
            continue
        alt = np.int64(two)
        if two <= 0:
            alt = np.int64(1)
            for other in range(2, k):
                if phred[other * (other + 1) // 2] < phred[alt * (alt + 1) // 2]:
                    alt = np.int64(other)
        het, hom = phred[alt * (alt + 1) // 2], phred[alt * (alt + 1) // 2 + alt]
        _share(
            sums,
            whole,
            powers[phred[0]] if phred[0] < 3200 else 0.0,
            powers[het] if het < 3200 else 0.0,
            powers[hom] if hom < 3200 else 0.0,
            1,
        )
    if called:
        out.excess_het[site] = measures.excess_het(whole[1], whole[0], whole[2])
    if samples >= LEAST_SAMPLES:
        two_refs, one_ref, none = sums[0] / COUNT_UNIT, sums[1] / COUNT_UNIT, sums[2] / COUNT_UNIT
        p = (2.0 * two_refs + one_ref) / (2.0 * (two_refs + one_ref + none))
        out.inbreeding[site] = 1.0 - one_ref / (2.0 * p * (1.0 - p) * samples)


@compiled
def _share(sums: Longs, whole: Longs, refs: float, het: float, hom: float, times: int) -> None:
    """Adds `times` samples with these likelihoods; in `whole` each counts where it has half of the weight or more."""
    total = refs + het + hom
    if total == 0.0:
        return
    sums[0] += np.int64(np.rint(refs / total * COUNT_UNIT)) * times
    sums[1] += np.int64(np.rint(het / total * COUNT_UNIT)) * times
    sums[2] += np.int64(np.rint(hom / total * COUNT_UNIT)) * times
    if refs / total >= 0.5:
        whole[0] += times
    elif het / total >= 0.5:
        whole[1] += times
    elif hom / total >= 0.5:
        whole[2] += times


@compiled
def _approximate_share(sums: Longs, whole: Longs, error: float, times: int) -> None:
    """Adds `times` 0/0 samples that have no more than a GQ, whose probability of error it is."""
    sums[0] += np.int64(np.rint((1.0 - error) * COUNT_UNIT)) * times
    sums[1] += np.int64(np.rint(error * COUNT_UNIT)) * times
    whole[0] += times
