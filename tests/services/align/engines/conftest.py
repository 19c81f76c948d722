"""The real tools once a session: GATK warm in this process, a small reference, one sample aligned and merged."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.reference.local import LocalReference
from chassis.tools.bwa import Pybwa
from chassis.tools.gatk import Gatk, gatk_for
from services.align.engines.cpu import CpuEngine
from services.align.engines.protocol import CramMetrics, LaneInput
from tests.services.align.engines.simulated import Person, Sequencer, person, write_reference

TWICE = (("one", 700), ("two", 900))
"""Fragments that the first sequencing of library LIB1 holds in both lanes, and LIB2 once."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    lanes: tuple[LaneInput, ...]
    bams: tuple[Path, ...]
    cram: Path
    metrics: CramMetrics


@pytest.fixture(scope="session")
def gatk() -> Gatk:
    # as the other services' tests have it: all of them share the JVM of this process
    return gatk_for(memory_mb=1500, heap_fraction=0.6)


@pytest.fixture(scope="session")
def engine(gatk: Gatk) -> CpuEngine:
    return CpuEngine(gatk=gatk, aligner=Pybwa())


@pytest.fixture(scope="session")
def someone() -> Person:
    return person()


@pytest.fixture(scope="session")
def reference(someone: Person, tmp_path_factory: pytest.TempPathFactory) -> LocalReference:
    return write_reference(someone, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def merged(
    engine: CpuEngine, someone: Person, reference: LocalReference, tmp_path_factory: pytest.TempPathFactory
) -> Merged:
    """Two lanes of library LIB1 and one of LIB2, as one CRAM."""
    folder = tmp_path_factory.mktemp("merged")
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


def align(engine: CpuEngine, lane: LaneInput, reference: LocalReference, folder: Path) -> Path:
    bam = folder / f"{lane.read_group.id}.bam"
    engine.align_lane(lane=lane, reference=reference, out_bam=bam, scratch=folder, threads=1)
    return bam
