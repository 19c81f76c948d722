"""Allele frequencies by expectation maximisation, and from them how likely the site has no variant.

The model is GATK's (AlleleFrequencyCalculator in 4.6: Dirichlet pseudocounts, posteriors of genotypes from likelihoods
times the multinomial of the frequencies). What differs is how it is summed: contributions are rounded to integers, so
that their sum does not depend on the order of samples, on how they are grouped, or on which were added later.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype.walk import KEY_BARE, KEY_HAPLOID, KEY_UNUSED
from services.jointcall.columnar.tables import Bytes, Ints, Longs

Doubles = NDArray[np.float64]

REF_PSEUDOCOUNT = 10.0  # heterozygosity 1e-3 over its variance (0.01)^2
SNP_PSEUDOCOUNT = 0.01
INDEL_PSEUDOCOUNT = 0.00125
CONVERGED = 0.1
COUNT_UNIT = 2.0**40
"""Allele counts are summed in steps of 2^-40: 2^22 chromosomes fit into 63 bits."""
LOG_UNIT = 2.0**42
"""log10 probabilities are summed in steps of 2^-42 (10^-12 phred), whole numbers and the rest apart: 2^21 samples' rest
fits into 63 bits."""

LEAST_POWER = 3200
"""10^(-phred/10) is nothing from here on."""


class Blocks(NamedTuple):
    """Kinds of reference blocks over a site: likelihoods of 0/<NON_REF> and <NON_REF>/<NON_REF> (haploid: of <NON_REF>,
    and nothing), and how many samples have them. 0/0 has likelihood 1."""

    one: Doubles
    two: Doubles
    haploid: Bytes
    times: Longs


class Explicit(NamedTuple):
    """Cells with likelihoods of their own: (c, G) relative to each cell's best, VCF order; G of K alleles."""

    ploidy: Bytes
    likelihood: Doubles
    phred: Ints  # (c, G), of which `likelihood` is made, the least one 0


@compiled
def blocks_of(plain: Ints, keys: Longs, times: Longs, powers: Doubles, reduced: bool) -> Blocks:
    """`plain[p]` samples with (0, p, 255 or more) and `times[i]` with the likelihoods of `keys[i]`. Where alleles are
    left out of the model (`reduced`), samples of which nothing is known are too."""
    room = len(keys)
    for p in range(256):
        room += plain[p] > 0
    out = Blocks(np.empty(room), np.empty(room), np.zeros(room, np.uint8), np.empty(room, np.int64))
    n = 0
    for p in range(256):
        if plain[p]:
            out.one[n], out.two[n], out.times[n] = powers[p], powers[255], plain[p]
            n += 1
    for at in range(len(keys)):
        key = keys[at]
        if key & KEY_UNUSED or (reduced and key & KEY_BARE):
            continue
        one, two = (key >> np.int64(16)) & np.int64(0xFFFF), key & np.int64(0xFFFF)
        out.one[n] = powers[one] if one < len(powers) else 0.0
        out.two[n] = powers[two] if two < len(powers) else 0.0
        out.haploid[n] = key & KEY_HAPLOID != 0
        out.times[n] = times[at]
        n += 1
    return Blocks(out.one[:n], out.two[:n], out.haploid[:n], out.times[:n])


@compiled
def frequencies(blocks: Blocks, explicit: Explicit, prior: Doubles) -> tuple[Doubles, Doubles, float]:
    """Allele counts of the last expectation, the frequencies from them, and by how much the count that changed most
    did. `prior` (K,) pseudocounts."""
    alleles = len(prior)
    f = np.full(alleles, 1.0 / alleles)
    before = np.zeros(alleles)
    while True:
        counts = _expected(blocks, explicit, f)
        change = 0.0
        for k in range(alleles):
            change = max(change, abs(counts[k] - before[k]))
        before = counts
        total = 0.0
        for k in range(alleles):
            total += prior[k] + counts[k]
        for k in range(alleles):
            f[k] = (prior[k] + counts[k]) / total
        if change <= CONVERGED:
            return counts, f, change


