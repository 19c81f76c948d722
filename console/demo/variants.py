"""What differs between the simulated people: sites with their alleles and who carries which.

Genealogies and neutral mutations come from msprime (Baumdicker et al., Genetics 2022) with human-like parameters.
The features that a joint caller must survive are planted on branches of the same genealogies, so that they are shared
between relatives as anything else is: repeats that change length (stepwise mutation), deletions with SNPs inside them
on other haplotypes, a deletion across a calling interval's edge, and a SNP in each gene's coding sequence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from console.demo.alleles import OVERLAPPING_DELETION, normalise
from console.demo.genes import Gene
from console.demo.genome import LETTERS, Repeat, Span

Carriers = npt.NDArray[np.bool_]

POPULATION_SIZE = 10_000  # effective diploid size of people
RECOMBINATION_PER_BP = 1e-8  # per generation
MUTATION_PER_BP = 1.6e-8  # per generation; theta = 4 N mu = 0.00064, about 230 sites in 100 kb of 20 haplotypes
INDEL_SHARE = 0.15
TRANSITION_SHARE = 0.68  # gives the Ti/Tv near 2.1 of human genomes
LONGEST_INDEL_BP = 20
NESTED_DELETION_BP = (15, 40)
SNP_GAP_BP = 4
# two changes nearer than this can be told in several ways, and then no comparison by normal alleles is fair
INDEL_GAP_BP = 25
# reads thin out towards a contig's ends and clip at the gaps: truth there would measure the margin, not the caller
CONTIG_MARGIN_BP = 500
GAP_MARGIN_BP = 200
_TRANSITION = dict(zip("ACGT", "GTAC", strict=True))


class Origin(StrEnum):
    """Why a site is in the simulation."""

    SNP = "snp"
    INDEL = "indel"
    REPEAT = "repeat"
    NESTED_DELETION = "nested_deletion"
    NESTED_SNP = "nested_snp"
    EDGE_DELETION = "edge_deletion"
    CODING_SNP = "coding_snp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place where people differ: 0-based position, normal alleles, and each haplotype's allele index.

    Haplotypes 2i and 2i+1 are person i's. An ALT `*` stands for a haplotype whose base an upstream deletion took.
    """

    contig: str
    position: int
    ref: str
    alts: tuple[str, ...]
    haplotypes: tuple[int, ...]
    origin: Origin

    @property
    def end(self) -> int:
        return self.position + len(self.ref)


class Ground:
    """Where changes may still go on one contig: never in the closed places, and not too near to one another."""

    def __init__(self, *, length: int, gaps: Sequence[tuple[int, int]]) -> None:
        self._taken = np.zeros(length, dtype=bool)
        self._near = np.zeros(length, dtype=bool)
        margins = [(0, CONTIG_MARGIN_BP), (length - CONTIG_MARGIN_BP, length)]
        margins += [(max(0, start - GAP_MARGIN_BP), end + GAP_MARGIN_BP) for start, end in gaps]
        for start, end in margins:
            self._taken[start:end] = self._near[start:end] = True

    def claim(self, start: int, end: int, *, gap: int) -> bool:
        """Take [start, end) if nothing within `gap` bases, or within its own gap, has it; says whether it did."""
        low, high = max(0, start - gap), end + gap
        if self._near[start:end].any() or self._taken[low:high].any():
            return False
        self._taken[start:end] = True
        self._near[low:high] = True
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromosome:
    """One contig on its way to variants: its bases, its features, and the genealogy of the people's haplotypes.

    `ancestry` is a tskit tree sequence. The first `founders` people are there from the first run on, so that every
    planted feature is carried by at least one of them.
    """

    contig: str
    genome: str
    gaps: Sequence[tuple[int, int]]
    repeats: Sequence[Repeat]
    genes: Sequence[Gene]
    intervals: Sequence[Span]
    ancestry: Any
    founders: int


def draw_ancestry(rng: np.random.Generator, *, people: int, length: int) -> Any:
    """The genealogy of `people` diploid people along `length` bases, as a tskit tree sequence."""
    import msprime

    return msprime.sim_ancestry(
        samples=people,
        ploidy=2,
        population_size=POPULATION_SIZE,
        recombination_rate=RECOMBINATION_PER_BP,
        sequence_length=length,
        random_seed=_seed(rng),
    )


