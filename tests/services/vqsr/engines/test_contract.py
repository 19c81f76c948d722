"""Every filtering engine: a model is really fitted and applied, hard filters really filter, and the header says which
of them did."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import pysam
import pytest

from contracts.events import FilterDecision
from services.vqsr.engines.gatk import GatkFilters
from services.vqsr.engines.protocol import Engine, FilterCounts, NotFitted, TrainedModel
from services.vqsr.engines.sites import gather_sites, measure
from services.vqsr.rules import Minimums, decide
from tests.services.vqsr.engines.planted import Site, sites, write
from tests.support.seeded.vqsr import SeededFilters

MINIMUMS = Minimums(samples=30, training_snps=1000, training_indels=1000)
INDELS = (
    "c1\t1999000\t.\tAT\tA\t500\t.\tQD=20.0;FS=1.0;ReadPosRankSum=0.1;SOR=9.0\tGT\t0/1\t0/0",
    "c1\t1999100\t.\tAT\tA\t500\t.\tQD=1.0;FS=1.0\tGT\t0/1\t0/0",
    "c1\t1999200\t.\tA\tAT,C\t500\t.\tQD=20.0;FS=250.0\tGT\t0/1\t0/2",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    planted: tuple[Site, ...]
    decision: FilterDecision
    model: TrainedModel
    sites: Path
    resource: Path


@pytest.fixture(scope="module", params=["seeded", pytest.param("gatk", marks=pytest.mark.tools)])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "seeded":
        return SeededFilters()
    return GatkFilters(gatk=request.getfixturevalue("gatk"))


@pytest.fixture(scope="module")
def trained(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """4,000 true and 400 false SNPs; the resource holds every other true one."""
    folder = tmp_path_factory.mktemp("vqsr")
    planted = sites(true=4000, false=400)
    half = len(planted) // 2
    parts = [
        write(folder / "left.vcf.gz", [one.line() for one in planted[:half]]),
        write(folder / "right.vcf.gz", [one.line() for one in planted[half:]]),
    ]
    resource = write(folder / "known.vcf.gz", [one.line() for one in planted if one.true][::2])
    everything = folder / "sites.vcf.gz"
    gather_sites(parts, everything)
    measured = measure(everything, resources=[resource])["snp"]
    decision = decide(
        "snp",
        samples=30,
        training_variants=measured.training_variants,
        minimums=MINIMUMS,
        annotation_variance=measured.variance,
    )
    model = engine.train(
        sites=everything,
        decision=decision,
        resources=[resource],
        out_recal=folder / "snp.recal.vcf.gz",
        out_tranches=folder / "snp.tranches",
        out_model=folder / "snp.model",
        scratch=folder,
    )
    return Trained(planted=planted, decision=decision, model=model, sites=everything, resource=resource)


def scored(path: Path) -> dict[int, tuple[float, str]]:
    """VQSLOD and FILTER by position."""
    with pysam.VariantFile(str(path)) as opened:
        return {one.pos: (one.info["VQSLOD"], ";".join(one.filter)) for one in opened if "VQSLOD" in one.info}


def filters_of(path: Path) -> dict[int, set[str]]:
    with pysam.VariantFile(str(path)) as opened:
        return {one.pos: set(one.filter) for one in opened}


def area_under_curve(true: list[float], false: list[float]) -> float:
    """The chance that a true site scores above a false one (Mann and Whitney's U over all pairs)."""
    return sum((t > f) + 0.5 * (t == f) for t in true for f in false) / (len(true) * len(false))


def test_an_annotation_without_variance_is_left_out_of_the_model(trained: Trained) -> None:
    assert trained.decision.method == "vqsr"
    assert trained.decision.training_variants == 2000
    assert trained.decision.dropped_annotations == ("MQ",)


def test_planted_false_sites_rank_below_the_true_ones(engine: Engine, trained: Trained, tmp_path: Path) -> None:
    half = trained.planted[len(trained.planted) // 2 :]
    interval = write(tmp_path / "interval.vcf.gz", [one.line("0/1", "0/0") for one in half], samples=["ada", "bea"])
    counts = engine.filter(
        vcf_in=interval,
        decisions=[trained.decision],
        models={"snp": trained.model},
        out=tmp_path / "filtered.vcf.gz",
        scratch=tmp_path,
    )
    scores = scored(tmp_path / "filtered.vcf.gz")
    assert scores.keys() == {one.at for one in half}
    true = [scores[one.at][0] for one in half if one.true]
    false = [scores[one.at][0] for one in half if not one.true]
    assert area_under_curve(true, false) >= 0.95
    passed = {one.at for one in half if scores[one.at][1] == "PASS"}
    assert counts == FilterCounts(variants=len(half), passed=len(passed))
    assert sum(one.at in passed for one in half if one.true) / len(true) >= 0.95
    assert sum(one.at in passed for one in half if not one.true) / len(false) <= 0.1


def test_training_again_gives_the_same_scores(engine: Engine, trained: Trained, tmp_path: Path) -> None:
    again = engine.train(
        sites=trained.sites,
        decision=trained.decision,
        resources=[trained.resource],
        out_recal=tmp_path / "snp.recal.vcf.gz",
        out_tranches=tmp_path / "snp.tranches",
        out_model=tmp_path / "snp.model",
        scratch=tmp_path,
    )
    assert again.recal.read_bytes() == trained.model.recal.read_bytes()
    assert again.tranches.read_bytes() == trained.model.tranches.read_bytes()


def test_snps_by_a_model_and_indels_by_hard_filters_in_one_file(
    engine: Engine, trained: Trained, tmp_path: Path
) -> None:
    some = [one for one in trained.planted[-300:] if one.at < 1_999_000]
    interval = write(
        tmp_path / "interval.vcf.gz", [*(one.line("0/1", "0/0") for one in some), *INDELS], samples=["ada", "bea"]
    )
    indels = decide("indel", samples=30, training_variants=0, minimums=MINIMUMS, annotation_variance={})
    engine.filter(
        vcf_in=interval,
        decisions=[trained.decision, indels],
        models={"snp": trained.model},
        out=tmp_path / "filtered.vcf.gz",
        scratch=tmp_path,
    )
    assert scored(tmp_path / "filtered.vcf.gz").keys() == {one.at for one in some}
    found = filters_of(tmp_path / "filtered.vcf.gz")
    assert {at: found[at] for at in (1_999_000, 1_999_100, 1_999_200)} == {
        1_999_000: {"PASS"},  # SOR is no ground against an indel
        1_999_100: {"INDEL_QD2"},
        1_999_200: {"INDEL_FS200"},  # mixed counts as indel
    }
    in_snps = set().union(*(found[one.at] for one in some))
    assert "PASS" in in_snps
    assert all(one == "PASS" or one.startswith("VQSRTrancheSNP") for one in in_snps)
    with gzip.open(tmp_path / "filtered.vcf.gz", "rt") as stream:
        said = [line for line in stream if line.startswith("##cohortstream_filter=")]
    assert len(said) == 2
    assert "<ID=snp,Method=vqsr,TrainingVariants=2000," in said[0]
    assert 'DroppedAnnotations="MQ"' in said[0]
    assert "<ID=indel,Method=hard-filter," in said[1]
    assert "0 indels are in the training resources, fewer than the 1000" in said[1]


PLANTED_BAD = {
    "QD=1.9": {"SNP_QD2"},
    "FS=60.1": {"SNP_FS60"},
    "MQ=39.9": {"SNP_MQ40"},
    "SOR=3.1": {"SNP_SOR3"},
    "MQRankSum=-12.6": {"SNP_MQRankSum-12.5"},
    "ReadPosRankSum=-8.1": {"SNP_ReadPosRankSum-8"},
    "QD=1.9;FS=70.0": {"SNP_QD2", "SNP_FS60"},
    "QD=2.0;FS=60.0;MQ=40.0;SOR=3.0;MQRankSum=-12.5;ReadPosRankSum=-8.0": {"PASS"},
    "DP=5": {"PASS"},  # nothing measured, nothing held against it
}


def test_hard_filters_mark_each_planted_bad_site_by_its_reason(engine: Engine, tmp_path: Path) -> None:
    snps = [f"c1\t{10 * (n + 1)}\t.\tA\tC\t500\t.\t{info}\tGT\t0/1" for n, info in enumerate(PLANTED_BAD)]
    starred = "c1\t500\t.\tA\tC,*\t500\t.\tFS=100.0\tGT\t1/2"
    interval = write(tmp_path / "interval.vcf.gz", [*snps, starred], samples=["ada"])
    decisions = [
        decide(one, samples=1, training_variants=0, minimums=MINIMUMS, annotation_variance={})
        for one in ("snp", "indel")
    ]
    counts = engine.filter(
        vcf_in=interval, decisions=decisions, models={}, out=tmp_path / "filtered.vcf.gz", scratch=tmp_path
    )
    found = filters_of(tmp_path / "filtered.vcf.gz")
    assert [found[10 * (n + 1)] for n in range(len(PLANTED_BAD))] == list(PLANTED_BAD.values())
    assert found[500] == {"SNP_FS60"}, "a site of SNP and * is a SNP to GATK, as it is to `measure`"
    assert counts == FilterCounts(variants=10, passed=2)


def test_the_same_input_gives_the_same_bytes_and_no_trace_of_the_run(engine: Engine, tmp_path: Path) -> None:
    interval = write(tmp_path / "interval.vcf.gz", INDELS, samples=["ada", "bea"])
    indels = decide("indel", samples=1, training_variants=0, minimums=MINIMUMS, annotation_variance={})
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        out = tmp_path / name / "filtered.vcf.gz"
        engine.filter(vcf_in=interval, decisions=[indels], models={}, out=out, scratch=tmp_path / name)
        written.append(out.read_bytes())
        with pysam.TabixFile(str(out)) as tabix:
            assert len(list(tabix.fetch("c1", 1_999_050, 1_999_150))) == 1
    assert written[0] == written[1]
    assert b"CommandLine" not in gzip.decompress(written[0])


def test_an_interval_without_records_is_filtered_to_none(engine: Engine, tmp_path: Path) -> None:
    interval = write(tmp_path / "interval.vcf.gz", [], samples=["ada"])
    snps = decide("snp", samples=1, training_variants=0, minimums=MINIMUMS, annotation_variance={})
    out = tmp_path / "filtered.vcf.gz"
    counts = engine.filter(vcf_in=interval, decisions=[snps], models={}, out=out, scratch=tmp_path)
    assert counts == FilterCounts(variants=0, passed=0)


def test_sites_that_no_model_fits_are_an_outcome_of_their_own(engine: Engine, tmp_path: Path) -> None:
    planted = sites(true=4, false=0)
    cohort = write(tmp_path / "sites.vcf.gz", [one.line() for one in planted])
    decision = FilterDecision(
        variant_type="snp", method="vqsr", rule="for this test", training_variants=4, annotations=("QD", "MQ")
    )
    with pytest.raises(NotFitted):
        engine.train(
            sites=cohort,
            decision=decision,
            resources=[cohort],
            out_recal=tmp_path / "recal.vcf.gz",
            out_tranches=tmp_path / "tranches",
            out_model=tmp_path / "model",
            scratch=tmp_path,
        )
