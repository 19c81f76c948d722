"""Each engine once a session: a small reference, one sample aligned, merged and called. `cpu` runs the real tools, GATK
warm in this process; `seeded` stands in for them where nothing about the tools is asked."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.reference.local import LocalReference
from chassis.tools.bwa import Pybwa
from chassis.tools.gatk import Gatk, gatk_for
from contracts.values import Interval
from services.align.engines.cpu import CpuEngine
from services.align.engines.protocol import ChunkedEngine, CramMetrics, GvcfMetrics, LaneInput
from tests.services.align.engines.simulated import Person, Sequencer, person, write_reference
from tests.support.seeded.align import SeededAlign

TWICE = (("one", 700), ("two", 900))
"""Fragments that the first sequencing of library LIB1 holds in both lanes, and LIB2 once."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    lanes: tuple[LaneInput, ...]
    bams: tuple[Path, ...]
    cram: Path
    metrics: CramMetrics


@dataclass(frozen=True, kw_only=True)
class Called:
    gvcf: Path
    metrics: GvcfMetrics


@pytest.fixture(scope="session")
def gatk() -> Gatk:
    # as the other services' tests have it: all of them share the JVM of this process
    return gatk_for(memory_mb=1500, heap_fraction=0.6)


@pytest.fixture(scope="session")
def cpu(gatk: Gatk) -> CpuEngine:
    return CpuEngine(gatk=gatk, aligner=Pybwa())


@pytest.fixture(scope="session")
def seeded() -> SeededAlign:
    return SeededAlign()


@pytest.fixture(scope="session")
def someone() -> Person:
    return person()


@pytest.fixture(scope="session")
def reference(someone: Person, tmp_path_factory: pytest.TempPathFactory) -> LocalReference:
    return write_reference(someone, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def cpu_merged(
    cpu: CpuEngine, someone: Person, reference: LocalReference, tmp_path_factory: pytest.TempPathFactory
) -> Merged:
    return merge(cpu, someone, reference, tmp_path_factory.mktemp("merged"))


@pytest.fixture(scope="session")
def seeded_merged(
    seeded: SeededAlign, someone: Person, reference: LocalReference, tmp_path_factory: pytest.TempPathFactory
) -> Merged:
    return merge(seeded, someone, reference, tmp_path_factory.mktemp("merged"))


@pytest.fixture(scope="session")
def cpu_called(
    cpu: CpuEngine, cpu_merged: Merged, reference: LocalReference, tmp_path_factory: pytest.TempPathFactory
) -> Called:
    return call(cpu, cpu_merged, reference, reference.intervals, tmp_path_factory.mktemp("called"))


@pytest.fixture(scope="session")
def seeded_called(
    seeded: SeededAlign, seeded_merged: Merged, reference: LocalReference, tmp_path_factory: pytest.TempPathFactory
) -> Called:
    return call(seeded, seeded_merged, reference, reference.intervals, tmp_path_factory.mktemp("called"))


def merge(engine: ChunkedEngine, someone: Person, reference: LocalReference, folder: Path) -> Merged:
    """Two lanes of library LIB1 and one of LIB2, as one CRAM."""
    sequencer = Sequencer(of=someone, seed=1)
    lanes = (
        sequencer.lane(folder, lane=1, again=TWICE),
        sequencer.lane(folder, lane=2, again=TWICE),
        sequencer.lane(folder, lane=3, library="LIB2", depth=8, again=TWICE),
    )
    bams = tuple(align(engine, lane, reference, folder) for lane in lanes)
    cram = folder / "sample.cram"
    metrics = engine.merge(
        inputs=bams, previous=None, reference=reference, optical_distance=2500, out_cram=cram, scratch=folder, threads=1
    )
    return Merged(lanes=lanes, bams=bams, cram=cram, metrics=metrics)


def align(engine: ChunkedEngine, lane: LaneInput, reference: LocalReference, folder: Path) -> Path:
    bam = folder / f"{lane.read_group.id}.bam"
    engine.align_lane(lane=lane, reference=reference, out_bam=bam, scratch=folder, threads=1)
    return bam


def call(
    engine: ChunkedEngine, merged: Merged, reference: LocalReference, intervals: tuple[Interval, ...], folder: Path
) -> Called:
    """One part for each interval."""
    parts = []
    for number, interval in enumerate(intervals):
        part = folder / f"{number}.g.vcf.gz"
        engine.call(cram=merged.cram, reference=reference, intervals=[interval], out_gvcf=part, scratch=folder)
        parts.append(part)
    gvcf = folder / "sample.g.vcf.gz"
    return Called(gvcf=gvcf, metrics=engine.gather(parts=parts, out_gvcf=gvcf))
