"""Small references and gVCFs, written out by the test that needs them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import pysam

from chassis.reference.local import LocalReference
from contracts.values import Interval, ReferenceId
from services.jointcall.engines.protocol import GvcfInput

HEADER = """##fileformat=VCFv4.2
##ALT=<ID=NON_REF,Description="Any other allele">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Fewest reads in the block">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Reads">
##INFO=<ID=END,Number=1,Type=Integer,Description="End of the block">
"""


def sequence(length: int, *, seed: int = 7) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def write_reference(folder: Path, bases: str, *, contig: str = "c1") -> LocalReference:
    fasta = folder / f"{contig}.fa"
    fasta.write_text(f">{contig}\n{bases}\n")
    return local_reference(fasta)


def local_reference(fasta: Path) -> LocalReference:
    """With `.fai` and `.dict`, and one calling interval: the whole of the only contig."""
    pysam.faidx(str(fasta))
    pysam.samtools.dict("-o", str(fasta.with_suffix(".dict")), str(fasta), catch_stdout=False)
    with pysam.FastaFile(str(fasta)) as opened:
        (contig,), (length,) = opened.references, opened.lengths
    return LocalReference(
        id=ReferenceId(name="stand-in", digest=hashlib.md5(fasta.name.encode()).hexdigest()),
        fasta=fasta,
        intervals=(Interval(contig=contig, start=1, end=length, contig_length=length),),
    )


def block(bases: str, start: int, end: int, *, contig: str = "c1") -> str:
    """A reference block of 30 reads."""
    cell = "0/0:30:90:30:0,90,1200"
    return f"{contig}\t{start}\t.\t{bases[start - 1]}\t<NON_REF>\t.\t.\tEND={end}\tGT:DP:GQ:MIN_DP:PL\t{cell}"


def het(ref: str, alt: str, at: int, *, contig: str = "c1") -> str:
    """A heterozygous variant of 30 reads."""
    cell = "0/1:15,15,0:30:99:600,0,600,645,645,1290"
    return f"{contig}\t{at}\t.\t{ref}\t{alt},<NON_REF>\t500\t.\tDP=30\tGT:AD:DP:GQ:PL\t{cell}"


def het_without_pl(ref: str, alt: str, at: int, *, contig: str = "c1") -> str:
    """As `het`, without likelihoods: nobody's call of the site can be made."""
    return f"{contig}\t{at}\t.\t{ref}\t{alt},<NON_REF>\t500\t.\tDP=30\tGT:AD:DP:GQ\t0/1:15,15,0:30:99"


def write_gvcf(
    folder: Path, name: str, records: Sequence[str], *, contigs: Sequence[tuple[str, int]], columns: Sequence[str] = ()
) -> GvcfInput:
    lines = [f"##contig=<ID={contig},length={length}>" for contig, length in contigs]
    lines.append(
        "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *(columns or [name])))
    )
    return bgzip(folder / f"{name}.g.vcf.gz", (HEADER + "\n".join((*lines, *records)) + "\n").encode(), name=name)


def bgzip(path: Path, text: bytes, *, name: str, index: bool = True) -> GvcfInput:
    with pysam.BGZFile(str(path), "w", None) as sink:
        sink.write(text)
    if index:
        pysam.tabix_index(str(path), preset="vcf", force=True)
    return GvcfInput(name=name, path=path, index=path.with_name(path.name + ".tbi"))
