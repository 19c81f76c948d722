"""Explicit cells of a site: a sample's own record seen through the alleles of the site."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype.shapes import STAR, Shapes
from services.jointcall.columnar.tables import ABSENT, Ints, Longs, Variants

MOST_QUALITY = 99
MOST_GENOTYPES = 1024
"""A site whose diploid samples would have more genotypes than this, with <NON_REF>, is not called."""
MOST_ALLELES = 50
"""Nor is one with this many ALTs or more, <NON_REF> among them."""


class Cells(NamedTuple):
    """c cells, by site, then by the sample's place in the cohort; those of site i are `rows[i]:rows[i + 1]`."""

    rows: Longs
    sample: Ints
    row: Ints  # in the stretch's Variants


class Alleles(NamedTuple):
    """Of each site, REF first, then ALTs as they first appear in cohort order; `rows` as in Cells."""

    rows: Longs
    code: Ints


@compiled
def sorted_cells(sites: int, samples: int, site: Ints, sample: Ints, row: Ints) -> Cells:
    """By counting, twice: cells come by batch, and a batch's samples lie anywhere in the cohort."""
    by_sample = _places(sample, samples)
    order = np.empty(len(site), np.int32)
    for at in range(len(site)):
        order[by_sample[sample[at]]] = at
        by_sample[sample[at]] += 1
    rows = np.zeros(sites + 1, np.int64)
    for at in range(len(site)):
        rows[site[at] + 1] += 1
    for at in range(sites):
        rows[at + 1] += rows[at]
    behind = rows[:-1].copy()
    out_sample, out_row = np.empty(len(site), np.int32), np.empty(len(site), np.int32)
    for at in order:
        place = behind[site[at]]
        behind[site[at]] += 1
        out_sample[place] = sample[at]
        out_row[place] = row[at]
    return Cells(rows, out_sample, out_row)


@compiled
def _places(key: Ints, keys: int) -> Longs:
    out = np.zeros(keys + 1, np.int64)
    for one in key:
        out[one + 1] += 1
    for at in range(keys):
        out[at + 1] += out[at]
    return out


@compiled
def alleles_of(reference: Ints, cells: Cells, shape: Ints, shapes: Shapes, star: Ints) -> Alleles:
    """`reference` (m,) the code of each site's REF. `shape` and `star` (stars_of) of each record."""
    sites = len(reference)
    rows = np.zeros(sites + 1, np.int64)
    code = np.empty(4 * sites + 16, np.int32)
    count = np.int64(0)
    for site in range(sites):
        begin = count
        if count + 1 > len(code):
            code = _longer(code)
        code[count] = reference[site]
        count += 1
        for cell in range(cells.rows[site], cells.rows[site + 1]):
            which = shape[cells.row[cell]]
            if which < 0:
                continue
            if shapes.site[which] == site:
                for at in range(shapes.rows[which], shapes.rows[which + 1]):
                    count, code = _met(code, begin, count, shapes.extended[at])
            elif star[cells.row[cell]] > 0:
                count, code = _met(code, begin, count, STAR)
        rows[site + 1] = count
    return Alleles(rows, code[:count])


@compiled
def _longer(code: Ints) -> Ints:
    out = np.empty(2 * len(code), np.int32)
    out[: len(code)] = code
    return out


@compiled
def _met(code: Ints, begin: int, count: int, one: int) -> tuple[int, Ints]:
    for at in range(begin, count):
        if code[at] == one:
            return count, code
    if count == len(code):
        code = _longer(code)
    code[count] = one
    return count + 1, code


@compiled
def local_alleles(
    out: NDArray[np.int16], code: Ints, site: int, which: int, star: int, shapes: Shapes, variants: Variants, row: int
) -> None:
    """Fill `out` (K,) with the record's own allele for each allele of the site; <NON_REF>'s where it has none."""
    non_ref = variants.alt_rows[row + 1] - variants.alt_rows[row] + 1
    out[0] = 0
    here = which >= 0 and shapes.site[which] == site
    for k in range(1, len(code)):
        out[k] = non_ref
        if here:
            begin = shapes.rows[which]
            for at in range(begin, shapes.rows[which + 1]):
                if shapes.extended[at] == code[k]:
                    out[k] = at - begin + 1
                    break
        elif which >= 0 and code[k] == STAR and star > 0:
            out[k] = star


