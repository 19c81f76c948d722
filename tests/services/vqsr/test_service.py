"""Vqsr through its own tasks: a freeze's facts go in, a worker's children run GATK, a filtered panel comes out."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam
import pytest

from chassis.reference import bundle
from chassis.storage.manifests import read_manifest
from contracts.events import Event, FilterDecision, IntervalGenotyped, PanelRecalibrated
from contracts.values import ArtifactKind, Interval, ReferenceId
from deploy.embedded.stack import Endpoints
from services.vqsr.tasks import Filtered, Model
from tests.services.vqsr.engines.planted import LENGTH, Site, sites, write
from tests.services.vqsr.engines.test_contract import area_under_curve, filters_of, scored
from tests.support import events
from tests.support.served import Served, serve

pytestmark = [pytest.mark.stack, pytest.mark.tools]

BUILDER = "services.vqsr.main:build"
INTERVALS = 3
PEOPLE = tuple(f"P{number:02d}" for number in range(30))
LOWERED = {"minimum_training_snps": 1000, "minimum_training_indels": 1000}
"""What so small a cohort meets for SNPs, and not for indels, of which no training resource holds any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indel:
    at: int
    bad: bool

    def line(self, *cells: str) -> str:
        quality = "QD=1.0" if self.bad else "QD=20.0"
        head = f"c1\t{self.at}\t.\tAT\tA\t500\t.\tDP=300;FS=1.0;MQ=60.00;{quality};SOR=1.0"
        return "\t".join((head, "GT", *cells)) if cells else head


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """2,400 true and 240 false SNPs and some indels. Every other true SNP is in the training resource."""

    snps: tuple[Site, ...]
    indels: tuple[Indel, ...]
    fasta: Path
    known: Path

    def within(self, interval: Interval) -> list[Site | Indel]:
        every: list[Site | Indel] = [*self.snps, *self.indels]
        return sorted((one for one in every if interval.start <= one.at <= interval.end), key=lambda one: one.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    event: PanelRecalibrated
    intervals: tuple[Filtered, ...]
    vcfs: tuple[Path, ...]

    def decision(self, kind: str) -> FilterDecision:
        (found,) = (one for one in self.event.decisions if one.variant_type == kind)
        return found

    def filters(self) -> dict[int, set[str]]:
        return {at: names for path in self.vcfs for at, names in filters_of(path).items()}

    def said_in(self, vcf: Path) -> list[str]:
        with gzip.open(vcf, "rt") as lines:
            return [line for line in lines if line.startswith("##cohortstream_filter=")]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("planted")
    snps = sites(true=2400, false=240)
    taken = {one.at + step for one in snps for step in (-2, -1, 0, 1, 2)}
    free = [at for at in range(20_000, LENGTH - 20_000, 40_009) if at not in taken]
    indels = tuple(Indel(at=at, bad=number % 4 == 0) for number, at in enumerate(free))
    bases = random.Random(23).choices("ACGT", k=LENGTH)
    for one in snps:
        bases[one.at - 1] = one.ref
    for indel in indels:
        bases[indel.at - 1 : indel.at + 1] = "AT"
    fasta = folder / "planted.fa"
    fasta.write_text(f">c1\n{''.join(bases)}\n")
    known = write(folder / "known.vcf.gz", [one.line() for one in snps if one.true][::2])
    return Cohort(snps=snps, indels=indels, fasta=fasta, known=known)


async def freeze(served: Served, cohort: Cohort, folder: Path) -> list[Event]:
    """What jointcall would have told of the freeze c:1, the artifacts in the store."""
    reference = await bundle.add(
        served.store,
        name="planted",
        fasta=cohort.fasta,
        known_sites=[cohort.known],
        max_interval_bp=LENGTH // INTERVALS + 1,
        scratch=folder,
    )
    told: list[Event] = [
        events.frozen(samples=len(PEOPLE), intervals=INTERVALS).model_copy(update={"reference": reference.id})
    ]
    for index, interval in enumerate(reference.intervals):
        told.append(await genotyped(served, cohort, folder, index=index, interval=interval, reference=reference.id))
    return told


async def genotyped(
    served: Served, cohort: Cohort, folder: Path, *, index: int, interval: Interval, reference: ReferenceId
) -> IntervalGenotyped:
    found = cohort.within(interval)
    cells = ["0/1", *["0/0"] * (len(PEOPLE) - 1)]
    whole = write(folder / f"{index}.vcf.gz", [one.line(*cells) for one in found], samples=PEOPLE)
    bare = write(folder / f"{index}.sites.vcf.gz", [one.line() for one in found])
    kinds = (
        ("vcf", ArtifactKind.vcf, whole),
        ("vcf_index", ArtifactKind.vcf_index, Path(f"{whole}.tbi")),
        ("sites", ArtifactKind.sites_vcf, bare),
        ("sites_index", ArtifactKind.sites_vcf_index, Path(f"{bare}.tbi")),
    )
    return events.genotyped(
        index,
        interval=interval,
        reference=reference,
        samples=len(PEOPLE),
        variants=len(found),
        **{name: await served.put(kind, f"working/jointcall/{index}/{path.name}", path) for name, kind, path in kinds},
    )


async def panel_of(served: Served, told: Sequence[Event], folder: Path) -> Panel:
    """Deliver the freeze, the intervals before the freeze itself, and let a worker filter it."""
    async with served.working():
        await served.deliver(*reversed(told))
        (event,) = await served.until_said(PanelRecalibrated)
    intervals = tuple(Filtered.model_validate(one) for one in await read_manifest(served.store, event.manifest))
    for one in intervals:
        await served.get(one.vcf_index, folder, f"{one.index}.filtered.vcf.gz.tbi")
    vcfs = [await served.get(one.vcf, folder, f"{one.index}.filtered.vcf.gz") for one in intervals]
    return Panel(event=event, intervals=intervals, vcfs=tuple(vcfs))


@pytest.fixture(scope="module")
async def vqsr(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("vqsr")
    async with serve(BUILDER, endpoints=endpoints, folder=folder, sections={"vqsr": LOWERED}) as served:
        yield served


@pytest.fixture(scope="module")
async def panel(vqsr: Served, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Panel:
    folder = tmp_path_factory.mktemp("panel")
    return await panel_of(vqsr, await freeze(vqsr, cohort, folder), folder)


async def test_snps_are_filtered_by_a_model_that_the_freeze_trained(panel: Panel, cohort: Cohort) -> None:
    decision = panel.decision("snp")
    assert decision.method == "vqsr"
    assert decision.training_variants == 1200
    assert decision.rule.startswith("a model: 30 samples and 1200 training snps meet the minimums")
    assert panel.event.samples == len(PEOPLE)
    assert panel.event.variants == len(cohort.snps) + len(cohort.indels)


async def test_an_annotation_without_variance_is_dropped_and_named(panel: Panel) -> None:
    decision = panel.decision("snp")
    assert decision.dropped_annotations == ("MQ",)
    assert "MQ" not in decision.annotations
    assert 'DroppedAnnotations="MQ"' in panel.said_in(panel.vcfs[0])[0]


async def test_planted_false_sites_rank_below_the_true_ones(panel: Panel, cohort: Cohort) -> None:
    scores = {at: score for path in panel.vcfs for at, (score, _) in scored(path).items()}
    assert scores.keys() == {one.at for one in cohort.snps}
    true = [scores[one.at] for one in cohort.snps if one.true]
    false = [scores[one.at] for one in cohort.snps if not one.true]
    assert area_under_curve(true, false) >= 0.95


async def test_most_false_sites_are_filtered_and_most_true_ones_pass(panel: Panel, cohort: Cohort) -> None:
    found = panel.filters()
    true = [found[one.at] == {"PASS"} for one in cohort.snps if one.true]
    false = [found[one.at] == {"PASS"} for one in cohort.snps if not one.true]
    assert sum(true) / len(true) >= 0.95
    assert sum(false) / len(false) <= 0.1
    assert panel.event.passed == sum(names == {"PASS"} for names in found.values())


async def test_every_interval_is_filtered_and_says_how(panel: Panel, cohort: Cohort) -> None:
    assert [one.index for one in panel.intervals] == list(range(INTERVALS))
    for one, path in zip(panel.intervals, panel.vcfs, strict=True):
        expected = [site.at for site in cohort.within(one.interval)]
        assert sorted(filters_of(path)) == expected
        assert one.variants == len(expected)
        snp, indel = panel.said_in(path)
        assert snp.startswith("##cohortstream_filter=<ID=snp,Method=vqsr,")
        assert indel.startswith("##cohortstream_filter=<ID=indel,Method=hard-filter,")


async def test_indels_fall_back_to_hard_filters_by_the_stated_rule(panel: Panel, cohort: Cohort) -> None:
    decision = panel.decision("indel")
    assert (decision.method, decision.training_variants) == ("hard-filter", 0)
    assert "0 indels are in the training resources, fewer than the 1000" in decision.rule
    assert all(decision.rule in panel.said_in(path)[1] for path in panel.vcfs)
    found = panel.filters()
    assert {one.at: found[one.at] for one in cohort.indels} == {
        one.at: {"INDEL_QD2"} if one.bad else {"PASS"} for one in cohort.indels
    }


async def test_the_model_is_kept(panel: Panel, vqsr: Served, tmp_path: Path) -> None:
    assert panel.event.model is not None
    (entry,) = await read_manifest(vqsr.store, panel.event.model)
    assert entry["variant_type"] == "snp"
    model = Model.model_validate(entry)
    await vqsr.get(model.recal_index, tmp_path, "recal.vcf.gz.tbi")
    with pysam.VariantFile(str(await vqsr.get(model.recal, tmp_path, "recal.vcf.gz"))) as recal:
        assert sum("VQSLOD" in one.info for one in recal) == 2640
    assert "targetTruthSensitivity" in (await vqsr.get(model.tranches, tmp_path, "tranches")).read_text()


async def test_a_cohort_below_the_minimums_falls_back_and_says_so(
    endpoints: Endpoints, cohort: Cohort, tmp_path: Path
) -> None:
    """The same freeze, where the site's minimums are the built-in ones."""
    async with serve(BUILDER, endpoints=endpoints, folder=tmp_path) as served:
        panel = await panel_of(served, await freeze(served, cohort, tmp_path), tmp_path)
        assert await served.rows("select key from task where state <> 'done'") == []
    assert [one.method for one in panel.event.decisions] == ["hard-filter", "hard-filter"]
    rule = panel.decision("snp").rule
    assert rule.startswith("hard filters: 1200 snps are in the training resources, fewer than the 5000")
    assert all(rule in panel.said_in(path)[0] for path in panel.vcfs)
    assert panel.event.model is None
    found = panel.filters()
    assert "SNP_QD2" in set().union(*found.values())
    assert not any(scored(path) for path in panel.vcfs)
