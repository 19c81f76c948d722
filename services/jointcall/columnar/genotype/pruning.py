"""Sites that cannot be called, told from the rest without running the model: nearly all candidates are of this kind.

The likelihood ratio r of a sample is that of its best genotype with an ALT to that of 0/0. Under allele frequencies
that leave the ALTs a share A, the probability that it has an ALT is at most r (1 - (1-A)^2) / (1-A)^2, since 0/0
alone weighs (1-A)^2. With R the sum of all r, the model's expected number of ALT copies is at most twice that with R
for r. The first round starts from equal frequencies, A = (K-1)/K, so what the second starts from is bounded, and what
the third starts from; the bounds only fall from there, and the model makes two rounds at least. Where even the second
bound leaves less than CONFIDENCE for QUAL, no ALT can be kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import cells
from services.jointcall.columnar.genotype.explicit import GQ, Records
from services.jointcall.columnar.genotype.frequency import REF_PSEUDOCOUNT, SNP_PSEUDOCOUNT
from services.jointcall.columnar.genotype.model import CONFIDENCE
from services.jointcall.columnar.genotype.walk import KEY_HAPLOID, KEY_UNUSED
from services.jointcall.columnar.tables import Ints, Longs

LEAST_CHROMOSOMES = 20
"""Of called blocks: with fewer the model may stop after one round."""
MOST_ALLELES = 8
"""As may it, in theory, where equal frequencies leave REF next to nothing."""
ROOM = 0.9
"""Of CONFIDENCE: the bound is exact, its arithmetic is not."""


@compiled
def hopeless(
    alleles: int, rows: Ints, records: Records, plain: Ints, keys: Longs, times: Longs, powers: NDArray[np.float64]
) -> bool:
    """Whether no ALT of a site of so many `alleles` can be kept. `rows` of its explicit records; blocks as in
    frequency.blocks_of."""
    if alleles > MOST_ALLELES:
        return False
    ratios = largest = 0.0
    chromosomes = np.int64(0)
    for p in range(1, 256):
        if plain[p]:
            ratios += plain[p] * powers[p]
            largest = max(largest, powers[p])
            chromosomes += 2 * plain[p]
    if chromosomes < LEAST_CHROMOSOMES:
        return False
    for row in rows:
        begin, end = records.pl_rows[row], records.pl_rows[row + 1]
        if end == begin:
            if not cells.approximated(records, row):
                if records.figures[row, GQ] > 0 and not cells.without_alt(records, row):
                    # it says nothing here, and its site is told: sites.LEFT_OUT
                    return False
                continue
            above = np.int64(records.figures[row, GQ])
        else:
            least = records.pl[begin + 1]
            for at in range(begin + 2, end):
                least = min(least, records.pl[at])
            above = np.int64(least) - np.int64(records.pl[begin])
        if above <= 0:
            return False
        ratio = powers[above] if above < len(powers) else 0.0
        ratios += ratio
        largest = max(largest, ratio)
    for at in range(len(keys)):
        if keys[at] & KEY_UNUSED:
            continue
        above = (keys[at] >> np.int64(16)) & np.int64(0xFFFF)
        if not keys[at] & KEY_HAPLOID:
            above = min(above, keys[at] & np.int64(0xFFFF))
        ratio = powers[above] if above < len(powers) else 0.0
        ratios += times[at] * ratio
        largest = max(largest, ratio)
    alts = SNP_PSEUDOCOUNT * (alleles - 1)
    total = REF_PSEUDOCOUNT + alts + chromosomes
    first = (alts + 2.0 * ratios * (alleles * alleles - 1.0)) / total
    if first >= 0.5:
        return False
    second = (alts + 2.0 * ratios * _weight(first)) / total
    if second > first:
        return False
    most = _weight(second)
    # -log10(1 - x) is at most 2 x / ln 10 up to a half
    return largest * most <= 0.5 and 10.0 * 2.0 * ratios * most / np.log(10.0) < ROOM * CONFIDENCE


@compiled
def _weight(share: float) -> float:
    reference = (1.0 - share) * (1.0 - share)
    return (1.0 - reference) / reference
