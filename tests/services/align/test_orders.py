"""Faults 21 and 22: versions of a sample arrive in any order, and again; each is merged with the one before, once."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import Rejection
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Lease
from chassis.messaging.receive import Receipt
from chassis.reference.cache import ReferenceCache
from chassis.service import Service
from chassis.settings import Settings
from chassis.storage.file import FileStore
from chassis.worker.context import TaskContext, Waiting
from contracts.events import RunCompleted, SampleFailed
from contracts.values import Arrival, ArtifactKind
from services.align import workers
from services.align.main import build
from services.align.tasks import ALIGN, AlignTask, CallTask
from tests.support import events
from tests.support.deliver import deliver, outgoing, task_keys

pytestmark = pytest.mark.stack

VERSIONS = (1, 2, 3)


@pytest.fixture
def service() -> Service:
    return build(Settings())


@pytest.fixture
async def ledger(ledger_for: Callable[..., Awaitable[Ledger]], service: Service) -> Ledger:
    return await ledger_for("align", versions=service.migrations)


def run(number: int, version: int) -> RunCompleted:
    return events.run_completed(number, version=version, run=f"run{number}.{version}")


def cram_of(task: AlignTask) -> dict[str, Any]:
    """What an alignment leaves: a CRAM that is named after all runs in it."""
    before = task.previous.cram.uri.rpartition("/")[2] if task.previous is not None else ""
    name = f"{before}+{task.run}"
    return {
        "cram": events.artifact(ArtifactKind.cram, name).model_dump(mode="json"),
        "crai": events.artifact(ArtifactKind.crai, f"{name}.crai").model_dump(mode="json"),
        "reference": events.REFERENCE.model_dump(mode="json"),
        "libraries": task.libraries,
        "metrics": {"reads": 200, "mean_coverage": 10.0 * task.sample.version},
    }


async def claim(ledger: Ledger) -> Lease | None:
    async with ledger.connection() as conn:
        leases = await queue.claim(
            conn,
            pools=("default",),
            memory_classes=("small",),
            owner="w",
            host="h",
            ttl=timedelta(minutes=1),
        )
    return leases[0] if leases else None


async def end(ledger: Ledger, service: Service, lease: Lease) -> None:
    """As a worker does it, without the tools."""
    result = cram_of(AlignTask.model_validate(lease.payload)) if lease.kind == ALIGN else {"gvcf": {}}
    committed = service.kind(lease.kind).committed
    assert committed is not None
    async with ledger.transaction() as tx:
        assert await queue.finish(tx, lease, result=result)
        await committed(tx, lease, result)


async def work_off(ledger: Ledger, service: Service) -> list[str]:
    done = []
    while (lease := await claim(ledger)) is not None:
        await end(ledger, service, lease)
        done.append(lease.key)
    return done


async def state_of(ledger: Ledger, sample: str) -> list[tuple[int, str]]:
    async with ledger.connection() as conn:
        rows = await conn.fetch("select version, state from status_version where sample = $1 order by 1", sample)
    return [(row["version"], row["state"]) for row in rows]


@pytest.mark.parametrize("at_once", [True, False], ids=["worked-off-at-once", "worked-off-at-last"])
async def test_fault_22_versions_in_any_order_are_merged_in_theirs(
    ledger: Ledger, service: Service, at_once: bool
) -> None:
    for number, order in enumerate(itertools.permutations(VERSIONS), start=1):
        for version in order:
            await deliver(ledger, service, run(number, version), run(number, version))
            if at_once:
                await work_off(ledger, service)
        await work_off(ledger, service)
        key = events.sample_of(number)
        async with ledger.connection() as conn:
            rows = await conn.fetch('select kind, payload from task where subject = $1 order by key collate "C"', key)
        aligned = [AlignTask.model_validate(row["payload"]) for row in rows if row["kind"] == ALIGN]
        called = [CallTask.model_validate(row["payload"]) for row in rows if row["kind"] != ALIGN]
        crams = ["".join(f"+run{number}.{version}" for version in VERSIONS[:last]) for last in VERSIONS]
        assert [one.sample.version for one in aligned] == [1, 2, 3]
        assert [one.previous and one.previous.cram.uri.rpartition("/")[2] for one in aligned] == [
            None,
            *crams[:2],
        ]
        assert [one.cram.uri.rpartition("/")[2] for one in called] == crams
        assert await state_of(ledger, key) == [(1, "called"), (2, "called"), (3, "called")]


async def test_fault_22_an_earlier_version_that_comes_late_takes_nothing_back(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, run(1, 1), run(1, 2))
    await work_off(ledger, service)
    receipts = await deliver(ledger, service, run(1, 1), run(1, 2))
    assert receipts == [Receipt.duplicate, Receipt.duplicate]
    assert await work_off(ledger, service) == []
    assert await state_of(ledger, events.sample_of(1)) == [(1, "called"), (2, "called")]


async def test_fault_21_a_run_announced_again_is_one_task(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, *[run(1, 1)] * 3)
    (key,) = await task_keys(ledger)
    assert key.startswith(f"align:{events.sample_of(1)}:v1:cpu-")


async def test_the_same_files_in_another_run_are_no_new_work(ledger: Ledger, service: Service) -> None:
    """A rerun names the version that is there."""
    again = events.run_completed(1, version=1, run="again")
    (arrived,) = again.samples
    again = again.model_copy(update={"samples": (arrived.model_copy(update={"arrival": Arrival.rerun}),)})
    assert await deliver(ledger, service, run(1, 1), again) == [Receipt.handled, Receipt.handled]
    assert len(await task_keys(ledger)) == 1


async def test_a_version_with_other_reads_is_quarantined_and_not_taken_for_known(
    ledger: Ledger, service: Service
) -> None:
    """After a restore ingest may number anew: reads must not get lost behind a number that is taken."""
    other = events.run_completed(1, version=1, run="other")
    assert await deliver(ledger, service, run(1, 1), other) == [Receipt.handled, Receipt.quarantined]


async def test_a_version_whose_alignment_died_holds_back_the_next_until_it_is_revived(
    ledger: Ledger, service: Service
) -> None:
    await deliver(ledger, service, run(1, 1), run(1, 2))
    lease = await claim(ledger)
    assert lease is not None
    rejection = Rejection(code="GZIP_CRC", message="m", where="w", rule="r", fix="f")
    gave_up = service.kind(ALIGN).gave_up
    assert gave_up is not None
    async with ledger.transaction() as tx:
        assert await queue.fail(tx, lease, rejection)
        await gave_up(tx, lease, rejection)
    ((topic, body),) = await outgoing(ledger)
    assert topic == SampleFailed.TYPE
    assert SampleFailed.model_validate_json(body).rejection.code == "GZIP_CRC"
    assert await work_off(ledger, service) == []
    assert await state_of(ledger, events.sample_of(1)) == [(1, "failed"), (2, "waiting")]

    async with ledger.transaction() as tx:
        assert await queue.revive(tx, lease.key)
    assert len(await work_off(ledger, service)) == 4
    assert await state_of(ledger, events.sample_of(1)) == [(1, "called"), (2, "called")]


async def test_without_a_configured_reference_a_run_waits_and_says_what_to_do(
    ledger: Ledger, service: Service, tmp_path: Path
) -> None:
    await deliver(ledger, service, run(1, 1))
    lease = await claim(ledger)
    assert lease is not None

    async def record(chunk: str, value: Mapping[str, Any]) -> None:
        raise AssertionError("nothing is done without a reference")

    context = TaskContext(
        service="align",
        settings=Settings(),
        lease=lease,
        store=FileStore(root=tmp_path / "store"),
        references=ReferenceCache(root=tmp_path / "references", limit_bytes=0),
        scratch=tmp_path,
        log=tmp_path / "log",
        record=record,
    )
    with pytest.raises(Waiting, match=r"set align\.reference"):
        await workers.align(context)


async def test_what_people_ended_stands_as_ended_and_waits_for_nothing(ledger: Ledger, service: Service) -> None:
    """Else it would be told as stuck one day, though nobody waits for it."""
    cancelled, withdrawn = run(1, 1), run(2, 1)
    await deliver(ledger, service, cancelled, withdrawn)
    async with ledger.transaction() as tx:
        await queue.cancel(tx, cancelled.samples[0].sample.key, reason="a person said so")
        await queue.withdraw(tx, withdrawn.samples[0].sample.key, deadline=None)
    async with ledger.connection() as conn:
        stands = await conn.fetch("select belongs_to, state, waits_for from status_subject order by belongs_to")
    assert [tuple(row) for row in stands] == [("run1.1", "cancelled", None), ("run2.1", "withdrawn", None)]
