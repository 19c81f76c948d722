"""All that differs between the simulated people of one contig.

Genealogies and neutral mutations come from msprime (Baumdicker et al., Genetics 2022) with human-like parameters; the
planted features of `console.demo.planted` share the same genealogies.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from console.demo.genome import LETTERS
from console.demo.planted import coding_snps, edge_deletions, nested_deletions, repeat_sites
from console.demo.sites import (
    INDEL_GAP_BP,
    LONGEST_INDEL_BP,
    POPULATION_SIZE,
    SNP_GAP_BP,
    Carriers,
    Chromosome,
    Ground,
    Origin,
    Site,
    msprime_seed,
    site_of,
    snp,
)

RECOMBINATION_PER_BP = 1e-8  # per generation
MUTATION_PER_BP = 1.6e-8  # per generation; theta = 4 N mu = 0.00064, about 230 sites in 100 kb of 20 haplotypes
INDEL_SHARE = 0.15
BP_PER_NESTED_DELETION = 20_000


def draw_ancestry(rng: np.random.Generator, *, people: int, length: int) -> Any:
    """The genealogy of `people` diploid people along `length` bases, as a tskit tree sequence."""
    import msprime

    return msprime.sim_ancestry(
        samples=people,
        ploidy=2,
        population_size=POPULATION_SIZE,
        recombination_rate=RECOMBINATION_PER_BP,
        sequence_length=length,
        random_seed=msprime_seed(rng),
    )


def draw_sites(rng: np.random.Generator, chromosome: Chromosome) -> list[Site]:
    """All sites of one contig, sorted by position; planted features get their places before neutral ones do."""
    ground = Ground(length=len(chromosome.genome), gaps=chromosome.gaps)
    sites = [
        *repeat_sites(rng, chromosome, ground),
        *edge_deletions(rng, chromosome, ground),
        *nested_deletions(rng, chromosome, ground, count=max(1, len(chromosome.genome) // BP_PER_NESTED_DELETION)),
        *coding_snps(rng, chromosome, ground),
        *_neutral_sites(rng, chromosome, ground),
    ]
    return sorted(sites, key=lambda site: (site.position, site.ref, site.alts))


def _neutral_sites(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
    import msprime

    mutated = msprime.sim_mutations(
        chromosome.ancestry, rate=MUTATION_PER_BP, model=msprime.BinaryMutationModel(), random_seed=msprime_seed(rng)
    )
    for variant in mutated.variants():
        # a back mutation may have left the site without a carrier
        if not variant.genotypes.any():
            continue
        position, carriers = int(variant.site.position), variant.genotypes > 0
        if rng.random() < INDEL_SHARE:
            site = _indel(rng, chromosome, position, carriers)
            gap = INDEL_GAP_BP
        else:
            site = snp(rng, chromosome, position, carriers, Origin.SNP)
            gap = SNP_GAP_BP
        if site is not None and ground.claim(site.position, site.end, gap=gap):
            yield site


def _indel(rng: np.random.Generator, chromosome: Chromosome, position: int, carriers: Carriers) -> Site | None:
    """A deletion, a tandem duplication or an insertion of new sequence; short ones are commoner, as in people."""
    sizes = np.arange(1, LONGEST_INDEL_BP + 1)
    odds = sizes**-1.5
    size = int(rng.choice(sizes, p=odds / odds.sum()))
    genome = chromosome.genome
    anchor, following = genome[position], genome[position + 1 : position + 1 + size]
    if len(following) < size:
        return None
    match int(rng.integers(0, 4)):
        case 0:
            new = bytes(LETTERS[rng.integers(0, 4, size=size)]).decode()
            ref, alt = anchor, anchor + new
        case 1:
            ref, alt = anchor, anchor + following
        case _:
            ref, alt = anchor + following, anchor
    return site_of(chromosome, position, ref, alt, carriers, Origin.INDEL)
