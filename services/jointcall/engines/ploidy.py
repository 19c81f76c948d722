"""How many alleles a genotype may have, by contig.

Two on every contig. On X, on Y and on the mitochondrion one or two: a sample's sex is not known here; X in men is
haploid but for the pseudoautosomal stretches; Y and the mitochondrion are haploid where the caller had a ploidy map
and diploid where it had none, as this system's own caller has none. Heterozygous calls there are the caller's business
(paralogues on Y, heteroplasmy): a joint caller weighs their likelihoods. Never none, never three.

PL must have one value for each genotype that the ploidy allows, C(alleles + ploidy - 1, ploidy) (VCF specification
4.3, 1.6.2): a haploid genotype beside diploid likelihoods is two callers' work in one record.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

SEX_AND_MITOCHONDRION = frozenset(
    {prefix + name for prefix in ("chr", "") for name in ("X", "Y", "M", "MT")} | {"MtDNA", "chrMtDNA"}
)
HERE, ELSEWHERE = (1, 2), (2,)


def allowed_on(contig: str) -> tuple[int, ...]:
    """Alleles that a genotype on this contig may have."""
    return HERE if contig in SEX_AND_MITOCHONDRION else ELSEWHERE


def fault(genotype: str, likelihoods: str, *, alleles: int, contig: str) -> str | None:
    """What is wrong, None for nothing. `genotype` is GT, `likelihoods` PL as they stand, `.` where there is none;
    `alleles` counts REF too."""
    if genotype == ".":
        return None
    ploidy = 1 + genotype.count("/") + genotype.count("|")
    allowed = allowed_on(contig)
    if ploidy not in allowed:
        return f"the genotype has {_alleles(ploidy)}, on {contig} it has {' or '.join(map(str, allowed))}"
    if likelihoods == ".":
        return None
    wanted, found = _genotypes(alleles, ploidy), likelihoods.count(",") + 1
    if found != wanted:
        return f"{found} likelihoods beside a genotype of {_alleles(ploidy)}, {wanted} belong to it"
    return None


@lru_cache(maxsize=256)
def _genotypes(alleles: int, ploidy: int) -> int:
    return comb(alleles + ploidy - 1, ploidy)


def _alleles(ploidy: int) -> str:
    return "1 allele" if ploidy == 1 else f"{ploidy} alleles"
