"""From a CRAM to a gVCF, with the real HaplotypeCaller."""

import gzip
from pathlib import Path

import pysam
import pytest

from chassis.errors import Rejected
from chassis.reference.local import LocalReference
from chassis.tools.bwa import Pybwa
from chassis.tools.gatk import Gatk, gatk_for
from contracts.values import Interval
from services.align.engines.cpu import CpuEngine, CpuParameters
from services.align.engines.protocol import GvcfMetrics
from tests.services.align.engines.conftest import Merged
from tests.services.align.engines.simulated import Person

pytestmark = pytest.mark.tools

EDGE_BP = 300  # an active region and its padding: further from a joint, cutting the intervals changes nothing


def _lines(gvcf: Path) -> list[str]:
    with gzip.open(gvcf, "rt") as stream:
        return [line for line in stream if not line.startswith("#")]


def _called(
    engine: CpuEngine, merged: Merged, reference: LocalReference, intervals: tuple[Interval, ...], folder: Path
) -> tuple[Path, GvcfMetrics]:
    folder.mkdir()
    parts = []
    for number, interval in enumerate(intervals):
        part = folder / f"{number}.g.vcf.gz"
        engine.call(cram=merged.cram, reference=reference, intervals=[interval], out_gvcf=part, scratch=folder)
        parts.append(part)
    gvcf = folder / "sample.g.vcf.gz"
    return gvcf, engine.gather(parts=parts, out_gvcf=gvcf)


@pytest.fixture(scope="module")
def gvcf(
    engine: CpuEngine, merged: Merged, reference: LocalReference, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, GvcfMetrics]:
    """One part for each calling interval."""
    folder = tmp_path_factory.mktemp("called") / "parts"
    return _called(engine, merged, reference, reference.intervals, folder)


def test_the_planted_variants_are_called_as_heterozygous(gvcf: tuple[Path, GvcfMetrics], someone: Person) -> None:
    with pysam.VariantFile(str(gvcf[0])) as records:
        called = {
            (record.contig, record.pos, record.ref, record.alts[0])
            for record in records
            if record.alts is not None and len(record.alts) > 1 and sorted(record.samples[0]["GT"]) == [0, 1]
        }

    # a planted indel may stand further left in a repeat of its bases; SNPs stand where they are
    snps = {variant for variant in someone.variants if len(variant[2]) == len(variant[3])}
    assert snps and snps <= called
    assert len(called) == len(someone.variants) == gvcf[1].variants


def test_the_gvcf_is_indexed_covers_its_intervals_and_names_no_folder(
    gvcf: tuple[Path, GvcfMetrics], reference: LocalReference
) -> None:
    path, metrics = gvcf
    with pysam.VariantFile(str(path)) as records:
        header = str(records.header)
        assert list(records.header.samples) == ["S1"]
        assert next(records.fetch("two", 1199, 1300)).pos <= 1201

    assert metrics.records == len(_lines(path))
    assert metrics.covered >= sum(interval.length for interval in reference.intervals)
    assert "##cohortstreamCaller=pybwa" in header
    assert str(reference.fasta.parent) not in header


def test_calling_in_parts_changes_nothing_away_from_the_joints(
    engine: CpuEngine,
    merged: Merged,
    reference: LocalReference,
    gvcf: tuple[Path, GvcfMetrics],
    tmp_path: Path,
) -> None:
    two = reference.intervals[2].model_copy(update={"end": reference.intervals[3].end})
    whole, _ = _called(engine, merged, reference, (*reference.intervals[:2], two), tmp_path / "whole")
    joint = reference.intervals[3].start

    def away(path: Path) -> list[str]:
        return [
            line
            for line in _lines(path)
            for contig, position in [line.split("\t")[:2]]
            if contig != "two" or abs(int(position) - joint) > EDGE_BP
        ]

    assert len(away(whole)) > len(_lines(whole)) // 2
    # a block that is cut at the joint may begin outside the edge: only its END differs
    differing = set(away(whole)) ^ set(away(gvcf[0]))
    assert all("END=" in line for line in differing)
    assert len(differing) <= 2


def test_a_jvm_of_its_own_and_a_warm_one_write_the_same_records(
    engine: CpuEngine,
    merged: Merged,
    reference: LocalReference,
    gvcf: tuple[Path, GvcfMetrics],
    tmp_path: Path,
) -> None:
    cold = CpuEngine(gatk=gatk_for(memory_mb=1500, heap_fraction=0.6, mode="per-call"), aligner=Pybwa())
    part = tmp_path / "cold.g.vcf.gz"
    cold.call(
        cram=merged.cram, reference=reference, intervals=[reference.intervals[0]], out_gvcf=part, scratch=tmp_path
    )

    first = reference.intervals[0]
    warm = [line for line in _lines(gvcf[0]) if line.startswith("one\t") and int(line.split("\t")[1]) <= first.end]
    assert _lines(part) == warm


def test_the_same_parts_give_the_same_bytes(
    engine: CpuEngine, merged: Merged, reference: LocalReference, gvcf: tuple[Path, GvcfMetrics], tmp_path: Path
) -> None:
    again, _ = _called(engine, merged, reference, reference.intervals, tmp_path / "again")

    assert again.read_bytes() == gvcf[0].read_bytes()


def test_a_cram_that_breaks_off_is_refused(
    engine: CpuEngine, merged: Merged, reference: LocalReference, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.cram"
    cut.write_bytes(merged.cram.read_bytes()[:-38])

    with pytest.raises(Rejected) as refused:
        engine.call(
            cram=cut,
            reference=reference,
            intervals=reference.intervals[:1],
            out_gvcf=tmp_path / "x.g.vcf.gz",
            scratch=tmp_path,
        )

    assert refused.value.rejection.code == "BAM_TRUNCATED"


def test_the_provenance_changes_with_a_parameter_and_with_nothing_else(engine: CpuEngine, gatk: Gatk) -> None:
    same = CpuEngine(gatk=gatk, aligner=Pybwa())
    other = CpuEngine(gatk=gatk, aligner=Pybwa(), parameters=CpuParameters(min_base_quality=12))

    assert engine.provenance() == same.provenance()
    assert not engine.provenance().same_pipeline(other.provenance())
    assert "GATK 4.6.2.0" in engine.provenance().version
