"""Explicit cells of a site: a sample's own record seen through the alleles of the site."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import Whole, compiled
from services.jointcall.columnar.genotype.explicit import ALTS, DP, GQ, MIN_DP, ONE, PLOIDY, TWO, Records
from services.jointcall.columnar.genotype.shapes import STAR, Shapes
from services.jointcall.columnar.tables import ABSENT, Ints, Longs

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
    for one in order:
        place = behind[site[one]]
        behind[site[one]] += 1
        out_sample[place] = sample[one]
        out_row[place] = row[one]
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
    count: Whole = np.int64(0)
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
def _met(code: Ints, begin: Whole, count: Whole, one: Whole) -> tuple[Whole, Ints]:
    for at in range(begin, count):
        if code[at] == one:
            return count, code
    if count == len(code):
        code = _longer(code)
    code[count] = one
    return count + 1, code


@compiled
def local_alleles(
    out: NDArray[np.int16], code: Ints, site: int, which: int, star: int, shapes: Shapes, records: Records, row: int
) -> None:
    """Fill `out` (K,) with the record's own allele for each allele of the site; <NON_REF>'s where it has none."""
    non_ref = records.figures[row, ALTS] + 1
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
def phreds(out: Ints, records: Records, row: int, local: NDArray[np.int16], kept: Ints) -> int:
    """Likelihoods of the genotypes of alleles `kept` (places in `local`), less the best one's, which stands behind
    them; returns how many, 0 when the record has none."""
    begin = records.pl_rows[row]
    if records.pl_rows[row + 1] == begin:
        return 0
    g = 0
    best = np.int32(0x7FFFFFFF)
    if records.figures[row, PLOIDY] == 1:
        for j in range(len(kept)):
            out[g] = records.pl[begin + local[kept[j]]]
            best = min(best, out[g])
            g += 1
    else:
        for j in range(len(kept)):
            b = np.int64(local[kept[j]])
            for i in range(j + 1):
                a = np.int64(local[kept[i]])
                low, high = min(a, b), max(a, b)
                out[g] = records.pl[begin + high * (high + 1) // 2 + low]
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
NOTHING_KNOWN = 1  # no genotype is taken over from the record
NO_READS = 2  # GQ 0 and no depth: no field is written
STRIPPED = 4  # and likelihoods that are not all equal: it does not enter the model
LIKELIEST = 8  # 0/0 is the likeliest genotype: what is called in the end is written without |


@compiled
def standing(records: Records, row: int) -> int:
    """Nothing is known where GQ is 0 and 0/0 is the likeliest genotype or was called, and where there are neither GQ
    nor likelihoods that differ. A genotype of REF and <NON_REF> without reads loses its fields, no more."""
    gq = records.figures[row, GQ]
    if gq > 0:
        return 0
    begin, end = records.pl_rows[row], records.pl_rows[row + 1]
    likeliest = flat = True
    for at in range(begin, end):
        likeliest &= records.pl[at] >= records.pl[begin]
        flat &= records.pl[at] == records.pl[begin]
    if gq == ABSENT:
        return NOTHING_KNOWN | LIKELIEST if flat else 0
    reads = records.figures[row, DP] != 0
    if not likeliest and (records.figures[row, ONE] > 0 or records.figures[row, TWO] > 0):
        return 0 if reads or not without_alt(records, row) else NO_READS
    known = NOTHING_KNOWN | (LIKELIEST if likeliest else 0)
    if reads:
        return known
    return known | NO_READS | (STRIPPED if end == begin or not flat else 0)


@compiled
def without_alt(records: Records, row: int) -> bool:
    """Whether the record's genotype has nothing but REF, <NON_REF>, which says no more, and missing alleles."""
    non_ref = records.figures[row, ALTS] + 1
    one, two = records.figures[row, ONE], records.figures[row, TWO]
    return bool((one <= 0 or one == non_ref) and (two <= 0 or two == non_ref))


@compiled
def approximated(records: Records, row: int) -> bool:
    """Without PL a confident 0/0 enters the model by its GQ."""
    return (
        records.pl_rows[row + 1] == records.pl_rows[row]
        and records.figures[row, PLOIDY] == 2
        and records.figures[row, ONE] != ABSENT
        and records.figures[row, TWO] != ABSENT
        and without_alt(records, row)
        and records.figures[row, GQ] > 0
    )


@compiled
def depth_of(records: Records, row: int) -> int:
    """FORMAT DP as it is written: MIN_DP where there is one. ABSENT when neither is there."""
    if records.figures[row, MIN_DP] != ABSENT:
        return int(records.figures[row, MIN_DP])
    return int(records.figures[row, DP])


@compiled
def informative(phred: Ints, genotypes: int) -> bool:
    """Whether log10 likelihoods sum to less than -0.1, in doubles as GATK adds them up: at the edge rounding decides.

    `phred` as left by `phreds`."""
    best = phred[genotypes]
    total = 0.0
    for g in range(genotypes):
        total += (phred[g] + best) / -10.0 - best / -10.0
    return bool(total < -0.1)


@compiled
def doubtful(phred: Ints, genotypes: int) -> bool:
    """Whether GQ is below 1, in doubles: 719 against 720 phred is a little less than a tenth."""
    best = phred[genotypes]
    _, gq = quality(phred, genotypes)
    if gq != 1:
        return gq < 1
    return bool(best / -10.0 - (best + 1) / -10.0 < 0.1)


@compiled
def approximate(out: Ints, k: int, gq: int) -> int:
    """Fills `out` with the likelihoods of a 0/0 of which only GQ is known; returns how many."""
    g = 0
    for j in range(k):
        for i in range(j + 1):
            out[g] = 0 if j == 0 else (gq if i == 0 else 10 * gq)
            g += 1
    return g
