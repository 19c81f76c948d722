"""How a site's genotypes spread over heterozygotes and homozygotes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import cells, measures
from services.jointcall.columnar.genotype.assigning import BARE
from services.jointcall.columnar.genotype.explicit import GQ, PLOIDY, Records
from services.jointcall.columnar.genotype.frequency import COUNT_UNIT
from services.jointcall.columnar.genotype.walk import (
    KEY_APPROXIMATE,
    KEY_BARE,
    KEY_HAPLOID,
    KEY_UNCALLED,
    KEY_UNUSED,
)
from services.jointcall.columnar.tables import Bytes, Ints, Longs

Doubles = NDArray[np.float64]

LEAST_SAMPLES = 10
"""From so many diploid samples with likelihoods on InbreedingCoeff is written."""


@compiled
def spread(
    gt: NDArray[np.int8],
    state: Bytes,
    kept: Ints,
    rows: Ints,
    records: Records,
    local: NDArray[np.int16],
    plain: Ints,
    keys: Longs,
    times: Longs,
    powers: Doubles,
) -> tuple[float, float]:
    """ExcessHet and InbreedingCoeff: how many diploid samples have two REF alleles, one, none, by their likelihoods.

    The first is NaN without a called diploid sample, the second infinite with less than LEAST_SAMPLES of them. Of the
    blocks over the site `plain` (256,) counts those with (0, p, 255 or more), `times` the other `keys`.

    Of more than two alleles a called ALT/ALT counts as none, and every other sample with REF and one ALT: its own, or
    if it has none the likeliest."""
    k = len(kept)
    sums = np.zeros(3, np.int64)  # fractions of samples, in steps of 2^-40
    whole = np.zeros(3, np.int64)
    samples = np.int64(0)
    called = False
    for p in range(1, 256):
        if plain[p]:
            _share(sums, whole, 1.0, powers[p], powers[255], plain[p])
            samples += plain[p]
            called = True
    for at in range(len(keys)):
        key = keys[at]
        if key & (KEY_HAPLOID | KEY_UNUSED | KEY_BARE):
            continue
        p1, p2 = (key >> np.int64(16)) & np.int64(0xFFFF), key & np.int64(0xFFFF)
        l1 = powers[p1] if p1 < 3200 else 0.0
        if key & KEY_APPROXIMATE:
            _approximate_share(sums, whole, l1, times[at])
        else:
            _share(sums, whole, 1.0, l1, powers[p2] if p2 < 3200 else 0.0, times[at])
        samples += times[at]
        called |= key & KEY_UNCALLED == 0
    phred = np.empty(k * (k + 1) // 2 + 1, np.int32)
    for cell, row in enumerate(rows):
        if records.figures[row, PLOIDY] != 2 or state[cell] & np.uint8(BARE):
            continue
        one, two = gt[cell, 0], gt[cell, 1]
        called |= one >= 0
        n = cells.phreds(phred, records, row, local[cell], kept)
        if n == 0:
            if cells.approximated(records, row):
                error = powers[records.figures[row, GQ]] if records.figures[row, GQ] < 3200 else 0.0
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
    excess = measures.excess_het(whole[1], whole[0], whole[2]) if called else np.nan
    if samples < LEAST_SAMPLES:
        return excess, np.inf
    two_refs, one_ref, none = sums[0] / COUNT_UNIT, sums[1] / COUNT_UNIT, sums[2] / COUNT_UNIT
    p = (2.0 * two_refs + one_ref) / (2.0 * (two_refs + one_ref + none))
    return excess, 1.0 - one_ref / (2.0 * p * (1.0 - p) * samples)


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
