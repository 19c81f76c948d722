"""INFO fields that say how far a site can be believed, from sums over samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.tables import Floats

MOST_READS = 200
"""A strand table of more than twice this many reads is scaled down to it before Fisher's test."""
LEAST_P = 1e-320
SLACK = 1.0 - 10e-7
"""Tables whose probability is this close to the observed one's count as equally likely."""
CERTAIN_HET = 1e-16
CERTAIN_HET_PHRED = 160.0


@compiled
def fisher_strand(a: int, b: int, c: int, d: int) -> float:
    """FS: phred of Fisher's two-sided exact test that the strands of REF reads (forward `a`, reverse `b`) and of ALT
    reads (`c`, `d`) come of one distribution."""
    total = a + b + c + d
    if total == 0:
        return 0.0
    if total > 2 * MOST_READS:
        factor = total / MOST_READS
        a, b, c, d = int(a / factor), int(b / factor), int(c / factor), int(d / factor)
    row, column, total = a + b, a + c, a + b + c + d
    low, high = max(0, column - (total - row)), min(row, column)
    if low == high:
        return 0.0
    observed = _hypergeometric(a, row, column, total)
    p = 0.0
    for x in range(low, high + 1):
        one = _hypergeometric(x, row, column, total)
        if one <= observed / SLACK:
            p += one
    if p > SLACK:
        return 0.0
    return -10.0 * math.log10(max(p, LEAST_P))


@compiled
def _hypergeometric(x: int, row: int, column: int, total: int) -> float:
    return math.exp(_choose(row, x) + _choose(total - row, column - x) - _choose(total, column))


@compiled
def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1.0) - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0)


@compiled
def strand_odds_ratio(a: int, b: int, c: int, d: int) -> float:
    """SOR of the same table; each of its cells gets one read."""
    w, x, y, z = a + 1.0, b + 1.0, c + 1.0, d + 1.0
    ratio = (w / x) * (z / y)
    return math.log(ratio + 1.0 / ratio) + math.log(min(w, x) / max(w, x)) - math.log(min(y, z) / max(y, z))


@compiled
def excess_het(hets: int, refs: int, homs: int) -> float:
    """Phred of the exact probability of at least so many heterozygotes under Hardy-Weinberg equilibrium (Wigginton et
    al. 2005), of the counts of the three genotypes."""
    n = hets + refs + homs
    rare = 2 * min(refs, homs) + hets
    if n == 0 or rare == 0 or hets == 0:
        return 0.0
    common = 2 * n - rare
    middle = int(float(rare) * common / (2.0 * n))
    if middle % 2 != rare % 2:
        middle += 1
    at_middle = 1.0
    whole = 1.0
    tail = 1.0 if middle >= hets else 0.0
    p = at_middle
    het, hom_rare = middle, (rare - middle) // 2
    hom_common = n - het - hom_rare
    while het > 1:
        p *= het * (het - 1.0) / (4.0 * (hom_rare + 1.0) * (hom_common + 1.0))
        het -= 2
        hom_rare += 1
        hom_common += 1
        whole += p
        if het >= hets:
            tail += p
        if p < 1e-300:
            break
    p = at_middle
    het, hom_rare = middle, (rare - middle) // 2
    hom_common = n - het - hom_rare
    while het <= rare - 2:
        p *= 4.0 * hom_rare * hom_common / ((het + 2.0) * (het + 1.0))
        het += 2
        hom_rare -= 1
        hom_common -= 1
        whole += p
        if het >= hets:
            tail += p
    probability = min(1.0, tail / whole)
    if probability < CERTAIN_HET:
        return CERTAIN_HET_PHRED
    return -10.0 * math.log10(probability) + 0.0


@compiled
def upper_median(values: Floats) -> Any:
    """Element n // 2 of the sorted values. `values` is not empty."""
    return np.sort(values)[len(values) // 2]


@compiled
def rms(total: np.int64, depth: np.int64) -> float:
    """MQ: root mean square of mapping qualities; NaN of no reads."""
    return math.sqrt(total / depth) if depth > 0 else np.nan
