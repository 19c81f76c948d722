"""From a CRAM to a gVCF, with the real HaplotypeCaller."""

import gzip
from pathlib import Path

import pysam
import pytest

from chassis.reference.local import LocalReference
from chassis.tools.bwa import Pybwa
from chassis.tools.gatk import Gatk, gatk_for
from services.align.engines.cpu import CpuEngine, CpuParameters
from tests.services.align.engines.conftest import Called, Merged
from tests.services.align.engines.simulated import Person

pytestmark = pytest.mark.tools


def _lines(gvcf: Path) -> list[str]:
    with gzip.open(gvcf, "rt") as stream:
        return [line for line in stream if not line.startswith("#")]


def test_the_planted_variants_are_called_as_heterozygous(cpu_called: Called, someone: Person) -> None:
    with pysam.VariantFile(str(cpu_called.gvcf)) as records:
        called = {
            (record.contig, record.pos, record.ref, record.alts[0])
            for record in records
            if record.alts is not None and len(record.alts) > 1 and sorted(record.samples[0]["GT"]) == [0, 1]
        }

    # a planted indel may stand further left in a repeat of its bases; SNPs stand where they are
    snps = {variant for variant in someone.variants if len(variant[2]) == len(variant[3])}
    assert snps and snps <= called
    assert len(called) == len(someone.variants) == cpu_called.metrics.variants


def test_a_jvm_of_its_own_and_a_warm_one_write_the_same_records(
    cpu_merged: Merged,
    reference: LocalReference,
    cpu_called: Called,
    tmp_path: Path,
) -> None:
    cold = CpuEngine(gatk=gatk_for(memory_mb=1500, heap_fraction=0.6, mode="per-call"), aligner=Pybwa())
    part = tmp_path / "cold.g.vcf.gz"
    cold.call(
        cram=cpu_merged.cram, reference=reference, intervals=[reference.intervals[0]], out_gvcf=part, scratch=tmp_path
    )

    first = reference.intervals[0]
    all_lines = _lines(cpu_called.gvcf)
    warm = [line for line in all_lines if line.startswith("one\t") and int(line.split("\t")[1]) <= first.end]
    assert _lines(part) == warm


def test_the_provenance_changes_with_a_parameter_and_with_nothing_else(cpu: CpuEngine, gatk: Gatk) -> None:
    same = CpuEngine(gatk=gatk, aligner=Pybwa())
    other = CpuEngine(gatk=gatk, aligner=Pybwa(), parameters=CpuParameters(min_base_quality=12))

    assert cpu.provenance() == same.provenance()
    assert not cpu.provenance().same_pipeline(other.provenance())
    assert "GATK 4.6.2.0" in cpu.provenance().version
