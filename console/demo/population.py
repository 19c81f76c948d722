"""A simulated population: the reference, who carries what against it, and the files that say so."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from console.demo.alleles import OVERLAPPING_DELETION
from console.demo.genes import Gene, carve, design_genes
from console.demo.genome import (
    Contig,
    Repeat,
    Span,
    calling_intervals,
    contig_lengths,
    draw_bases,
    draw_gaps,
    mask_gaps,
    plant_repeats,
    stretches,
)
from console.demo.sites import Chromosome, Site
from console.demo.variants import draw_ancestry, draw_sites

SMALLEST_BP = 20_000  # below it no contig has room for genes and for an edge that is cut for length
BP_PER_REPEAT = 5_000
FASTA_COLUMNS = 60


@dataclass(frozen=True, kw_only=True)
class Population:
    """People by name, their reference, and every site at which they differ.

    `sites` are sorted by contig and position; `max_interval_bp` is the longest calling interval, which together with
    the runs of N gives `intervals`.
    """

    samples: tuple[str, ...]
    founders: int
    contigs: tuple[Contig, ...]
    genes: tuple[Gene, ...]
    repeats: tuple[Repeat, ...]
    sites: tuple[Site, ...]
    max_interval_bp: int

    @property
    def newcomers(self) -> tuple[str, ...]:
        """The people who join with the second run."""
        return self.samples[self.founders :]

    @cached_property
    def intervals(self) -> tuple[Span, ...]:
        """Calling intervals: cut at runs of N, and where a stretch between them is longer than `max_interval_bp`."""
        return tuple(
            interval
            for contig in self.contigs
            for interval in calling_intervals(contig.name, contig.reference, max_bp=self.max_interval_bp)
        )

    def haplotype(self, sample: str, contig: str, which: int) -> str:
        """One of a person's two copies (`which` is 0 or 1) of a contig, sequence in the reference's gaps included."""
        haplotype = 2 * self.samples.index(sample) + which
        genome = next(c.genome for c in self.contigs if c.name == contig)
        pieces, at = [], 0
        for site in self.sites:
            allele = site.haplotypes[haplotype]
            if site.contig != contig or allele == 0 or site.alts[allele - 1] == OVERLAPPING_DELETION:
                continue
            pieces += [genome[at : site.position], site.alts[allele - 1]]
            at = site.end
        return "".join([*pieces, genome[at:]])


def simulate(
    *, people: int = 8, newcomers: int = 2, seed: int, contigs: int = 2, total_bp: int = 100_000
) -> Population:
    """Simulate `people` + `newcomers` diploid people of one ancestry; the same arguments give the same population.

    Raises ValueError for fewer than two people, or for less sequence than the features of the simulation need.
    """
    if people < 2 or newcomers < 0 or contigs < 1 or total_bp < SMALLEST_BP:
        raise ValueError(f"need at least 2 people, 1 contig and {SMALLEST_BP} bases in all")
    rng = np.random.default_rng(seed)
    # ten intervals' worth of sequence, so that eight remain when gaps and the longer first stretch took their share
    max_interval_bp = total_bp // 10
    made_contigs: list[Contig] = []
    genes: list[Gene] = []
    repeats: list[Repeat] = []
    sites: list[Site] = []
    for number, length in enumerate(contig_lengths(contigs, total_bp), start=1):
        contig = f"chr{number}"
        bases = draw_bases(rng, length)
        gaps = draw_gaps(rng, length, max_interval_bp=max_interval_bp)
        own_genes = design_genes(rng, stretches(contig, mask_gaps(bases, gaps)), first_number=len(genes) + 1)
        for gene in own_genes:
            carve(rng, bases, gene)
        own_repeats = plant_repeats(
            rng,
            bases,
            _closed_to_repeats(length, gaps, own_genes),
            contig=contig,
            count=max(1, length // BP_PER_REPEAT),
        )
        made = Contig(name=contig, reference=mask_gaps(bases, gaps), genome=bases.tobytes().decode())
        chromosome = Chromosome(
            contig=contig,
            genome=made.genome,
            gaps=gaps,
            repeats=own_repeats,
            genes=own_genes,
            intervals=calling_intervals(contig, made.reference, max_bp=max_interval_bp),
            ancestry=draw_ancestry(rng, people=people + newcomers, length=length),
            founders=people,
        )
        made_contigs.append(made)
        genes += own_genes
        repeats += own_repeats
        sites += draw_sites(rng, chromosome)
    return Population(
        samples=tuple(f"S{number:04d}" for number in range(1, people + newcomers + 1)),
        founders=people,
        contigs=tuple(made_contigs),
        genes=tuple(genes),
        repeats=tuple(repeats),
        sites=tuple(sites),
        max_interval_bp=max_interval_bp,
    )


def _closed_to_repeats(
    length: int, gaps: Sequence[tuple[int, int]], genes: Sequence[Gene]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    closed = np.zeros(length, dtype=np.bool_)
    # a repeat would break a reading frame's codons, and the sites' own margins would leave it unvaried near a gap
    for start, end in [*gaps, *((gene.start, gene.end) for gene in genes)]:
        closed[max(0, start - 300) : end + 300] = True
    return closed


def write_reference(population: Population, fasta: Path) -> Path:
    """Write the reference, runs of N included, as FASTA."""
    with fasta.open("w") as out:
        for contig in population.contigs:
            out.write(f">{contig.name}\n")
            for at in range(0, contig.length, FASTA_COLUMNS):
                out.write(contig.reference[at : at + FASTA_COLUMNS] + "\n")
    return fasta


def write_truth(population: Population, path: Path) -> Path:
    """Write every site with everybody's phased genotypes as a bgzipped VCF (`.vcf.gz`) with its tabix index."""
    import pysam

    header = pysam.VariantHeader()
    for contig in population.contigs:
        header.contigs.add(contig.name, length=contig.length)
    header.info.add("ORIGIN", 1, "String", "Why the simulation has this site")
    header.formats.add("GT", 1, "String", "Phased genotype of the simulated person")
    for sample in population.samples:
        header.add_sample(sample)
    with pysam.VariantFile(str(path), "wz", header=header) as out:
        for site in population.sites:
            record = out.new_record(
                contig=site.contig,
                start=site.position,
                stop=site.end,
                alleles=(site.ref, *site.alts),
                filter="PASS",
                info={"ORIGIN": site.origin.value},
            )
            for person, sample in enumerate(population.samples):
                record.samples[sample]["GT"] = site.haplotypes[2 * person : 2 * person + 2]
                record.samples[sample].phased = True
            out.write(record)
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path
