"""The features that a joint caller must survive, planted on branches of the people's own genealogies.

Being on a branch, each is shared between relatives as a neutral mutation would be: repeats that change length (the
stepwise mutation of Ohta and Kimura, 1973), deletions with SNPs inside them on other haplotypes, a deletion across a
calling interval's edge, and a SNP in each gene's coding sequence.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from console.demo.alleles import OVERLAPPING_DELETION
from console.demo.genome import Repeat
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

NESTED_DELETION_BP = (15, 40)
STEPS_PER_REPEAT = 1.5  # changes of length expected in a repeat's whole genealogy


def repeat_sites(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
    """Repeats that have changed their length somewhere, by up to three units either way; all alleles in one site."""
    import msprime

    repeats = {
        repeat.start: repeat
        for repeat in chromosome.repeats
        if ground.claim(repeat.start - 1, repeat.end, gap=INDEL_GAP_BP)
    }
    if not repeats:
        return
    starts = np.array(sorted(repeats))
    length = len(chromosome.genome)
    haplotypes = chromosome.ancestry.num_samples
    # the expected length of all branches of a neutral genealogy, in generations
    branches = 4 * POPULATION_SIZE * float((1 / np.arange(1, haplotypes)).sum())
    rate = np.zeros(2 * starts.size + 1)
    rate[1::2] = STEPS_PER_REPEAT / branches
    bounds = np.concatenate([[0], np.stack([starts, starts + 1], axis=1).ravel(), [length]])
    unchanged = 3  # steps are counted from here, within 0 to 6
    model = msprime.SMM(lo=0, hi=2 * unchanged, root_distribution=np.eye(2 * unchanged + 1)[unchanged])
    mutated = msprime.sim_mutations(
        chromosome.ancestry,
        rate=msprime.RateMap(position=bounds, rate=rate),
        model=model,
        random_seed=msprime_seed(rng),
    )
    for variant in mutated.variants():
        steps = np.array([int(allele) - unchanged for allele in variant.alleles if allele is not None])
        site = _repeat_site(chromosome, repeats[int(variant.site.position)], steps[variant.genotypes])
        if site is not None:
            yield site


def _repeat_site(chromosome: Chromosome, repeat: Repeat, steps: npt.NDArray[np.int64]) -> Site | None:
    changed = sorted({step for step in steps.tolist() if step})
    if not changed:
        return None
    anchor = chromosome.genome[repeat.start - 1]
    lost = max(0, -changed[0])
    alts = tuple(anchor + repeat.unit * (lost + step) for step in changed)
    index = {0: 0, **{step: i for i, step in enumerate(changed, start=1)}}
    return Site(
        contig=chromosome.contig,
        position=repeat.start - 1,
        ref=anchor + repeat.unit * lost,
        alts=alts,
        haplotypes=tuple(index[step] for step in steps.tolist()),
        origin=Origin.REPEAT,
    )


def edge_deletions(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
    """One deletion across the first edge at which two calling intervals touch, where the contig has such an edge."""
    neighbours = pairwise(chromosome.intervals)
    edge = next((left.end for left, right in neighbours if left.end == right.start), None)
    if edge is None:
        return
    for size in rng.permutation(np.arange(10, LONGEST_INDEL_BP + 1)).tolist():
        position = edge - size // 2
        ref = chromosome.genome[position : position + size + 1]
        carriers = _founder_branch(rng, chromosome, position)
        site = site_of(chromosome, position, ref, ref[0], carriers, Origin.EDGE_DELETION)
        if site.position + 1 < edge < site.end and ground.claim(site.position, site.end, gap=INDEL_GAP_BP):
            yield site
            return


def nested_deletions(rng: np.random.Generator, chromosome: Chromosome, ground: Ground, *, count: int) -> Iterator[Site]:
    """Deletions that somebody has on one haplotype, with one or two SNPs inside that the other haplotype has."""
    made = 0
    for position in rng.integers(0, len(chromosome.genome) - 100, size=200).tolist():
        if made == count:
            return
        branches = _two_branches(rng, chromosome, position)
        if branches is None:
            continue
        size = int(rng.integers(*NESTED_DELETION_BP))
        deleted, kept = branches
        ref = chromosome.genome[position : position + size + 1]
        deletion = site_of(chromosome, position, ref, ref[0], deleted, Origin.NESTED_DELETION)
        if not ground.claim(deletion.position, deletion.end, gap=INDEL_GAP_BP):
            continue
        made += 1
        yield deletion
        inside = rng.choice(np.arange(deletion.position + 4, deletion.end - 3, 6), size=2, replace=False)
        for at in sorted(inside.tolist()[: int(rng.integers(1, 3))]):
            inner = snp(rng, chromosome, at, kept, Origin.NESTED_SNP)
            yield Site(
                contig=inner.contig,
                position=inner.position,
                ref=inner.ref,
                alts=(*inner.alts, OVERLAPPING_DELETION),
                haplotypes=tuple((kept + 2 * deleted).tolist()),
                origin=inner.origin,
            )


def coding_snps(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
    """One SNP in the coding sequence of each gene, which somebody of the first run carries."""
    for gene in chromosome.genes:
        bases = np.concatenate([np.arange(start, end) for start, end in gene.coding])
        for position in rng.permutation(bases).tolist():
            if ground.claim(position, position + 1, gap=SNP_GAP_BP):
                carriers = _founder_branch(rng, chromosome, position)
                yield snp(rng, chromosome, position, carriers, Origin.CODING_SNP)
                break


def _branches(chromosome: Chromosome, position: int) -> tuple[list[Carriers], npt.NDArray[np.float64]]:
    """Each branch above `position` as the haplotypes below it, with the odds that a mutation falls on it."""
    tree = chromosome.ancestry.at(position)
    nodes = [node for node in tree.nodes() if node != tree.root]
    below = []
    for node in nodes:
        carriers = np.zeros(chromosome.ancestry.num_samples, dtype=bool)
        carriers[list(tree.samples(node))] = True
        below.append(carriers)
    lengths = np.array([tree.branch_length(node) for node in nodes])
    return below, lengths / lengths.sum()


def _founder_branch(rng: np.random.Generator, chromosome: Chromosome, position: int) -> Carriers:
    below, odds = _branches(chromosome, position)
    odds = np.where([carriers[: 2 * chromosome.founders].any() for carriers in below], odds, 0)
    return below[int(rng.choice(len(below), p=odds / odds.sum()))]


def _two_branches(rng: np.random.Generator, chromosome: Chromosome, position: int) -> tuple[Carriers, Carriers] | None:
    """Two branches that share no haplotype while some founder has one haplotype below each."""
    below, odds = _branches(chromosome, position)
    first = below[int(rng.choice(len(below), p=odds))]
    founders = 2 * chromosome.founders
    others = [
        other
        for other in below
        if not (first & other).any()
        and (first[:founders:2] & other[1:founders:2] | first[1:founders:2] & other[:founders:2]).any()
    ]
    return (first, others[int(rng.integers(0, len(others)))]) if others else None
