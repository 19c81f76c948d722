"""A freeze: who takes part, what is refused, one plan whatever happens. On real Postgres, without a broker."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable

import pytest

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.messaging.receive import Receipt
from chassis.service import Service
from chassis.settings import Settings
from contracts.events import FreezeFailed, SampleTagRequested, SampleVerdictRequested, Selection, WorkCancelRequested
from contracts.values import Provenance, QcStatus
from services.jointcall import commits
from services.jointcall.main import build
from services.jointcall.tasks import PlanTask
from tests.support import events
from tests.support.deliver import deliver, outgoing, task_keys


@pytest.fixture
def service() -> Service:
    return build(Settings())


@pytest.fixture
async def ledger(ledger_for: Callable[..., Awaitable[Ledger]], service: Service) -> Ledger:
    return await ledger_for("jointcall", versions=service.migrations)


async def members(ledger: Ledger, freeze: str) -> list[tuple[str, int]]:
    async with ledger.connection() as conn:
        rows = await conn.fetch("select sample, version from freeze_sample where freeze_id = $1 order by 1", freeze)
    return [(row["sample"], row["version"]) for row in rows]


async def freeze_row(ledger: Ledger, freeze: str) -> dict[str, object]:
    async with ledger.connection() as conn:
        row = await conn.fetchrow("select * from cohort_freeze where freeze_id = $1", freeze)
    assert row is not None
    return dict(row)


def verdict(number: int, word: str) -> SampleVerdictRequested:
    return SampleVerdictRequested(
        request_id=uuid.uuid4(), sample=events.sample_of(number), verdict=word, actor=events.PERSON, reason="seen"
    )


async def test_all_means_everyone_whose_verdict_is_pass(ledger: Ledger, service: Service) -> None:
    await deliver(
        ledger,
        service,
        events.gvcf_ready(1),
        events.gvcf_ready(2, status=QcStatus.failed),
        events.gvcf_ready(3, status=QcStatus.failed),
        events.gvcf_ready(4),
        verdict(3, "pass"),
        verdict(4, "hold"),
        events.freeze_requested(),
    )
    assert await members(ledger, "c:1") == [(events.sample_of(1), 1), (events.sample_of(3), 1)]
    assert await task_keys(ledger) == ["plan:c:1"]


async def test_a_word_of_a_person_counts_whenever_it_comes(ledger: Ledger, service: Service) -> None:
    """A hold may overtake the sample's gVCF."""
    await deliver(ledger, service, verdict(1, "hold"), events.gvcf_ready(1), events.gvcf_ready(2))
    await deliver(ledger, service, events.freeze_requested())
    assert await members(ledger, "c:1") == [(events.sample_of(2), 1)]


async def test_fault_22_an_older_version_never_replaces_a_newer(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.gvcf_ready(1, version=2), events.gvcf_ready(1, version=1))
    await deliver(ledger, service, events.freeze_requested())
    assert await members(ledger, "c:1") == [(events.sample_of(1), 2)]


async def test_a_mix_of_references_is_refused_and_names_who_differs(ledger: Ledger, service: Service) -> None:
    await deliver(
        ledger,
        service,
        events.gvcf_ready(1),
        events.gvcf_ready(2),
        events.gvcf_ready(3, reference=events.OTHER_REFERENCE),
        events.freeze_requested(),
    )
    [(topic, body)] = await outgoing(ledger)
    failed = FreezeFailed.model_validate_json(body)
    assert (topic, failed.rejection.code) == ("freeze.failed", "BUILD_MISMATCH")
    assert events.sample_of(3) in failed.rejection.message
    assert events.sample_of(1) not in failed.rejection.message
    assert await task_keys(ledger) == []


async def test_a_mix_of_pipelines_is_refused(ledger: Ledger, service: Service) -> None:
    other = Provenance(tool="gatk", version="4.5.0.0", parameters="a" * 64)
    await deliver(ledger, service, events.gvcf_ready(1), events.gvcf_ready(2, provenance=other))
    await deliver(ledger, service, events.freeze_requested())
    assert "PIPELINE_MIX" in (await outgoing(ledger))[0][1]


