"""A cohort of small gVCFs with its reference, as text and as files that GATK takes."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.oracle.gatk import index_fasta

HEADER = """##fileformat=VCFv4.2
##ALT=<ID=NON_REF,Description="Any other allele">
##FILTER=<ID=LowQual,Description="Low quality">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Fewest reads in the block">
##FORMAT=<ID=PGT,Number=1,Type=String,Description="Genotype in its phase">
##FORMAT=<ID=PID,Number=1,Type=String,Description="Phase group">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">
##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">
##FORMAT=<ID=SB,Number=4,Type=Integer,Description="Reads by allele and strand">
##INFO=<ID=BaseQRankSum,Number=1,Type=Float,Description="Base qualities">
##INFO=<ID=ClippingRankSum,Number=1,Type=Float,Description="Clipped bases">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Reads">
##INFO=<ID=END,Number=1,Type=Integer,Description="End of the block">
##INFO=<ID=ExcessHet,Number=1,Type=Float,Description="Excess of heterozygotes">
##INFO=<ID=MLEAC,Number=A,Type=Integer,Description="Likeliest allele count">
##INFO=<ID=MLEAF,Number=A,Type=Float,Description="Likeliest allele frequency">
##INFO=<ID=MQ,Number=1,Type=Float,Description="Mapping quality">
##INFO=<ID=MQ0,Number=1,Type=Integer,Description="Reads of mapping quality 0">
##INFO=<ID=MQRankSum,Number=1,Type=Float,Description="Mapping qualities">
##INFO=<ID=RAW_MQandDP,Number=2,Type=Integer,Description="Sum of squared mapping qualities, and reads">
##INFO=<ID=ReadPosRankSum,Number=1,Type=Float,Description="Places in the read">
"""


class JointCall(Protocol):
    """What is compared with GATK: gVCFs of one sample each to a joint VCF in BGZF."""

    def __call__(
        self,
        *,
        gvcfs: tuple[Path, ...],
        fasta: Path,
        contig: str,
        first: int,
        last: int,
        out: Path,
        all_sites: bool = False,
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """`records` by sample name, in order of position; `first` and `last` bound the interval to call."""

    contig: str
    bases: str
    first: int
    last: int
    records: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """`fasta` with `.fai` and `.dict`, gVCFs with `.tbi`."""

    name: str
    fasta: Path
    contig: str
    first: int
    last: int
    gvcfs: tuple[Path, ...]

    def call(self, by: JointCall, out: Path, *, all_sites: bool = False) -> Path:
        by(
            gvcfs=self.gvcfs,
            fasta=self.fasta,
            contig=self.contig,
            first=self.first,
            last=self.last,
            out=out,
            all_sites=all_sites,
        )
        return out


LOOKED_BACK_BP = 2000
"""In front of an interval: more than any deletion that HaplotypeCaller assembles."""


def shadow(cohort: Cohort) -> int:
    """The last base up to which a sample's record reaches from in front of the interval although another one of the
    sample ended it before the interval's start; 0 when there is none. GATK sees only the former."""
    import pysam

    reach = 0
    if cohort.first == 1:
        return reach
    for path in cohort.gvcfs:
        with pysam.TabixFile(str(path)) as opened:
            if cohort.contig not in opened.contigs:
                continue
            lines = opened.fetch(cohort.contig, max(0, cohort.first - LOOKED_BACK_BP), cohort.first - 1)
            spans = [_span(line) for line in lines]
        latest = max((start for start, end in spans if end < cohort.first), default=0)
        reach = max([reach, *(end for start, end in spans if start < latest and end >= cohort.first)])
    return reach


def spanned(cohort: Cohort) -> frozenset[int]:
    """Bases that a record with an ALT reaches over, the one that it starts at aside."""
    import pysam

    bases: set[int] = set()
    for path in cohort.gvcfs:
        with pysam.TabixFile(str(path)) as opened:
            if cohort.contig not in opened.contigs:
                continue
            for line in opened.fetch(cohort.contig, max(0, cohort.first - LOOKED_BACK_BP), cohort.last):
                if line.split("\t", 5)[4] != "<NON_REF>":
                    start, end = _span(line)
                    bases.update(range(start + 1, end + 1))
    return frozenset(bases)


def _span(line: str) -> tuple[int, int]:
    _, start, _, ref, _, _, _, about, _ = line.split("\t", 8)
    ends = (entry[4:] for entry in about.split(";") if entry.startswith("END="))
    return int(start), int(next(ends, int(start) + len(ref) - 1))


def write(texts: Texts, folder: Path, *, name: str = "made") -> Cohort:
    folder.mkdir(parents=True, exist_ok=True)
    fasta = folder / "reference.fa"
    fasta.write_text(f">{texts.contig}\n{texts.bases}\n")
    gvcfs = []
    for number, (sample, records) in enumerate(texts.records.items()):
        columns = "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", sample))
        head = f"{HEADER}##contig=<ID={texts.contig},length={len(texts.bases)}>\n{columns}\n"
        gvcfs.append(bgzip(folder / f"{number:03}.g.vcf.gz", head + "".join(f"{one}\n" for one in records)))
    return Cohort(
        name=name,
        fasta=index_fasta(fasta),
        contig=texts.contig,
        first=texts.first,
        last=texts.last,
        gvcfs=tuple(gvcfs),
    )


def bgzip(path: Path, text: str) -> Path:
    import pysam

    with pysam.BGZFile(str(path), "w", None) as sink:
        sink.write(text.encode())
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


def unpack_fasta(packed: Path, folder: Path) -> Path:
    """The FASTA in `folder`, with `.fai` and `.dict`, of one kept compressed."""
    fasta = folder / "reference.fa"
    with gzip.open(packed, "rb") as source, fasta.open("wb") as plain:
        shutil.copyfileobj(source, plain)
    return index_fasta(fasta)
