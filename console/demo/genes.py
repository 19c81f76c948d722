"""The demo's own gene model: genes on both strands whose coding sequence is real, as GFF3 in Ensembl's style.

`bcftools csq` reads the columns and attributes that Ensembl writes: `ID=gene:...` with a biotype, transcripts with
`Parent=gene:...`, and exons and CDS with `Parent=transcript:...`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from console.demo.genome import Bases, Span

STOP_CODONS = ("TAA", "TAG", "TGA")
CODONS = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
SENSE_CODONS = [codon for codon in CODONS if codon not in STOP_CODONS]
UTR_BP = 60
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gene:
    """One protein-coding gene with one transcript; spans are 0-based, half-open and in genome order.

    `coding` are the parts of `exons` that are translated; their lengths add up to a multiple of three.
    """

    name: str
    number: int
    contig: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if self.strand not in "+-" or sum(end - start for start, end in self.coding) % 3:
            raise ValueError(f"gene {self.name}: a strand is + or -, and coding bases come in threes")

    @property
    def start(self) -> int:
        return self.exons[0][0]

    @property
    def end(self) -> int:
        return self.exons[-1][1]

    def coding_sequence(self, sequence: str) -> str:
        """Start codon to stop codon, on the gene's own strand."""
        joined = "".join(sequence[start:end] for start, end in self.coding)
        return joined if self.strand == "+" else reverse_complement(joined)


def reverse_complement(sequence: str) -> str:
    return sequence.translate(_COMPLEMENT)[::-1]


def design_genes(rng: np.random.Generator, spans: Iterable[Span], *, first_number: int = 1) -> list[Gene]:
    """One gene in each span that has the room, on alternating strands; the longest take 40 % of their span."""
    genes: list[Gene] = []
    for span in spans:
        exons = _draw_exons(rng, budget=min(2500, int(span.length * 0.4)))
        if not exons:
            continue
        slack = span.length - exons[-1][1]
        offset = span.start + int(rng.integers(slack // 4, 3 * slack // 4))
        placed = [(offset + start, offset + end) for start, end in exons]
        coding = [(placed[0][0] + UTR_BP, placed[0][1]), *placed[1:-1], (placed[-1][0], placed[-1][1] - UTR_BP)]
        number = first_number + len(genes)
        genes.append(
            Gene(
                name=f"DEMO{number}",
                number=number,
                contig=span.contig,
                strand="+" if number % 2 else "-",
                exons=tuple(placed),
                coding=tuple(coding),
            )
        )
    return genes


def _draw_exons(rng: np.random.Generator, *, budget: int) -> list[tuple[int, int]]:
    """Exons from 0 that end within `budget`; at least two, or none when there is no room."""
    exons: list[tuple[int, int]] = []
    at = 0
    for _ in range(int(rng.integers(3, 6))):
        # the shortest leaves 100 coding bases beside a UTR
        end = at + UTR_BP + int(rng.integers(100, 200))
        if end > budget:
            break
        exons.append((at, end))
        at = end + int(rng.integers(80, 250))
    if len(exons) < 2:
        return []
    coding_bp = sum(end - start for start, end in exons) - 2 * UTR_BP
    start, end = exons[-1]
    return [*exons[:-1], (start, end - coding_bp % 3)]


def carve(rng: np.random.Generator, genome: Bases, gene: Gene) -> None:
    """Write the gene into the genome: start codon, sense codons, stop codon, and GT..AG at every intron's ends."""
    codons = sum(end - start for start, end in gene.coding) // 3
    body = [SENSE_CODONS[i] for i in rng.integers(0, len(SENSE_CODONS), size=codons - 2).tolist()]
    stop = STOP_CODONS[int(rng.integers(0, len(STOP_CODONS)))]
    text = "ATG" + "".join(body) + stop
    if gene.strand == "-":
        text = reverse_complement(text)
    donor, acceptor = ("GT", "AG") if gene.strand == "+" else ("CT", "AC")
    for start, end in gene.coding:
        genome[start:end] = _bases(text[: end - start])
        text = text[end - start :]
    for (_, left), (right, _) in pairwise(gene.exons):
        genome[left : left + 2] = _bases(donor)
        genome[right - 2 : right] = _bases(acceptor)


def _bases(text: str) -> Bases:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def write_gff(genes: Sequence[Gene], lengths: Sequence[tuple[str, int]], path: Path) -> Path:
    """Write the gene model as GFF3 (1-based, closed); `lengths` are the contigs' (name, bases)."""
    lines = ["##gff-version 3", *(f"##sequence-region {name} 1 {length}" for name, length in lengths)]
    for gene in genes:
        lines += [*_gene_lines(gene), "###"]
    path.write_text("\n".join(lines) + "\n")
    return path


def _gene_lines(gene: Gene) -> list[str]:
    gene_id, transcript, protein = (f"DEMO{kind}{gene.number:011d}" for kind in "GTP")

    def line(kind: str, start: int, end: int, phase: str, attributes: str) -> str:
        columns = [gene.contig, "cohortstream", kind, str(start + 1), str(end), ".", gene.strand, phase, attributes]
        return "\t".join(columns)

    lines = [
        line(
            "gene",
            gene.start,
            gene.end,
            ".",
            f"ID=gene:{gene_id};Name={gene.name};biotype=protein_coding;gene_id={gene_id}",
        ),
        line(
            "mRNA",
            gene.start,
            gene.end,
            ".",
            f"ID=transcript:{transcript};Parent=gene:{gene_id};Name={gene.name}-201;biotype=protein_coding;"
            f"transcript_id={transcript}",
        ),
    ]
    in_reading_order = gene.exons if gene.strand == "+" else gene.exons[::-1]
    for rank, (start, end) in enumerate(in_reading_order, start=1):
        lines.append(line("exon", start, end, ".", f"Parent=transcript:{transcript};rank={rank}"))
    translated = 0
    for start, end in gene.coding if gene.strand == "+" else gene.coding[::-1]:
        # the phase says how many bases to skip to the next codon's first
        lines.append(line("CDS", start, end, str(-translated % 3), f"ID=CDS:{protein};Parent=transcript:{transcript}"))
        translated += end - start
    return lines
