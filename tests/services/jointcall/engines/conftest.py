"""Real gVCFs against their stand-in reference, and as each engine holds them; one warm GATK for the session."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.reference.local import LocalReference
from chassis.tools.gatk import Gatk, gatk_for
from contracts.values import Interval
from services.jointcall.engines.columnar import ColumnarEngine
from services.jointcall.engines.gatk import HEAP_FRACTION, GatkEngine
from services.jointcall.engines.protocol import Engine, GvcfInput, IntervalCounts
from tests.services.jointcall.engines.written import bgzip, local_reference
from tests.support.seeded.jointcall import SeededJointcall

WHOLE = 10_000_000  # a chunk size above any interval here
REAL = Path(__file__).parents[3] / "data" / "1kg_chr22_gvcf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    reference: LocalReference
    gvcfs: tuple[GvcfInput, ...]

    def interval(self, start: int, end: int) -> Interval:
        (whole,) = self.reference.intervals
        return Interval(contig=whole.contig, start=start, end=end, contig_length=whole.contig_length)


@pytest.fixture(scope="session")
def gatk() -> Gatk:
    return gatk_for(memory_mb=1500, heap_fraction=HEAP_FRACTION)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Ten 1000 Genomes samples on chr22. Their headers name 3,366 contigs of GRCh38; the stand-in has one."""
    folder = tmp_path_factory.mktemp("1kg")
    fasta = folder / "reference.fa"
    with gzip.open(REAL / "chr22.known-bases.fa.gz") as packed, fasta.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    reference = local_reference(fasta)
    gvcfs = []
    for source in sorted(REAL.glob("*.g.vcf.gz")):
        with gzip.open(source, "rb") as stream:
            kept = [one for one in stream if not one.startswith(b"##contig=") or b"<ID=chr22," in one]
        gvcfs.append(bgzip(folder / source.name, b"".join(kept), name=source.name.split(".")[0]))
    return Cohort(reference=reference, gvcfs=tuple(gvcfs))


@pytest.fixture
def scratch_for(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        return folder

    return make


@pytest.fixture(scope="session")
def interval(real: Cohort) -> Interval:
    return real.interval(10_690_001, 10_720_000)


@pytest.fixture(scope="session")
def gatk_generation(real: Cohort, gatk: Gatk, interval: Interval, tmp_path_factory: pytest.TempPathFactory) -> Path:
    engine = GatkEngine(gatk=gatk, chunk_bp=WHOLE)
    return generation_of(engine, real, interval, tmp_path_factory.mktemp("generation"))


@pytest.fixture(scope="session")
def seeded_generation(real: Cohort, interval: Interval, tmp_path_factory: pytest.TempPathFactory) -> Path:
    engine = SeededJointcall(chunk_bp=WHOLE)
    return generation_of(engine, real, interval, tmp_path_factory.mktemp("generation"))


@pytest.fixture(scope="session")
def columnar_generation(real: Cohort, interval: Interval, tmp_path_factory: pytest.TempPathFactory) -> Path:
    engine = ColumnarEngine(chunk_bp=WHOLE)
    return generation_of(engine, real, interval, tmp_path_factory.mktemp("generation"))


def generation_of(engine: Engine, cohort: Cohort, interval: Interval, folder: Path) -> Path:
    """All samples, sent in an order that is not that of their names."""
    engine.add_samples(
        generation=None,
        batch=cohort.gvcfs[::-1],
        interval=interval,
        reference=cohort.reference,
        out=folder / "workspace",
        scratch=folder,
    )
    return folder / "workspace"


def genotype(engine: Engine, cohort: Cohort, generation: Path, interval: Interval, folder: Path) -> IntervalCounts:
    return engine.genotype(
        generation=generation,
        interval=interval,
        reference=cohort.reference,
        out_vcf=folder / "out.vcf.gz",
        out_sites=folder / "sites.vcf.gz",
        scratch=folder,
    )


def records(path: Path) -> list[str]:
    with gzip.open(path, "rt") as stream:
        return [line for line in stream if not line.startswith("#")]
