"""A reference of two contigs with one gene, and VCFs of three samples over it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.reference.local import LocalReference
from chassis.tools import vcf
from contracts.values import Interval, ReferenceId

SAMPLES = ("NA001", "NA002", "NA003")
LENGTHS = {"chr1": 3000, "chr2": 400}
META = (
    "##fileformat=VCFv4.2",
    '##FILTER=<ID=QD2,Description="QD below 2">',
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depths">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
    '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    "##GATKCommandLine=<ID=GenotypeGVCFs,CommandLine=\"--output /tmp/secret/place\">",
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="Count">',
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
    '##INFO=<ID=QD,Number=1,Type=Float,Description="Quality by depth">',
    *(f"##contig=<ID={name},length={length}>" for name, length in LENGTHS.items()),
)  # fmt: skip

WriteVcf = Callable[..., Path]


@dataclass(frozen=True, slots=True)
class Gene:
    """GENE1 on the forward strand of chr1: coding from 1051 to 1200 and from 1301 to 1498; every codon between start
    and stop is GCT (alanine)."""

    sequence: str

    def base(self, position: int) -> str:
        return self.sequence[position - 1]

    def other(self, position: int) -> str:
        return "A" if self.base(position) != "A" else "C"


@pytest.fixture(scope="session")
def gene() -> Gene:
    rng = random.Random(17)
    bases = rng.choices("ACGT", k=LENGTHS["chr1"])
    coding = "ATG" + "GCT" * 114 + "TAA"
    bases[1050:1200], bases[1300:1498] = coding[:150], coding[150:]
    return Gene("".join(bases))


@pytest.fixture(scope="session")
def reference(gene: Gene, tmp_path_factory: pytest.TempPathFactory) -> LocalReference:
    import pysam

    folder = tmp_path_factory.mktemp("reference")
    fasta = folder / "tiny.fa"
    fasta.write_text(f">chr1\n{gene.sequence}\n>chr2\n{'ACGT' * 100}\n")
    pysam.faidx(str(fasta))
    return LocalReference(
        id=ReferenceId(name="tiny", digest=hashlib.md5(gene.sequence.encode()).hexdigest()),
        fasta=fasta,
        intervals=tuple(Interval(contig=c, start=1, end=n, contig_length=n) for c, n in LENGTHS.items()),
        gff=_gene_model(folder / "genes.gff3"),
    )


def _gene_model(path: Path) -> Path:
    transcript = "Parent=transcript:T1"
    features = [
        ("gene", 1001, 1600, ".", "ID=gene:G1;Name=GENE1;biotype=protein_coding;gene_id=G1"),
        ("mRNA", 1001, 1600, ".", "ID=transcript:T1;Parent=gene:G1;Name=GENE1-201;biotype=protein_coding"),
        ("five_prime_UTR", 1001, 1050, ".", transcript),
        ("exon", 1001, 1200, ".", f"{transcript};rank=1"),
        ("CDS", 1051, 1200, "0", f"ID=CDS:P1;{transcript}"),
        ("exon", 1301, 1600, ".", f"{transcript};rank=2"),
        ("CDS", 1301, 1498, "0", f"ID=CDS:P1;{transcript}"),
        ("three_prime_UTR", 1499, 1600, ".", transcript),
    ]
    lines = [f"chr1\ttest\t{kind}\t{start}\t{end}\t.\t+\t{phase}\t{rest}" for kind, start, end, phase, rest in features]
    path.write_text("\n".join(["##gff-version 3", *lines]) + "\n")
    return path


@pytest.fixture
def write_vcf(tmp_path: Path) -> WriteVcf:
    """`write_vcf(name, lines, samples=, meta=)`: lines are records with their tabs, without sample columns filled in
    where they have only 8 fields."""

    def write(name: str, lines: Sequence[str], *, samples: Sequence[str] = SAMPLES, meta: Sequence[str] = META) -> Path:
        path = tmp_path / name
        columns = [
            "#CHROM",
            "POS",
            "ID",
            "REF",
            "ALT",
            "QUAL",
            "FILTER",
            "INFO",
            *(["FORMAT", *samples] if samples else []),
        ]
        with vcf.writing(path) as out:
            for line in (*meta, "\t".join(columns), *lines):
                out.write(line.encode() + b"\n")
        return path

    return write


def record(
    contig: str, position: int, ref: str, alt: str, *genotypes: str, info: str = "DP=30", filters: str = "PASS"
) -> str:
    """A line with GT:AD:DP:GQ columns; a genotype is GT alone, or all four fields, or `.`."""
    depths = ",".join(["10", *["5"] * len(alt.split(","))])
    full = [gt if ":" in gt or gt == "." else f"{gt}:{depths}:15:99" for gt in (genotypes or ("0/1", "0/0", "1/1"))]
    return "\t".join([contig, str(position), ".", ref, alt, "50", filters, info, "GT:AD:DP:GQ", *full])


@pytest.fixture(name="record")
def _record() -> Callable[..., str]:
    return record
