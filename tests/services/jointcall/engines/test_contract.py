"""The GATK engine on real gVCFs: however an interval is cut, taken up again or repeated, the same bytes come out."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

from chassis.tools.gatk import Gatk
from contracts.values import Interval
from services.jointcall.engines.gather import gather
from services.jointcall.engines.gatk import GatkEngine
from services.jointcall.engines.generation import pack, unpack
from services.jointcall.engines.jitter import HIGH_QD, settle, variant_depth
from services.jointcall.engines.protocol import IntervalCounts
from tests.services.jointcall.engines.conftest import Cohort
from tests.services.jointcall.engines.written import block, het, sequence, write_gvcf, write_reference

pytestmark = pytest.mark.tools

WHOLE = 10_000_000  # a chunk size above any interval here


@pytest.fixture(scope="module")
def interval(real: Cohort) -> Interval:
    return real.interval(10_690_001, 10_720_000)


@pytest.fixture(scope="module")
def generation(real: Cohort, gatk: Gatk, interval: Interval, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ten samples, sent in an order that is not that of their names."""
    folder = tmp_path_factory.mktemp("generation")
    GatkEngine(gatk=gatk, chunk_bp=WHOLE).add_samples(
        generation=None,
        batch=real.gvcfs[::-1],
        interval=interval,
        reference=real.reference,
        out=folder / "workspace",
        scratch=folder,
    )
    return folder / "workspace"


@pytest.fixture(scope="module")
def unchunked(
    real: Cohort, gatk: Gatk, interval: Interval, generation: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, IntervalCounts]:
    folder = tmp_path_factory.mktemp("unchunked")
    counts = genotype(GatkEngine(gatk=gatk, chunk_bp=WHOLE), real, generation, interval, folder)
    return folder / "out.vcf.gz", folder / "sites.vcf.gz", counts


def genotype(engine: GatkEngine, cohort: Cohort, generation: Path, interval: Interval, folder: Path) -> IntervalCounts:
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


def test_chunked_genotyping_equals_unchunked(
    real: Cohort,
    gatk: Gatk,
    interval: Interval,
    generation: Path,
    unchunked: tuple[Path, Path, IntervalCounts],
    tmp_path: Path,
) -> None:
    engine = GatkEngine(gatk=gatk, chunk_bp=4000)
    assert len(engine.chunks(interval)) == 8
    genotype(engine, real, generation, interval, tmp_path)
    assert len(records(tmp_path / "out.vcf.gz")) > 20
    assert (tmp_path / "out.vcf.gz").read_bytes() == unchunked[0].read_bytes()
    assert (tmp_path / "sites.vcf.gz").read_bytes() == unchunked[1].read_bytes()


def test_an_interrupted_task_goes_on_from_its_chunks(
    real: Cohort, gatk: Gatk, interval: Interval, generation: Path, unchunked: tuple[Path, Path, IntervalCounts],
    scratch_for: Callable[[str], Path],
) -> None:  # fmt: skip
    first, second = scratch_for("first"), scratch_for("second")
    engine = GatkEngine(gatk=gatk, chunk_bp=15_000)
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
    real: Cohort, gatk: Gatk, interval: Interval, unchunked: tuple[Path, Path, IntervalCounts], tmp_path: Path
) -> None:
    engine = GatkEngine(gatk=gatk, chunk_bp=WHOLE, batch_size=3)
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


def test_drawn_qd_is_told_from_computed_qd_as_gatk_does(
    real: Cohort, gatk: Gatk, interval: Interval, generation: Path, tmp_path: Path
) -> None:
    """What `jitter` takes for QD's denominator is GATK's: where the ratio is below 35, QD is the ratio."""
    chunk = GatkEngine(gatk=gatk, chunk_bp=WHOLE).genotype_chunk(
        generation=generation, chunk=interval, reference=real.reference, out=tmp_path / "raw.vcf.gz", scratch=tmp_path
    )
    computed = drawn = 0
    for line in records(chunk.vcf):
        columns = line.rstrip("\n").encode().split(b"\t")
        qd = next(entry[3:] for entry in columns[7].split(b";") if entry.startswith(b"QD="))
        ratio = float(columns[5]) / variant_depth(columns[8], columns[9:])
        if ratio < HIGH_QD:
            assert float(qd) == pytest.approx(ratio, abs=0.011)
            assert settle(line.rstrip("\n").encode()) == line.rstrip("\n").encode()
            computed += 1
        else:
            assert settle(line.rstrip("\n").encode()) != line.rstrip("\n").encode()
            drawn += 1
    assert computed >= 5
    assert drawn >= 5


