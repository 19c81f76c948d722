"""The kept cohorts of real and simulated gVCFs, laid out as GATK and we both take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.oracle.cohorts import Cohort, unpack_fasta
from tests.oracle.gatk import index_fasta, region_of, stage
from tests.oracle.special import crowd, forms, many_alts

KEPT = Path(__file__).parent / "gvcfs"
REAL = Path(__file__).parents[1] / "data" / "1kg_chr22_gvcf"
CHR22 = "chr22:10510001-10720000"
"""What the stand-in reference suffices for."""


def chr22(folder: Path) -> Cohort:
    """24 real gVCFs of low coverage."""
    fasta = unpack_fasta(REAL / "chr22.known-bases.fa.gz", folder)
    return given("1kg-chr22", sorted(REAL.rglob("*.g.vcf.gz")), fasta, CHR22, folder)


def chr17(folder: Path) -> Cohort:
    """Three real samples by the project's own pipeline."""
    fasta = unpack_fasta(KEPT / "1kg_chr17" / "reference.fa.gz", folder)
    return given("1kg-chr17", sorted((KEPT / "1kg_chr17").glob("*.g.vcf.gz")), fasta, "", folder)


def simulated(*kinds: str) -> Callable[[Path], Cohort]:
    """Of the folders `kinds` in gvcfs/simulated, in which no sample stands twice."""

    def lay_out(folder: Path) -> Cohort:
        kept = KEPT / "simulated"
        gvcfs = [path for kind in kinds for path in sorted((kept / kind).glob("*.g.vcf.gz"))]
        return given("-".join(("simulated", *kinds)), gvcfs, unpack_fasta(kept / "reference.fa.gz", folder), "", folder)

    return lay_out


def given(name: str, gvcfs: Sequence[Path], fasta: Path, region: str, folder: Path) -> Cohort:
    """A cohort of any gVCFs: indexed, and with no contig in their headers that the FASTA lacks."""
    staged = stage(gvcfs, index_fasta(fasta), folder)
    contig, first, last = region_of(region, fasta)
    return Cohort(name=name, fasta=fasta, contig=contig, first=first, last=last, gvcfs=tuple(staged.values()))


KEPT_COHORTS: Mapping[str, Callable[[Path], Cohort]] = {
    "1kg-chr22": chr22,
    "1kg-chr17": chr17,
    "simulated-default": simulated("default"),
    "simulated-finest": simulated("finest"),
    "simulated-reblocked": simulated("reblocked"),
    "simulated-mixed-ploidy": simulated("default", "haploid"),
    "crowd": crowd,
    "forms": forms,
    "many-alts": many_alts,
}