async def test_a_list_names_samples_that_must_be_ready(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.gvcf_ready(1), events.gvcf_ready(2))
    wanted = Selection(how="list", samples=(events.sample_of(1),))
    absent = Selection(how="list", samples=(events.sample_of(1), events.sample_of(9)))
    await deliver(ledger, service, events.freeze_requested(selection=wanted))
    await deliver(ledger, service, events.freeze_requested(selection=absent))
    assert await members(ledger, "c:1") == [(events.sample_of(1), 1)]
    assert (await freeze_row(ledger, "c:2"))["state"] == "failed"


async def test_a_tag_selects(ledger: Ledger, service: Service) -> None:
    tag = SampleTagRequested(request_id=uuid.uuid4(), sample=events.sample_of(2), tag="batch1", actor=events.PERSON)
    await deliver(ledger, service, events.gvcf_ready(1), events.gvcf_ready(2), tag)
    await deliver(ledger, service, events.freeze_requested(selection=Selection(how="tag", tag="batch1")))
    assert await members(ledger, "c:1") == [(events.sample_of(2), 1)]


async def test_an_empty_cohort_is_refused(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.freeze_requested())
    assert "COHORT_EMPTY" in (await outgoing(ledger))[0][1]


async def test_fault_12_two_coordinators_make_one_plan(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.gvcf_ready(1))
    request = events.freeze_requested()
    receipts = await asyncio.gather(*(deliver(ledger, service, request) for _ in range(4)))
    assert sorted(itertools.chain(*receipts)) == [Receipt.duplicate] * 3 + [Receipt.handled]
    assert await task_keys(ledger) == ["plan:c:1"]


async def test_a_plan_becomes_one_task_per_interval_largest_first(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.gvcf_ready(1), events.freeze_requested())
    lease = await _claim(ledger)
    entries = [
        {"interval": events.interval(n).model_dump(mode="json"), "predicted_work": work}
        for n, work in enumerate((10, 30, 20))
    ]
    result = {
        "manifest": events.manifest("m", 1).model_dump(mode="json"),
        "interval_manifest": events.manifest("i", 3).model_dump(mode="json"),
        "intervals": entries,
    }
    async with ledger.transaction() as tx:
        await queue.finish(tx, lease, result=result)
        await commits.planned(tx, lease, result)
    claimed = [await _claim(ledger) for _ in range(3)]
    assert [one.payload["index"] for one in claimed] == [1, 2, 0]
    assert PlanTask.model_validate(lease.payload).freeze == "c:1"


async def test_a_dead_interval_ends_the_freeze_once(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.gvcf_ready(1), events.freeze_requested())
    lease = await _claim(ledger)
    rejection = _rejection()
    for _ in range(2):
        async with ledger.transaction() as tx:
            await commits.gave_up(tx, lease, rejection)
    assert [topic for topic, _ in await outgoing(ledger)] == ["freeze.failed"]
    assert await task_keys(ledger, "cancelled") == ["plan:c:1"]


async def test_a_cancelled_freeze_says_so(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.gvcf_ready(1), events.freeze_requested())
    cancel = WorkCancelRequested(request_id=uuid.uuid4(), target="c:1", actor=events.PERSON, reason="wrong list")
    await deliver(ledger, service, cancel)
    assert (await freeze_row(ledger, "c:1"))["state"] == "cancelled"
    assert "CANCELLED" in (await outgoing(ledger))[0][1]


async def _claim(ledger: Ledger) -> queue.Lease:
    from datetime import timedelta

    async with ledger.connection() as conn:
        [lease] = await queue.claim(
            conn,
            pools=("default",),
            memory_classes=("small", "medium", "large"),
            owner="w",
            host="h",
            ttl=timedelta(minutes=1),
        )
    return lease


def _rejection() -> queue.Rejection:
    return queue.Rejection(code="BAD_INPUT", message="m", where="w", rule="r", fix="f")