@pytest.fixture(scope="module")
def spanned(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A deletion of 20 bases at 1,000 in one person, a SNP inside it, at 1,010, in another."""
    folder = tmp_path_factory.mktemp("spanned")
    bases = sequence(3000)
    reference = write_reference(folder, bases)
    snp = "ACGT"[("ACGT".index(bases[1009]) + 1) % 4]
    contigs = [("c1", 3000)]
    deletion = [block(bases, 1, 999), het(bases[999:1020], bases[999], 1000), block(bases, 1021, 3000)]
    inside = [block(bases, 1, 1009), het(bases[1009], snp, 1010), block(bases, 1011, 3000)]
    return Cohort(
        reference=reference,
        gvcfs=(
            write_gvcf(folder, "deleted", deletion, contigs=contigs),
            write_gvcf(folder, "substituted", inside, contigs=contigs),
        ),
    )


@pytest.mark.parametrize("margin_bp", [1000, 0])
def test_a_deletion_across_an_edge_keeps_its_star(
    spanned: Cohort, gatk: Gatk, scratch_for: Callable[[str], Path], margin_bp: int
) -> None:
    def call(name: str, start: int, end: int, chunk_bp: int) -> list[str]:
        folder = scratch_for(name)
        engine = GatkEngine(gatk=gatk, chunk_bp=chunk_bp, margin_bp=margin_bp)
        interval = spanned.interval(start, end)
        engine.add_samples(
            generation=None,
            batch=spanned.gvcfs,
            interval=interval,
            reference=spanned.reference,
            out=folder / "workspace",
            scratch=folder,
        )
        genotype(engine, spanned, folder / "workspace", interval, folder)
        return records(folder / "out.vcf.gz")

    whole = call("whole", 5, 2004, WHOLE)
    in_chunks = call("in-chunks", 5, 2004, 1000)  # cut between 1,004 and 1,005
    in_intervals = call("left", 5, 1004, WHOLE) + call("right", 1005, 2004, WHOLE)
    assert "*" in whole[1].split("\t")[4].split(",")
    if margin_bp:
        assert in_chunks == whole
        assert in_intervals == whole
    else:
        assert in_chunks != whole, "the margin is there for nothing"


def test_a_generation_is_written_once_and_from_all_samples(
    real: Cohort, gatk: Gatk, interval: Interval, tmp_path: Path
) -> None:
    engine = GatkEngine(gatk=gatk, chunk_bp=WHOLE)
    with pytest.raises(ValueError, match="all of its samples"):
        engine.add_samples(
            generation=tmp_path,
            batch=real.gvcfs,
            interval=interval,
            reference=real.reference,
            out=tmp_path / "new",
            scratch=tmp_path,
        )
    with pytest.raises(FileExistsError):
        engine.add_samples(
            generation=None,
            batch=real.gvcfs,
            interval=interval,
            reference=real.reference,
            out=tmp_path,
            scratch=tmp_path,
        )


def test_an_interval_without_variants_is_an_empty_vcf_with_its_index(real: Cohort, gatk: Gatk, tmp_path: Path) -> None:
    engine = GatkEngine(gatk=gatk, chunk_bp=WHOLE)
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


def test_provenance_names_what_matters_and_not_how_an_interval_is_cut(gatk: Gatk) -> None:
    one, other = GatkEngine(gatk=gatk, chunk_bp=1000), GatkEngine(gatk=gatk, chunk_bp=2000)
    assert one.provenance() == other.provenance()
    assert one.provenance() != GatkEngine(gatk=gatk, chunk_bp=1000, margin_bp=0).provenance()
    assert one.provenance().version == "4.6.2.0"