@compiled
def phreds(out: Ints, variants: Variants, row: int, local: NDArray[np.int16], kept: Ints) -> int:
    """Likelihoods of the genotypes of alleles `kept` (places in `local`), less the best one's, which stands behind
    them; returns how many, 0 when the record has none."""
    begin = variants.pl_rows[row]
    if variants.pl_rows[row + 1] == begin:
        return 0
    g = 0
    best = np.int32(0x7FFFFFFF)
    if variants.ploidy[row] == 1:
        for j in range(len(kept)):
            out[g] = variants.pl[begin + local[kept[j]]]
            best = min(best, out[g])
            g += 1
    else:
        for j in range(len(kept)):
            b = np.int64(local[kept[j]])
            for i in range(j + 1):
                a = np.int64(local[kept[i]])
                low, high = min(a, b), max(a, b)
                out[g] = variants.pl[begin + high * (high + 1) // 2 + low]
                best = min(best, out[g])
                g += 1
    for at in range(g):
        out[at] -= best
    out[g] = best
    return g


@compiled
def quality(phred: Ints, genotypes: int) -> tuple[int, int]:
    """The most likely genotype, the first of equals, and GQ."""
    best = 0
    for g in range(1, genotypes):
        if phred[g] < phred[best]:
            best = g
    second = np.int32(0x7FFFFFFF)
    for g in range(genotypes):
        if g != best:
            second = min(second, phred[g])
    return best, min(MOST_QUALITY, second - phred[best])


@compiled
def pair(genotype: int) -> tuple[int, int]:
    """Alleles (lower, higher) of a diploid genotype's place in VCF order."""
    high = 0
    while (high + 1) * (high + 2) // 2 <= genotype:
        high += 1
    return genotype - high * (high + 1) // 2, high


# what `standing` says of a cell, by bits
NOTHING_KNOWN = 1  # no GQ or 0, and 0/0 is likeliest or was called: no genotype is taken over from the record
NO_READS = 2  # and no depth: no field is written either
STRIPPED = 4  # and likelihoods that are not all equal: it does not enter the model


@compiled
def standing(variants: Variants, row: int) -> int:
    if variants.gq[row] > 0:
        return 0
    begin, end = variants.pl_rows[row], variants.pl_rows[row + 1]
    likeliest = flat = end > begin
    for at in range(begin, end):
        likeliest &= variants.pl[at] >= variants.pl[begin]
        flat &= variants.pl[at] == variants.pl[begin]
    unsaid = variants.gt[row, 0] <= 0 and variants.gt[row, 1] <= 0
    if not likeliest and not unsaid:
        return 0
    if variants.dp[row] != 0 or variants.gq[row] != 0:
        return NOTHING_KNOWN
    return NOTHING_KNOWN | NO_READS | (0 if flat else STRIPPED)


@compiled
def approximated(variants: Variants, row: int) -> bool:
    """Without PL a confident 0/0 enters the model by its GQ."""
    return (
        variants.pl_rows[row + 1] == variants.pl_rows[row]
        and variants.ploidy[row] == 2
        and variants.gt[row, 0] == 0
        and variants.gt[row, 1] == 0
        and variants.gq[row] > 0
    )


@compiled
def depth_of(variants: Variants, row: int) -> int:
    """FORMAT DP as it is written: MIN_DP where there is one. ABSENT when neither is there."""
    if variants.min_dp[row] != ABSENT:
        return int(variants.min_dp[row])
    return int(variants.dp[row])


@compiled
def informative(phred: Ints, genotypes: int) -> bool:
    """Whether log10 likelihoods sum to less than -0.1, in doubles as GATK adds them up: at the edge rounding decides.

    `phred` as left by `phreds`."""
    best = phred[genotypes]
    total = 0.0
    for g in range(genotypes):
        total += (phred[g] + best) / -10.0 - best / -10.0
    return total < -0.1


@compiled
def doubtful(phred: Ints, genotypes: int) -> bool:
    """Whether GQ is below 1, in doubles: 719 against 720 phred is a little less than a tenth."""
    best = phred[genotypes]
    _, gq = quality(phred, genotypes)
    if gq != 1:
        return gq < 1
    return best / -10.0 - (best + 1) / -10.0 < 0.1
