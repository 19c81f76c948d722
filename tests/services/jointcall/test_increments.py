"""Freezes with the columnar engine through jointcall's own tasks: the next one begins with the last one's columns."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.reference import bundle
from chassis.reference.model import Bundle
from contracts.events import CohortFrozen, FreezeFailed, GvcfReady, IntervalGenotyped, Reuse, Selection
from contracts.values import ArtifactKind
from deploy.embedded.stack import Endpoints
from services.jointcall.columnar.warm import warm
from services.jointcall.engines.protocol import GvcfInput
from services.jointcall.main import BUILDER
from tests.services.jointcall.engines.written import block, het, het_without_pl, sequence, write_gvcf
from tests.support import events
from tests.support.served import Served, serve

pytestmark = pytest.mark.stack

LENGTH = 6000
BASES = sequence(LENGTH)
SECTIONS = {"jointcall": {"interval_bp": 3000, "chunk_bp": 1500}}
CALLER = {"A": "C", "C": "G", "G": "T", "T": "A"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohorts:
    served: Served
    reference: Bundle
    folder: Path

    async def ready(self, number: int, places: Sequence[int], *, version: int = 1) -> GvcfReady:
        """Tell of a sample that is heterozygous at these places; another name's order than its key's."""
        name = f"{'zyxwv'[number % 5]}{number}"
        folder = self.folder / f"{number}-{version}"
        folder.mkdir()
        return await self.told(number, gvcf(folder, name, places), version=version)

    async def told(self, number: int, made: GvcfInput, *, version: int = 1) -> GvcfReady:
        prefix = f"working/align/{number}-{version}"
        event = events.gvcf_ready(
            number,
            version=version,
            gvcf=await self.served.put(ArtifactKind.gvcf, f"{prefix}/sample.g.vcf.gz", made.path),
            index=await self.served.put(ArtifactKind.gvcf_index, f"{prefix}/sample.g.vcf.gz.tbi", made.index),
            reference=self.reference.id,
        )
        await self.served.deliver(event)
        return event

    async def frozen(self, freeze: str, *numbers: int) -> tuple[CohortFrozen, list[IntervalGenotyped]]:
        """Ask for the cohort's next freeze of these samples; its intervals."""
        named = Selection(how="list", samples=tuple(events.sample_of(one) for one in numbers))
        await self.served.deliver(events.freeze_requested(freeze.rpartition(":")[0], named, engine="columnar"))
        (frozen,) = await self.served.until_said(CohortFrozen, subject=freeze)
        done = await self.served.until_said(IntervalGenotyped, count=frozen.intervals.entries, subject=freeze)
        return frozen, sorted(done, key=lambda one: one.index)

    async def columns(self, freeze: str) -> list[str]:
        rows = await self.served.rows(
            "select columns ->> 'generation' as id from freeze_interval where freeze_id = $1 order by index", freeze
        )
        return [row["id"] for row in rows]


def gvcf(folder: Path, name: str, places: Sequence[int], *, without_pl: Collection[int] = ()) -> GvcfInput:
    records, at = [], 1
    for place in sorted(places):
        if at < place:
            records.append(block(BASES, at, place - 1))
        kind = het_without_pl if place in without_pl else het
        records.append(kind(BASES[place - 1], CALLER[BASES[place - 1]], place))
        at = place + 1
    return write_gvcf(folder, name, [*records, block(BASES, at, LENGTH)], contigs=[("c1", LENGTH)])


@pytest.fixture(scope="module")
async def cohorts(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cohorts]:
    warm()  # nobody below has the patience for it
    folder = tmp_path_factory.mktemp("cohorts")
    fasta = folder / "c1.fa"
    fasta.write_text(f">c1\n{BASES}\n")
    async with serve(BUILDER, endpoints=endpoints, folder=folder, sections=SECTIONS) as served:
        reference = await bundle.add(served.store, name="c1", fasta=fasta, max_interval_bp=3000, scratch=folder)
        made = Cohorts(served=served, reference=reference, folder=folder)
        for number in range(4):
            await made.ready(number, [100 + 50 * number, 2990, 3400 + number])
        async with served.working():
            yield made


def vcfs(genotyped: Sequence[IntervalGenotyped]) -> list[str]:
    return [one.vcf.id for one in genotyped]


def reused(genotyped: Sequence[IntervalGenotyped]) -> list[tuple[str | None, int, int]]:
    reuses = [one.reuse for one in genotyped]
    assert all(isinstance(one, Reuse) for one in reuses)
    return [(one.freeze, one.samples_reused, one.samples_imported) for one in reuses if one is not None]