def draw_sites(rng: np.random.Generator, chromosome: Chromosome) -> list[Site]:
    """All sites of one contig, sorted by position; planted features get their places before neutral ones do."""
    ground = Ground(length=len(chromosome.genome), gaps=chromosome.gaps)
    sites = [
        *_repeat_sites(rng, chromosome, ground),
        *_edge_deletions(rng, chromosome, ground),
        *_nested_deletions(rng, chromosome, ground, count=max(1, len(chromosome.genome) // 20_000)),
        *_coding_snps(rng, chromosome, ground),
        *_neutral_sites(rng, chromosome, ground),
    ]
    return sorted(sites, key=lambda site: (site.position, site.ref, site.alts))


def _neutral_sites(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
    import msprime

    mutated = msprime.sim_mutations(
        chromosome.ancestry, rate=MUTATION_PER_BP, model=msprime.BinaryMutationModel(), random_seed=_seed(rng)
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
            site = _snp(rng, chromosome, position, carriers, Origin.SNP)
            gap = SNP_GAP_BP
        if site is not None and ground.claim(site.position, site.end, gap=gap):
            yield site


def _snp(rng: np.random.Generator, chromosome: Chromosome, position: int, carriers: Carriers, origin: Origin) -> Site:
    ref = chromosome.genome[position]
    alt = _TRANSITION[ref]
    if rng.random() > TRANSITION_SHARE:
        alt = str(rng.choice([base for base in "ACGT" if base not in (ref, alt)]))
    return _site(chromosome, position, ref, alt, carriers, origin)


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
    return _site(chromosome, position, ref, alt, carriers, Origin.INDEL)


def _repeat_sites(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
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
    # the expected length of all branches of a neutral genealogy, in generations: about 1.5 steps for each repeat
    branches = 4 * POPULATION_SIZE * float((1 / np.arange(1, haplotypes)).sum())
    rate = np.zeros(2 * starts.size + 1)
    rate[1::2] = 1.5 / branches
    bounds = np.concatenate([[0], np.stack([starts, starts + 1], axis=1).ravel(), [length]])
    unchanged = 3  # steps are counted from here, within 0 to 6
    model = msprime.SMM(lo=0, hi=2 * unchanged, root_distribution=np.eye(2 * unchanged + 1)[unchanged])
    mutated = msprime.sim_mutations(
        chromosome.ancestry, rate=msprime.RateMap(position=bounds, rate=rate), model=model, random_seed=_seed(rng)
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


def _edge_deletions(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
    """One deletion across the first edge at which two calling intervals touch, where the contig has such an edge."""
    neighbours = pairwise(chromosome.intervals)
    edge = next((left.end for left, right in neighbours if left.end == right.start), None)
    if edge is None:
        return
    for size in rng.permutation(np.arange(10, LONGEST_INDEL_BP + 1)).tolist():
        position = edge - size // 2
        ref = chromosome.genome[position : position + size + 1]
        carriers = _founder_branch(rng, chromosome, position)
        site = _site(chromosome, position, ref, ref[0], carriers, Origin.EDGE_DELETION)
        if site.position + 1 < edge < site.end and ground.claim(site.position, site.end, gap=INDEL_GAP_BP):
            yield site
            return


def _nested_deletions(
    rng: np.random.Generator, chromosome: Chromosome, ground: Ground, *, count: int
) -> Iterator[Site]:
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
        deletion = _site(chromosome, position, ref, ref[0], deleted, Origin.NESTED_DELETION)
        if not ground.claim(deletion.position, deletion.end, gap=INDEL_GAP_BP):
            continue
        made += 1
        yield deletion
        inside = rng.choice(np.arange(deletion.position + 4, deletion.end - 3, 6), size=2, replace=False)
        for at in sorted(inside.tolist()[: int(rng.integers(1, 3))]):
            snp = _snp(rng, chromosome, at, kept, Origin.NESTED_SNP)
            yield Site(
                contig=snp.contig,
                position=snp.position,
                ref=snp.ref,
                alts=(*snp.alts, OVERLAPPING_DELETION),
                haplotypes=tuple((kept + 2 * deleted).tolist()),
                origin=snp.origin,
            )


def _coding_snps(rng: np.random.Generator, chromosome: Chromosome, ground: Ground) -> Iterator[Site]:
    for gene in chromosome.genes:
        bases = np.concatenate([np.arange(start, end) for start, end in gene.coding])
        for position in rng.permutation(bases).tolist():
            if ground.claim(position, position + 1, gap=SNP_GAP_BP):
                carriers = _founder_branch(rng, chromosome, position)
                yield _snp(rng, chromosome, position, carriers, Origin.CODING_SNP)
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


def _site(chromosome: Chromosome, position: int, ref: str, alt: str, carriers: Carriers, origin: Origin) -> Site:
    position, ref, alt = normalise(chromosome.genome, position, ref, alt)
    return Site(
        contig=chromosome.contig,
        position=position,
        ref=ref,
        alts=(alt,),
        haplotypes=tuple(carriers.astype(int).tolist()),
        origin=origin,
    )


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 2**31))
