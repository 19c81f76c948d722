"""Which alleles of a site stay, and how sure it is that there is a variant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import cells, frequency
from services.jointcall.columnar.genotype.explicit import GQ, PLOIDY, Records
from services.jointcall.columnar.genotype.frequency import Blocks, Explicit
from services.jointcall.columnar.genotype.shapes import STAR
from services.jointcall.columnar.tables import Bytes, Ints

Doubles = NDArray[np.float64]

CONFIDENCE = 30.0
"""QUAL, in phred, from which a site is written."""
MOST_ALTS = 6
"""A site with more ALTs is called on the most likely ones of them."""
NEAR_STOP = 1e-9
"""A last change of the model's counts so close to its stopping rule may stop one round earlier elsewhere."""


@compiled
def considered(k: int, rows: Ints, records: Records, local: NDArray[np.int16], standing: Bytes) -> Ints:
    """Places of the alleles that the model is run on: all, or REF and the ALTs whose carriers are surest."""
    every = np.arange(k).astype(np.int32)
    if k - 1 <= MOST_ALTS:
        return every
    # in doubles and in the order of samples, as GATK adds them up: the last bit decides between equals
    weight = np.zeros(k)
    phred = np.empty(k * (k + 1) // 2 + 1, np.int32)
    for cell, row in enumerate(rows):
        genotypes = cells.phreds(phred, records, row, local[cell], every)
        if genotypes == 0 or standing[cell] & cells.STRIPPED:
            continue
        best, _ = cells.quality(phred, genotypes)
        if best == 0:
            continue
        least = phred[genotypes]
        surer = abs(least / -10.0 - (phred[0] + least) / -10.0)
        if records.figures[row, PLOIDY] == 1:
            weight[best] += surer
            continue
        low, high = cells.pair(best)
        if low != 0:
            weight[low] += surer
        if high != 0 and high != low:
            weight[high] += surer
    order = np.argsort(-weight[1:], kind="mergesort")
    chosen = np.sort(order[:MOST_ALTS])
    out = np.zeros(MOST_ALTS + 1, np.int32)
    out[1:] = chosen + 1
    return out


@compiled
def model(
    considered: Ints,
    code: Ints,
    lengths: Ints,
    rows: Ints,
    records: Records,
    local: NDArray[np.int16],
    standing: Bytes,
    blocks: Blocks,
    covered: bool,
    powers: Doubles,
    mle: Ints,
) -> tuple[Ints, float, bool]:
    """Places of the alleles to keep, REF first; QUAL; whether the model stopped on the edge of its rule.

    `code` and `lengths` are of the site's alleles, `considered` the places of those that the model is run on; `mle`
    (like them) gets the likeliest counts. `covered`: a deletion that was emitted upstream reaches over the site."""
    k = len(considered)
    genotypes = k * (k + 1) // 2
    explicit = Explicit(
        np.empty(len(rows), np.uint8), np.zeros((len(rows), genotypes)), np.zeros((len(rows), genotypes + 1), np.int32)
    )
    used = 0
    for cell, row in enumerate(rows):
        if standing[cell] & cells.STRIPPED or (k < len(code) and standing[cell] & cells.NO_READS):
            continue
        mine = explicit.phred[used]
        n = cells.phreds(mine, records, row, local[cell], considered)
        if n == 0:
            if not cells.approximated(records, row):
                continue
            n = cells.approximate(mine, k, records.figures[row, GQ])
        for g in range(n):
            explicit.likelihood[used, g] = powers[mine[g]] if mine[g] < len(powers) else 0.0
        explicit.ploidy[used] = records.figures[row, PLOIDY]
        used += 1
    explicit = Explicit(explicit.ploidy[:used], explicit.likelihood[:used], explicit.phred[:used])
    prior = np.empty(k)
    star = -1
    prior[0] = frequency.REF_PSEUDOCOUNT
    for at in range(1, k):
        same = lengths[considered[at]] == lengths[0]
        prior[at] = frequency.SNP_PSEUDOCOUNT if same else frequency.INDEL_PSEUDOCOUNT
        if code[considered[at]] == STAR:
            star = at
    counts, f, change = frequency.frequencies(blocks, explicit, prior)
    absent = frequency.absences(blocks, explicit, f, star, powers)
    kept = np.empty(k, np.int32)
    kept[0] = 0
    n = 1
    for at in range(1, k):
        mle[considered[at]] = np.int32(np.floor(counts[at] + 0.5))
        if absent[at] + 1e-10 < -CONFIDENCE / 10.0 and (covered or at != star):
            kept[n] = considered[at]
            n += 1
    return kept[:n], -10.0 * absent[0] + 0.0, abs(change - frequency.CONVERGED) < NEAR_STOP