@compiled
def _expected(blocks: Blocks, explicit: Explicit, f: Doubles) -> Doubles:
    alleles = len(f)
    total = np.zeros(alleles, np.int64)
    for at in range(len(blocks.one)):
        if blocks.haploid[at]:
            _add_haploid_block(total, f, blocks.one[at], blocks.times[at])
        else:
            _add_block(total, f, blocks.one[at], blocks.two[at], blocks.times[at])
    mine = np.empty(alleles)
    for cell in range(len(explicit.ploidy)):
        if alleles == 2 and explicit.ploidy[cell] == 2:
            _add_biallelic(total, f[0], f[1], explicit.likelihood[cell])
            continue
        mine[:] = 0.0
        whole = 0.0
        if explicit.ploidy[cell] == 1:
            for k in range(alleles):
                mine[k] = f[k] * explicit.likelihood[cell, k]
                whole += mine[k]
        else:
            g = 0
            for j in range(alleles):
                for i in range(j + 1):
                    weight = explicit.likelihood[cell, g] * f[i] * f[j]
                    if i != j:
                        weight += weight
                    whole += weight
                    mine[i] += weight
                    mine[j] += weight
                    g += 1
        for k in range(alleles):
            total[k] += np.int64(np.rint(mine[k] / whole * COUNT_UNIT))
    out = np.empty(alleles)
    for k in range(alleles):
        out[k] = total[k] / COUNT_UNIT
    return out


@compiled
def _add_biallelic(total: Longs, ref: float, alt: float, likelihood: Doubles) -> None:
    """What _expected does for any number of alleles, operation by operation: nearly all sites have two."""
    none = likelihood[0] * ref * ref
    het = likelihood[1] * ref * alt
    het += het
    both = likelihood[2] * alt * alt
    whole = none + het + both
    total[0] += np.int64(np.rint((none + none + het) / whole * COUNT_UNIT))
    total[1] += np.int64(np.rint((het + both + both) / whole * COUNT_UNIT))


@compiled
def _add_block(total: Longs, f: Doubles, l1: float, l2: float, times: int) -> None:
    rest = 1.0 - f[0]
    whole = f[0] * f[0] + 2.0 * f[0] * rest * l1 + rest * rest * l2
    alt = 2.0 * (f[0] * l1 + rest * l2) / whole
    total[0] += np.int64(np.rint(2.0 * f[0] * (f[0] + rest * l1) / whole * COUNT_UNIT)) * times
    for k in range(1, len(f)):
        total[k] += np.int64(np.rint(f[k] * alt * COUNT_UNIT)) * times


@compiled
def _add_haploid_block(total: Longs, f: Doubles, l1: float, times: int) -> None:
    whole = f[0] + (1.0 - f[0]) * l1
    total[0] += np.int64(np.rint(f[0] / whole * COUNT_UNIT)) * times
    for k in range(1, len(f)):
        total[k] += np.int64(np.rint(f[k] * l1 / whole * COUNT_UNIT)) * times


