"""One sample's column of one gVCF record: likelihoods from simulated reads, and the odd ones that callers write too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from random import Random

ERROR = 0.004  # of a read's allele


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """FORMAT values by key, in the order of their columns, and what INFO says of the same reads."""

    values: dict[str, str]
    depth: int


def happens(rng: Random, odds: float) -> bool:
    """False for the least number: where hypothesis shrinks, what is rare goes first."""
    return rng.random() > 1 - odds


def genotypes(alleles: int, ploidy: int) -> list[tuple[int, ...]]:
    """In the order of PL (VCF specification 4.3, 1.6.2): by the last allele first."""
    return sorted(combinations_with_replacement(range(alleles), ploidy), key=lambda one: one[::-1])


def likelihoods(reads: Sequence[int], ploidy: int) -> list[int]:
    """PLs, phred and normalised, of read counts by allele."""
    alleles = len(reads)
    raw = []
    for genotype in genotypes(alleles, ploidy):
        total = 0.0
        for allele, count in enumerate(reads):
            if count:
                share = genotype.count(allele) / ploidy
                total -= 10 * count * math.log10(share * (1 - ERROR) + (1 - share) * ERROR)
        # any other allele is a little less likely than a named one without reads
        raw.append(total + 1.5 * genotype.count(alleles - 1))
    least = min(raw)
    return [round(one - least) for one in raw]


def quality(pls: Sequence[int]) -> int:
    first, second = sorted(pls)[:2]
    return min(99, second - first)


def variant_cell(
    rng: Random, *, alleles: int, carried: Sequence[int], depth: int, at: int, tag: str, odd: bool = True
) -> Cell:
    """`alleles` counts REF and `<NON_REF>`; `carried` are the true alleles, one for each chromosome. `tag` names the
    phase group. Without `odd` the cell says what its reads say, in full."""
    ploidy = len(carried)
    # read by read from a source of its own: hypothesis need not shrink hundreds of them
    by_read = Random(rng.randrange(1 << 20))
    reads = [0] * alleles
    for _ in range(depth):
        wrong = by_read.random() < ERROR * 3
        reads[by_read.randrange(alleles - 1) if wrong else carried[by_read.randrange(ploidy)]] += 1
    pls = likelihoods(reads, ploidy)
    kinds = genotypes(alleles, ploidy)
    oddity = 1 - rng.random() if odd else 1.0
    if oddity < 0.08:  # close calls and ties
        pls = [rng.choice((0, 0, 1, 2, 3, 9, 15, 30)) for _ in pls]
        pls[rng.randrange(len(pls))] = 0
    elif oddity < 0.11:
        pls = [rng.randrange(0, 4000) for _ in pls]
        pls[rng.randrange(len(pls))] = 0
    elif oddity < 0.13:
        pls = [0] * len(pls)
        if happens(rng, 0.5):
            pls[-1] = 5
        if happens(rng, 0.6):
            reads = [0] * alleles
    best = kinds[min(range(len(pls)), key=lambda one: (pls[one], one))]
    if odd and happens(rng, 0.03):
        best = rng.choice(kinds)
    values = {"GT": "/".join(map(str, best)), "AD": ",".join(map(str, reads)), "DP": str(sum(reads))}
    values["GQ"] = str(quality(pls))
    _phase(rng, values, best, at, tag)
    values["PL"] = ",".join(map(str, pls))
    values["SB"] = ",".join(map(str, _strands(rng, by_read, reads)))
    if odd:
        _leave_out(rng, values, best)
    return Cell(values=values, depth=sum(reads))


def _phase(rng: Random, values: dict[str, str], best: tuple[int, ...], at: int, tag: str) -> None:
    if len(best) != 2 or best == (0, 0) or rng.random() < 0.75:
        return
    first = happens(rng, 0.5)
    shown = best if first or happens(rng, 0.5) else best[::-1]
    values["GT"] = "|".join(map(str, shown))
    values["PGT"] = "0|1" if first else "1|0"
    values["PID"] = tag
    if happens(rng, 0.9):
        values["PS"] = str(at)


def _strands(rng: Random, by_read: Random, reads: Sequence[int]) -> list[int]:
    bias = rng.choice((0.5, 0.5, 0.5, 0.9, 0.05))
    counted = []
    for count, share in ((reads[0], 0.5), (sum(reads[1:]), bias)):
        forward = sum(by_read.random() < share for _ in range(count))
        counted += [forward, count - forward]
    return counted


def _leave_out(rng: Random, values: dict[str, str], best: tuple[int, ...]) -> None:
    chance = 1 - rng.random()
    # GATK drops the whole site when a call of an ALT has no PL: rare, or few sites with many people were left
    if chance < (0.0007 if any(best) else 0.015):
        del values["PL"]
    elif chance < 0.02:
        return
    elif chance < 0.04:
        del values["AD"]
        del values["SB"]
    elif chance < 0.06:
        del values["SB"]
    elif chance < 0.07:
        values["GT"] = "/".join("." for _ in best)
    elif chance < 0.08:
        values["DP"] = "0"
    elif chance < 0.09:
        del values["GQ"]
    elif chance < 0.10:
        del values["DP"]


def block_cell(rng: Random, *, ploidy: int, style: str, quality_of_reference: int) -> dict[str, str]:
    """A reference block's column. `style`: "fine" as HaplotypeCaller writes it, "reblocked" often without PL, "bare"
    with fields missing."""
    most = quality_of_reference
    depth = max(0, round(most / 3 + rng.uniform(-2, 4)))
    low = max(0, depth - rng.randrange(4))
    chance = 1 - rng.random()
    hom_ref = "/".join("0" * ploidy)
    if chance < 0.03:
        empty = [0] * (ploidy + 1)
        if happens(rng, 0.3):
            empty[-1] = 5
        values = {"GT": hom_ref, "DP": "0", "GQ": "0", "MIN_DP": "0", "PL": ",".join(map(str, empty))}
    elif chance < 0.05:  # reads, and they say nothing
        values = {"GT": hom_ref, "DP": str(depth), "GQ": "0", "MIN_DP": str(low), "PL": ",".join("0" * (ploidy + 1))}
    else:
        pls = [0, most] if ploidy == 1 else [0, most, round(most * rng.uniform(2, 15))]
        values = {"GT": hom_ref, "DP": str(depth), "GQ": str(min(99, most)), "MIN_DP": str(low)}
        values["PL"] = ",".join(map(str, pls))
    if happens(rng, 0.02):
        values["GT"] = "/".join("." * ploidy)
    if style == "reblocked" and happens(rng, 0.7):
        del values["PL"]
        if happens(rng, 0.3):
            del values["MIN_DP"]
    elif style == "bare":
        for key in ("DP", "GQ", "MIN_DP", "PL"):
            if happens(rng, 0.25):
                del values[key]
    return values