async def test_the_next_freeze_reads_only_what_is_new_and_says_the_same(cohorts: Cohorts) -> None:
    """Added, withdrawn and replaced in one freeze: the same bytes as in a cohort that never had another one."""
    _, first = await cohorts.frozen("grown:1", 0, 1, 2)
    assert reused(first) == [(None, 0, 3)] * 2
    await cohorts.ready(1, [777, 3333], version=2)
    frozen, second = await cohorts.frozen("grown:2", 1, 2, 3)
    assert frozen.previous == "grown:1"
    assert [one.interval for one in second] == [one.interval for one in first]
    assert reused(second) == [("grown:1", 1, 2)] * 2
    assert all(one.reuse is not None and one.reuse.bytes_reused > 0 and one.reuse.bytes_written > 0 for one in second)

    _, scratch = await cohorts.frozen("scratch:1", 1, 2, 3)
    assert reused(scratch) == [(None, 0, 3)] * 2
    assert vcfs(second) == vcfs(scratch)
    assert vcfs(second) != vcfs(first)


async def test_a_freeze_of_the_same_samples_takes_all_over(cohorts: Cohorts) -> None:
    _, first = await cohorts.frozen("same:1", 0, 2)
    _, second = await cohorts.frozen("same:2", 0, 2)
    assert reused(second) == [("same:1", 2, 0)] * 2
    assert [one.reuse.bytes_written for one in second if one.reuse is not None] == [0, 0]
    assert await cohorts.columns("same:1") == await cohorts.columns("same:2")
    assert vcfs(first) == vcfs(second)


async def test_what_is_there_already_is_not_fetched(cohorts: Cohorts) -> None:
    served, told = cohorts.served, await cohorts.ready(5, [1200])
    await cohorts.frozen("kept:1", 0, 5)
    shutil.rmtree(served.settings.state_dir / "cache" / "objects")
    await served.store.delete(told.gvcf.uri)
    _, second = await cohorts.frozen("kept:2", 0, 3, 5)
    assert reused(second) == [("kept:1", 2, 1)] * 2


async def test_sites_that_one_record_takes_from_all_are_told(cohorts: Cohorts) -> None:
    """Two in the first interval, one of them at a site of the other sample; none in the second."""
    folder = cohorts.folder / "bare"
    folder.mkdir()
    await cohorts.told(6, gvcf(folder, "b6", [100, 1000, 3400], without_pl=[100, 1000]))
    _, genotyped = await cohorts.frozen("bare:1", 0, 6)
    assert [one.left_out for one in genotyped] == [2, 0]
    assert [one.variants for one in genotyped] == [1, 1]
    (freeze,) = await cohorts.served.rows("select left_out from status_freeze where \"freeze\" = 'bare:1'")
    each = await cohorts.served.rows("select left_out from status_interval where \"freeze\" = 'bare:1' order by index")
    assert freeze["left_out"] == 2 and [row["left_out"] for row in each] == [2, 0]
    logs = cohorts.served.settings.state_dir / "logs" / "attempts" / "jointcall"
    lines = [line for log in logs.rglob("*.log") for line in log.read_text(encoding="utf-8").splitlines()]
    (said,) = (json.loads(line) for line in lines if "left out" in line)
    assert (said["freeze"], said["interval"], said["sites"]) == ("bare:1", genotyped[0].interval.slug, 2)


async def test_columns_that_are_gone_are_made_again(cohorts: Cohorts) -> None:
    _, first = await cohorts.frozen("lost:1", 0, 2)
    async for facts in cohorts.served.store.list("working/jointcall/columnar/of-lost"):
        if facts.key.endswith(".arrow"):
            await cohorts.served.store.delete(facts.key)
    _, second = await cohorts.frozen("lost:2", 0, 2)
    assert reused(second) == [(None, 0, 2)] * 2
    assert vcfs(first) == vcfs(second)


async def test_a_freeze_without_any_of_the_former_samples_begins_anew(cohorts: Cohorts) -> None:
    await cohorts.frozen("other:1", 0)
    frozen, second = await cohorts.frozen("other:2", 2, 3)
    assert set(reused(second)) == {(None, 0, 2)}
    assert frozen.previous == "other:1"


async def test_a_new_gvcf_that_is_refused_is_named_by_its_key(cohorts: Cohorts) -> None:
    """It holds the sample of another one, which the freeze before it brought."""
    await cohorts.frozen("twice:1", 0, 2)
    folder = cohorts.folder / "twice"
    folder.mkdir()
    await cohorts.told(9, gvcf(folder, "z0", [1000]))
    named = Selection(how="list", samples=tuple(events.sample_of(one) for one in (0, 2, 9)))
    await cohorts.served.deliver(events.freeze_requested("twice", named, engine="columnar"))
    (failed,) = await cohorts.served.until_said(FreezeFailed, subject="twice:2")
    assert failed.rejection.code == "COHORT_DUPLICATE"
    assert events.sample_of(9) in failed.rejection.where
    assert "z0" not in failed.rejection.message
