"""Align through its own tasks: runs of real reads go in, bwa and GATK run in workers' children, gVCFs come out."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from pathlib import Path

import pysam
import pytest

from chassis.reference import bundle
from chassis.service import Service
from chassis.storage import keys
from chassis.tools.fastq import Read
from chassis.tools.fingerprint import Fingerprint
from contracts.events import CramReady, GvcfReady, SampleFailed
from contracts.values import QcStatus
from deploy.embedded.stack import Endpoints
from services.align.main import BUILDER, build
from tests.services.align import gated
from tests.services.align.arriving import INDEX, REFERENCE, Pairs, library, pairs_of, run_completed
from tests.support import events
from tests.support.deliver import deliver
from tests.support.served import Served, serve

pytestmark = [pytest.mark.stack, pytest.mark.tools]

SECTIONS = {"align": {"reference": "onekg", "qc_rules": "tiny", "call_interval_bp": 2200}}
TASK = "select * from task where key like $1"
STANDS = "select state, waits_for from status_subject where subject = $1 and version = $2"
LATER = """
create or replace function ledger_now() returns timestamptz language sql volatile as
'select clock_timestamp() + interval ''20 seconds'''
"""
"""Past the moment at which a task that waits for a person looks again."""


async def register(served: Served, folder: Path, *, name: str = "onekg", fasta: Path = REFERENCE) -> None:
    await bundle.add(served.store, name=name, fasta=fasta, max_interval_bp=1100, scratch=folder)


@pytest.fixture(scope="module")
async def align(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """With a worker, whose JVM stays warm from one test to the next."""
    folder = tmp_path_factory.mktemp("align")
    async with serve(BUILDER, endpoints=endpoints, folder=folder, sections=SECTIONS) as served:
        await register(served, folder)
        async with served.working():
            yield served


def with_reference(served: Served, name: str | None) -> Service:
    """The service as it is where another reference is configured, or none."""
    section = served.settings.align.model_copy(update={"reference": name})
    return build(served.settings.model_copy(update={"align": section}))


def fingerprint(*several: Pairs) -> str:
    total = Fingerprint()
    for pairs in several:
        for mate, records in ((1, pairs.r1), (2, pairs.r2)):
            for record in records:
                name, bases, _, qualities = record.decode().splitlines()
                total.add(Read(name[1:], bases, qualities), mate)
    return total.hexdigest()


def read_groups(*flowcells_and_lanes: tuple[str, int]) -> tuple[str, ...]:
    return tuple(f"{flowcell}.{lane}.{INDEX}" for flowcell, lane in flowcells_and_lanes)


async def test_reads_become_a_cram_and_a_gvcf(align: Served, tmp_path: Path) -> None:
    pairs = pairs_of("HG00102")
    await align.deliver(await run_completed(align, 1, pairs))
    (called,) = await align.until_said(GvcfReady, subject=events.sample_of(1))
    (aligned,) = await align.until_said(CramReady, subject=events.sample_of(1))

    assert aligned.reads == 2 * len(pairs)
    assert aligned.fingerprint == fingerprint(pairs)
    assert aligned.mapped > 0.95
    assert 4 < aligned.mean_coverage < 6
    assert 100 < aligned.insert_median < 500
    assert 0 <= aligned.duplication < 0.2
    assert aligned.read_groups == read_groups(("FC1", 1))
    assert aligned.libraries == (library(1),)

    await align.get(aligned.crai, tmp_path, "sample.cram.crai")
    cram = await align.get(aligned.cram, tmp_path, "sample.cram")
    assert cram.read_bytes()[:6] == b"CRAM\x03\x00"
    with pysam.AlignmentFile(str(cram), reference_filename=str(REFERENCE)) as opened:
        (group,) = opened.header.to_dict()["RG"]
        assert sum(1 for _ in opened.fetch("17", 1000, 1200)) > 0
    assert (group["SM"], group["LB"], group["PL"]) == ("HG00102", "LIB1", "ILLUMINA")

    assert called.verdict.status is QcStatus.passed
    assert called.mean_coverage == aligned.mean_coverage
    assert called.reference == aligned.reference
    assert (called.sample.version, called.run) == (1, "run-1-1")
    await align.get(called.index, tmp_path, "sample.g.vcf.gz.tbi")
    with pysam.VariantFile(str(await align.get(called.gvcf, tmp_path, "sample.g.vcf.gz"))) as opened:
        assert list(opened.header.samples) == ["HG00102"]
        found = [(one.start, one.stop, one.alts) for one in opened.fetch("17")]
    assert found[0][0] == 0
    assert all(before[1] == one[0] for before, one in pairwise(found) if one[2] == ("<NON_REF>",))
    assert found[-1][1] == 4200
    assert called.records == len(found)
    assert called.variants == sum(alts != ("<NON_REF>",) for _, _, alts in found)
    assert called.variants >= 1
    (stands,) = await align.rows(STANDS, events.sample_of(1), 1)
    assert tuple(stands) == ("called", None)


async def test_fault_22_a_top_up_that_comes_first_waits_and_is_merged(align: Served, tmp_path: Path) -> None:
    """The top-up's library is another than the first run's."""
    pairs = pairs_of("HG00100")
    first, more = pairs.part(0, 150), pairs.part(150)
    key = events.sample_of(2)
    await align.deliver(await run_completed(align, 2, more, version=2, libraries=[2]))
    assert await align.rows(TASK, f"align:{key}:%") == []
    (stands,) = await align.rows(STANDS, key, 2)
    assert tuple(stands) == ("waiting", "version 1 of the sample to be aligned")

    await align.deliver(await run_completed(align, 2, first))
    await align.until_said(GvcfReady, count=2, subject=key)
    one, both = await align.until_said(CramReady, count=2, subject=key)
    assert (one.sample.version, both.sample.version) == (1, 2)
    assert (one.run, both.run) == ("run-2-1", "run-2-2")
    assert one.fingerprint == fingerprint(first)
    assert both.fingerprint == fingerprint(first, more)
    assert both.reads == one.reads + 2 * len(more) == 2 * len(pairs)
    assert both.mean_coverage > 1.4 * one.mean_coverage
    assert both.read_groups == read_groups(("FC1", 1), ("FC2", 1))
    assert both.libraries == (library(1), library(2))

    await align.get(both.crai, tmp_path, "both.cram.crai")
    cram = await align.get(both.cram, tmp_path, "both.cram")
    with pysam.AlignmentFile(str(cram), reference_filename=str(REFERENCE)) as opened:
        groups = {group["ID"]: group["LB"] for group in opened.header.to_dict()["RG"]}
        counted = [record.get_tag("RG") for record in opened.fetch(until_eof=True) if not record.flag & 0x900]
    assert groups == dict(zip(both.read_groups, ("LIB1", "LIB2"), strict=True))
    assert [counted.count(name) for name in both.read_groups] == [2 * len(first), 2 * len(more)]
    assert [one.sample.version for one in await align.said(GvcfReady) if one.subject == key] == [1, 2]


async def test_a_run_waits_for_its_reference_and_goes_on_when_it_is_registered(align: Served, tmp_path: Path) -> None:
    key = events.sample_of(3)
    run = await run_completed(align, 3, pairs_of("HG00101").part(0, 40))
    await deliver(align.ledger, with_reference(align, "later"), run)

    async def waits() -> bool:
        return [row["state"] for row in await align.rows(TASK, f"align:{key}:%")] == ["waiting"]

    await align.until(waits)
    (task,) = await align.rows(TASK, f"align:{key}:%")
    assert task["reason"] == "the reference later is not registered: cohortstream reference add"
    assert task["waits_for"] == "a person"
    assert (task["crashes"], task["retries"]) == (0, 0)
    (stands,) = await align.rows(STANDS, key, 1)
    assert tuple(stands) == ("aligning", task["reason"])
    assert await align.said(SampleFailed) == []

    await register(align, tmp_path, name="later")
    async with align.ledger.connection() as conn:
        await conn.execute(LATER)
    (aligned,) = await align.until_said(CramReady, subject=key)
    assert aligned.reference.name == "later"


async def test_a_run_that_came_before_any_reference_was_configured_takes_the_one_that_is(align: Served) -> None:
    run = await run_completed(align, 6, pairs_of("HG00101").part(0, 40))
    await deliver(align.ledger, with_reference(align, None), run)
    (aligned,) = await align.until_said(CramReady, subject=events.sample_of(6))
    assert aligned.reference.name == "onekg"


async def test_a_top_up_onto_another_reference_is_refused(align: Served, tmp_path: Path) -> None:
    key = events.sample_of(4)
    pairs = pairs_of("HG00101")
    other = tmp_path / "other.fa"
    other.write_text(REFERENCE.read_text().replace("AAGCTTCTCACC", "TAGCTTCTCACC", 1))
    await register(align, tmp_path, name="other", fasta=other)
    await align.deliver(await run_completed(align, 4, pairs.part(0, 40)))
    (first,) = await align.until_said(GvcfReady, subject=key)

    top_up = await run_completed(align, 4, pairs.part(40, 80), version=2)
    await deliver(align.ledger, with_reference(align, "other"), top_up)
    (failed,) = await align.until_said(SampleFailed, subject=key)
    assert failed.rejection.code == "BUILD_MISMATCH"
    assert "version 2 of the sample" in failed.rejection.where
    assert "align.reference" in failed.rejection.fix
    assert failed.stage == "align/align"
    assert [tuple(row) for version in (1, 2) for row in await align.rows(STANDS, key, version)] == [
        ("called", None),
        ("failed", None),
    ]
    assert [one.sample.version for one in await align.said(CramReady) if one.subject == key] == [1]
    assert first.sample.version == 1


async def test_fault_01_a_killed_worker_is_resumed_at_the_next_lane(endpoints: Endpoints, tmp_path: Path) -> None:
    key = events.sample_of(5)
    pairs = pairs_of("HG00101")
    async with serve(BUILDER, endpoints=endpoints, folder=tmp_path, sections=SECTIONS, lease_seconds=4) as served:
        await register(served, tmp_path)
        killed = await served.site.start("work", gated.BUILDER)
        await served.deliver(await run_completed(served, 5, pairs.part(0, 60), pairs.part(60)))

        async def lane_one_is_recorded() -> bool:
            return [len(row["checkpoint"]) for row in await served.rows(TASK, "align:%")] == [1]

        await served.until(lane_one_is_recorded)
        killed.signal(signal.SIGKILL)
        assert await killed.ended() == -signal.SIGKILL
        async with served.working():
            (aligned,) = await served.until_said(CramReady, subject=key)

        assert aligned.reads == 2 * len(pairs)
        assert aligned.fingerprint == fingerprint(pairs)
        assert aligned.read_groups == read_groups(("FC1", 1), ("FC1", 2))
        (task,) = await served.rows(TASK, "align:%")
        endings = await served.rows("select ending from attempt where task_key = $1 order by epoch", task["key"])
        assert [row["ending"] for row in endings] == ["loss", "done"]
        assert await written(served, task["key"], epoch=1) == lanes(1)
        assert await written(served, task["key"], epoch=2) == lanes(2), "lane 1 is not done again"


def lanes(*numbers: int) -> set[str]:
    return {f"lanes/lane-FC1.{number}.{INDEX}-00000001.bam" for number in numbers}


async def written(served: Served, task_key: str, *, epoch: int) -> set[str]:
    """The lanes that an attempt stored."""
    prefix = keys.attempt(service="align", task_key=task_key, incarnation=1, epoch=epoch)
    stored = [facts.key async for facts in served.store.list(str(prefix))]
    return _below(prefix, stored)


def _below(prefix: keys.AttemptPrefix, stored: Iterable[str]) -> set[str]:
    names = (key.removeprefix(f"{prefix}/") for key in stored)
    return {name for name in names if name.startswith("lanes/")}