@compiled
def absences(blocks: Blocks, explicit: Explicit, f: Doubles, star: int, powers: Doubles) -> Doubles:
    """(K + 1,): entry 0 log10 of the probability that no sample has more than REF and `*` (whose place is `star`, -1
    without), entry k that none has allele k."""
    alleles = len(f)
    total = np.zeros((alleles, 2), np.int64)
    with_star = f[star] if star > 0 else 0.0
    two = alleles == 2 and star < 0
    for at in range(len(blocks.one)):
        if blocks.haploid[at]:
            l1 = blocks.one[at]
            whole = f[0] + (1.0 - f[0]) * l1
            _log(total[0], (f[0] + with_star * l1) / whole, 0, blocks.times[at])
            if not two:
                for k in range(1, alleles):
                    _log(total[k], (f[0] + (1.0 - f[0] - f[k]) * l1) / whole, 0, blocks.times[at])
        else:
            _absent_block(total, f, with_star, blocks.one[at], blocks.two[at], blocks.times[at], two)
    for cell in range(len(explicit.ploidy)):
        if two and explicit.ploidy[cell] == 2:
            phred = explicit.phred[cell]
            none = f[0] * f[0]
            whole = _times(none, phred[0], powers)
            whole += _times(f[0] * f[1] * 2.0, phred[1], powers)
            whole += _times(f[1] * f[1], phred[2], powers)
            _log(total[0], none / whole, phred[0], 1)
            continue
        whole = _weight(explicit, cell, f, -1, -2, powers)[0]
        part, below = _weight(explicit, cell, f, -1, star, powers)
        _log(total[0], part / whole, below, 1)
        if not two:
            for k in range(1, alleles):
                part, below = _weight(explicit, cell, f, k, -2, powers)
                _log(total[k], part / whole, below, 1)
    if two:
        total[1] = total[0]
    out = np.empty(alleles)
    for k in range(alleles):
        out[k] = total[k, 0] + total[k, 1] / LOG_UNIT
    return out


@compiled
def _absent_block(total: Longs, f: Doubles, star: float, l1: float, l2: float, times: int, two: bool) -> None:
    rest = 1.0 - f[0]
    whole = f[0] * f[0] + 2.0 * f[0] * rest * l1 + rest * rest * l2
    none = f[0] * f[0] + 2.0 * f[0] * star * l1 + star * star * l2
    _log(total[0], none / whole, 0, times)
    if two:
        return
    for k in range(1, len(f)):
        others = max(0.0, rest - f[k])
        without = f[0] * f[0] + 2.0 * f[0] * others * l1 + others * others * l2
        _log(total[k], without / whole, 0, times)


@compiled
def _log(total: Longs, part: float, phred_below: int, times: int) -> None:
    """Adds log10 of `part` x 10^(-phred_below/10), 0 at most, so many times to `total`: whole numbers, LOG_UNITs."""
    value = min(0.0, np.log10(part) - phred_below / 10.0)
    whole = np.floor(value)
    total[0] += np.int64(whole) * times
    total[1] += np.int64(np.rint((value - whole) * LOG_UNIT)) * times


@compiled
def _times(prior: float, phred: int, powers: Doubles) -> float:
    return float(prior * powers[phred]) if phred < LEAST_POWER else 0.0


@compiled
def _weight(
    explicit: Explicit, cell: int, f: Doubles, absent: int, only_with: int, powers: Doubles
) -> tuple[float, int]:
    """Prior times likelihood over the genotypes without allele `absent` (-1: none is left out) and, where `only_with`
    is -1 or more, of nothing but REF and that allele. Relative to the best likelihood among these, whose phred is the
    second value."""
    alleles = len(f)
    best = 1 << 30
    haploid = explicit.ploidy[cell] == 1
    g = 0
    for j in range(alleles):
        for i in range(j + 1):
            if haploid and i < j:
                continue
            if _counts(i, j, absent, only_with):
                best = min(best, explicit.phred[cell, g])
            g += 1
    out = 0.0
    g = 0
    for j in range(alleles):
        for i in range(j + 1):
            if haploid and i < j:
                continue
            if _counts(i, j, absent, only_with):
                above = explicit.phred[cell, g] - best
                if above < LEAST_POWER:
                    prior = f[j] if haploid else (f[i] * f[j] * (1.0 if i == j else 2.0))
                    out += prior * powers[above]
            g += 1
    return out, best


@compiled
def _counts(i: int, j: int, absent: int, only_with: int) -> bool:
    if i == absent or j == absent:
        return False
    if only_with == -2:
        return True
    return (i == 0 or i == only_with) and (j == 0 or j == only_with)
