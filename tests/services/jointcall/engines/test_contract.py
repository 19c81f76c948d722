"""Every joint-calling engine on real gVCFs: however an interval is cut, taken up again or repeated, the same bytes come
out."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pysam
import pytest

from contracts.values import Interval
from services.jointcall.engines.columnar import ColumnarEngine
from services.jointcall.engines.gather import gather
from services.jointcall.engines.gatk import GatkEngine
from services.jointcall.engines.generation import pack, unpack
from services.jointcall.engines.protocol import Engine, GvcfInput, IntervalCounts
from tests.services.jointcall.engines.conftest import WHOLE, Cohort, genotype, records
from tests.support.seeded.jointcall import SeededJointcall


class Make(Protocol):
    def __call__(self, *, chunk_bp: int = WHOLE, batch_size: int = 50) -> Engine: ...


@pytest.fixture(scope="module", params=["seeded", "columnar", pytest.param("gatk", marks=pytest.mark.tools)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def make(name: str, request: pytest.FixtureRequest) -> Make:
    """`batch_size`: gVCFs read at a time, where an engine has such a thing."""
    if name == "seeded":
        return lambda *, chunk_bp=WHOLE, batch_size=50: SeededJointcall(chunk_bp=chunk_bp)
    if name == "columnar":
        return lambda *, chunk_bp=WHOLE, batch_size=50: ColumnarEngine(chunk_bp=chunk_bp)
    gatk = request.getfixturevalue("gatk")
    return lambda *, chunk_bp=WHOLE, batch_size=50: GatkEngine(gatk=gatk, chunk_bp=chunk_bp, batch_size=batch_size)


@pytest.fixture(scope="module")
def generation(name: str, request: pytest.FixtureRequest) -> Path:
    """The ten samples."""
    found: Path = request.getfixturevalue(f"{name}_generation")
    return found


@pytest.fixture(scope="module")
def unchunked(
    real: Cohort, make: Make, interval: Interval, generation: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, IntervalCounts]:
    folder = tmp_path_factory.mktemp("unchunked")
    counts = genotype(make(), real, generation, interval, folder)
    return folder / "out.vcf.gz", folder / "sites.vcf.gz", counts


def test_chunked_genotyping_equals_unchunked(
    real: Cohort,
    make: Make,
    interval: Interval,
    generation: Path,
    unchunked: tuple[Path, Path, IntervalCounts],
    tmp_path: Path,
) -> None:
    engine = make(chunk_bp=4000)
    assert len(engine.chunks(interval)) == 8
    genotype(engine, real, generation, interval, tmp_path)
    assert len(records(tmp_path / "out.vcf.gz")) > 20
    assert (tmp_path / "out.vcf.gz").read_bytes() == unchunked[0].read_bytes()
    assert (tmp_path / "sites.vcf.gz").read_bytes() == unchunked[1].read_bytes()


def test_an_interrupted_task_goes_on_from_its_chunks(
    real: Cohort, make: Make, interval: Interval, generation: Path, unchunked: tuple[Path, Path, IntervalCounts],
    scratch_for: Callable[[str], Path],
) -> None:  # fmt: skip
    first, second = scratch_for("first"), scratch_for("second")
    engine = make(chunk_bp=15_000)
    before, after = engine.chunks(interval)
    done = engine.genotype_chunk(
        generation=generation, chunk=before, reference=real.reference, out=first / "before.vcf.gz", scratch=first
    )
    pack(generation, first / "generation.tar")

    unpack(first / "generation.tar", second / "workspace")
    rest = engine.genotype_chunk(
        generation=second / "workspace",
        chunk=after,
        reference=real.reference,
        out=second / "after.vcf.gz",
        scratch=second,
    )
    gather(chunks=[done, rest], out_vcf=second / "out.vcf.gz", out_sites=second / "sites.vcf.gz")
    assert (second / "out.vcf.gz").read_bytes() == unchunked[0].read_bytes()


def test_a_new_import_gives_the_same_bytes(
    real: Cohort, make: Make, interval: Interval, unchunked: tuple[Path, Path, IntervalCounts], tmp_path: Path
) -> None:
    engine = make(batch_size=3)
    engine.add_samples(
        generation=None,
        batch=real.gvcfs,
        interval=interval,
        reference=real.reference,
        out=tmp_path / "workspace",
        scratch=tmp_path,
    )
    genotype(engine, real, tmp_path / "workspace", interval, tmp_path)
    assert (tmp_path / "out.vcf.gz").read_bytes() == unchunked[0].read_bytes()


def test_columns_are_the_sorted_names_and_the_counts_are_the_files(
    real: Cohort, unchunked: tuple[Path, Path, IntervalCounts]
) -> None:
    vcf, _, counts = unchunked
    with pysam.VariantFile(str(vcf)) as opened:
        assert list(opened.header.samples) == sorted(one.name for one in real.gvcfs)
    assert counts == IntervalCounts(variants=len(records(vcf)), samples=10)


def test_sites_only_companion_has_the_same_sites_and_no_sample(unchunked: tuple[Path, Path, IntervalCounts]) -> None:
    vcf, sites, _ = unchunked
    assert [line.split("\t")[:8] for line in records(vcf)] == [line.rstrip("\n").split("\t") for line in records(sites)]
    with pysam.VariantFile(str(sites)) as opened:
        assert list(opened.header.samples) == []
        assert len(list(opened.fetch("chr22", 10_699_999, 10_720_000))) > 0


def test_the_header_tells_nothing_of_the_run(unchunked: tuple[Path, Path, IntervalCounts]) -> None:
    with gzip.open(unchunked[0], "rt") as stream:
        header = [line for line in stream if line.startswith("#")]
    assert not [
        line for line in header if "CommandLine" in line or "Date=" in line or "/" in line.split("Description")[0]
    ]


def test_a_generation_is_written_once(real: Cohort, make: Make, interval: Interval, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        make().add_samples(
            generation=None,
            batch=real.gvcfs,
            interval=interval,
            reference=real.reference,
            out=tmp_path,
            scratch=tmp_path,
        )


def test_an_earlier_generation_is_taken_up_or_refused(
    real: Cohort, make: Make, interval: Interval, unchunked: tuple[Path, Path, IntervalCounts], tmp_path: Path
) -> None:
    """What begins with seven samples and is given three more, of names in between, equals all ten at once."""
    engine = make()

    def add(earlier: Path | None, batch: Sequence[GvcfInput], name: str) -> Path:
        out = tmp_path / name
        engine.add_samples(
            generation=earlier, batch=batch, interval=interval, reference=real.reference, out=out, scratch=tmp_path
        )
        return out

    if not engine.incremental:
        with pytest.raises(ValueError, match="all of its samples"):
            add(tmp_path, real.gvcfs, "new")
        return
    whole = add(add(None, [*real.gvcfs[:3], *real.gvcfs[6:]], "seven"), real.gvcfs[3:6], "ten")
    genotype(engine, real, whole, interval, tmp_path)
    assert (tmp_path / "out.vcf.gz").read_bytes() == unchunked[0].read_bytes()


def test_an_interval_without_variants_is_an_empty_vcf_with_its_index(real: Cohort, make: Make, tmp_path: Path) -> None:
    engine = make()
    empty = real.interval(20_000_001, 20_001_000)
    engine.add_samples(
        generation=None,
        batch=real.gvcfs,
        interval=empty,
        reference=real.reference,
        out=tmp_path / "workspace",
        scratch=tmp_path,
    )
    assert genotype(engine, real, tmp_path / "workspace", empty, tmp_path) == IntervalCounts(variants=0, samples=10)
    assert (tmp_path / "out.vcf.gz.tbi").is_file()
