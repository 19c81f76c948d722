"""`python -m tests.oracle.simulate [OUT]`: make the kept gVCFs anew, by bwa, HaplotypeCaller and ReblockGVCF.

Takes some minutes; what it makes stands in tests/oracle/gvcfs, so that the tests need none of it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from chassis.reference.local import LocalReference
from chassis.tools.bwa import Pybwa
from contracts.values import Interval, ReferenceId
from services.align.engines.cpu import CpuEngine, CpuParameters
from services.align.engines.protocol import LaneInput, ReadGroup
from tests.oracle.cohorts import bgzip
from tests.oracle.gatk import gatk_of_tests, index_fasta
from tests.oracle.people import CONTIG, simulate, write_reads

KEPT = Path(__file__).parent / "gvcfs"
SEED, LENGTH_BP, DIPLOID, HAPLOID = 6, 24_000, 12, 2
FINEST = tuple(range(1, 100))
FINEST_PEOPLE = 6
REBLOCK = ("-do-qual-approx", "--floor-blocks", "-GQB", "20", "-GQB", "30", "-GQB", "40")
"""As common pipelines ask for it."""
ONE_KG = Path(__file__).parents[2] / "console" / "demo" / "data" / "1kg_chr17"
OF_A_RUN = ("##GATKCommandLine", "##source")


def reference_of(fasta: Path) -> LocalReference:
    from pybwa import BwaIndex

    index_fasta(fasta)
    BwaIndex.index(fasta)
    contig, length = Path(f"{fasta}.fai").read_text().split("\t")[:2]
    whole = Interval(contig=contig, start=1, end=int(length), contig_length=int(length))
    digest = hashlib.md5(fasta.read_bytes()).hexdigest()
    return LocalReference(id=ReferenceId(name=contig, digest=digest), fasta=fasta, intervals=(whole,))


def align(name: str, reads: tuple[Path, Path], reference: LocalReference, scratch: Path) -> Path:
    """The sample's CRAM, by the project's own engine."""
    engine = CpuEngine(gatk=gatk_of_tests(), aligner=Pybwa())
    group = ReadGroup(id=f"FC1.1.{name}", sample=name, library="LIB1")
    lane = LaneInput(r1=reads[0], r2=reads[1], read_group=group)
    bam, cram = scratch / f"{name}.bam", scratch / f"{name}.cram"
    engine.align_lane(lane=lane, reference=reference, out_bam=bam, scratch=scratch, threads=1)
    engine.merge(
        inputs=(bam,),
        previous=None,
        reference=reference,
        optical_distance=2500,
        out_cram=cram,
        scratch=scratch,
        threads=1,
    )
    return cram


def call(cram: Path, parameters: CpuParameters, reference: LocalReference, out: Path, scratch: Path) -> None:
    called = scratch / "called.g.vcf.gz"
    CpuEngine(gatk=gatk_of_tests(), aligner=Pybwa(), parameters=parameters).call(
        cram=cram, reference=reference, intervals=reference.intervals, out_gvcf=called, scratch=scratch
    )
    _keep(called, out)


def reblock(gvcf: Path, reference: LocalReference, out: Path, scratch: Path) -> None:
    coarse = scratch / "coarse.g.vcf.gz"
    named = ["-R", str(reference.fasta), "-V", str(gvcf), "-O", str(coarse)]
    gatk_of_tests().run("ReblockGVCF", [*named, *REBLOCK], log=scratch / "reblock.log")
    _keep(coarse, out)


def _keep(made: Path, out: Path) -> None:
    """Without what differs from run to run."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(made, "rt") as stream:
        text = "".join(line for line in stream if not line.startswith(OF_A_RUN))
    bgzip(out, text)


def make_simulated(out: Path, scratch: Path) -> None:
    people = simulate(Random(SEED), length=LENGTH_BP, diploid=DIPLOID, haploid=HAPLOID)
    fasta = scratch / "reference.fa"
    fasta.write_text(f">{CONTIG}\n{people.bases}\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / "reference.fa.gz").write_bytes(gzip.compress(fasta.read_bytes(), mtime=0))
    reference = reference_of(fasta)
    for number, (name, haplotypes) in enumerate(people.haplotypes.items()):
        reads = write_reads(Random(f"{SEED} {name}"), people, name, scratch)
        cram = align(name, reads, reference, scratch)
        if len(haplotypes) == 1:
            call(cram, CpuParameters(ploidy=1), reference, out / "haploid" / f"{name}.g.vcf.gz", scratch)
            continue
        usual = out / "default" / f"{name}.g.vcf.gz"
        call(cram, CpuParameters(), reference, usual, scratch)
        if number < FINEST_PEOPLE:  # the largest files
            call(cram, CpuParameters(gvcf_bands=FINEST), reference, out / "finest" / f"{name}.g.vcf.gz", scratch)
        reblock(usual, reference, out / "reblocked" / f"{name}.g.vcf.gz", scratch)
        print(name, flush=True)


def make_one_kg(out: Path, scratch: Path) -> None:
    fasta = scratch / "17.fa"
    shutil.copyfile(ONE_KG / "reference.fa", fasta)
    out.mkdir(parents=True, exist_ok=True)
    (out / "reference.fa.gz").write_bytes(gzip.compress(fasta.read_bytes(), mtime=0))
    reference = reference_of(fasta)
    for r1 in sorted(ONE_KG.glob("*_R1_001.fastq.gz")):
        name = r1.name.split("_")[0]
        cram = align(name, (r1, r1.with_name(r1.name.replace("_R1_", "_R2_"))), reference, scratch)
        call(cram, CpuParameters(), reference, out / f"{name}.g.vcf.gz", scratch)
        print(name, flush=True)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.simulate", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=KEPT)
    args = parser.parse_args(argv)
    for name, make in (("1kg_chr17", make_one_kg), ("simulated", make_simulated)):
        with tempfile.TemporaryDirectory(prefix="simulate-") as scratch:
            make(args.out / name, Path(scratch))
    # an index is made where it is wanted
    for index in args.out.rglob("*.tbi"):
        index.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
