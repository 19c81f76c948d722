"""Restores: asked of the store, waited for without a lease, told once; whoever waits is woken."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chassis.ledger import queue
from chassis.ledger.tasks import NewTask
from chassis.messaging.common import on_restored
from chassis.messaging.receive import Receipt
from contracts.events import ArtifactRestored
from contracts.values import Artifact, ArtifactKind
from tests.conftest import until
from tests.services.archive.yard import Yard, cram_ready, journey, restore_requested, sample
from tests.support.deliver import deliver

pytestmark = pytest.mark.stack


async def frozen_cram(yard: Yard) -> Artifact:
    """A CRAM that lies in GLACIER, as the ledger knows."""
    of = sample()
    cram = await yard.put(ArtifactKind.cram, "working/align/t/1-1/s.cram", b"cram", subject=of.key)
    await yard.hear(cram_ready(of, cram))
    stored = await yard.store.set_tier(cram.uri, "GLACIER", version=cram.version)
    async with yard.ledger.connection() as conn:
        await conn.execute("update artifact set tier = 'GLACIER', version = $2 where id = $1", cram.id, stored.version)
    return cram


async def test_a_restore_wakes_whoever_waits_for_it(yard: Yard) -> None:
    cram = await frozen_cram(yard)
    waiting = NewTask(key="consumer", kind="act", subject="x", pool="elsewhere")
    async with yard.ledger.transaction() as tx:
        await queue.enqueue(tx, [waiting])
        await tx.conn.execute(
            "update task set state = 'waiting', waits_for = $1 where key = 'consumer'", f"restore:{cram.id}"
        )
    await yard.hear(restore_requested(cram, days=3))

    [key] = await yard.work()
    [task] = await yard.rows("select state, lease_until, waits_for from task where key = $1", key)
    assert (task["state"], task["lease_until"], task["waits_for"]) == ("waiting", None, f"store:{cram.id}")
    head = await yard.store.head(cram.uri)
    assert head is not None
    assert head.restore is not None
    [status] = await yard.rows("select state, waits_for from status_subject where subject = $1", cram.id)
    assert status["state"] == "restoring"
    assert status["waits_for"].startswith("the store, to make it readable again; to be expected by ")
    assert await yard.told("artifact.restored") == []

    async def told() -> bool:
        await yard.pass_time(timedelta(seconds=2))
        async with yard.ledger.transaction() as tx:
            await queue.sweep(tx)
        await yard.work()
        return bool(await yard.told("artifact.restored"))

    await until(told, seconds=20)
    [event] = await yard.told("artifact.restored")
    assert event["artifact"] == cram.id
    assert event["until"] is not None
    assert await yard.store.get_bytes(cram.uri, limit=10) == b"cram"
    async with yard.ledger.transaction() as tx:
        await on_restored(tx, ArtifactRestored.model_validate(event))
    [task] = await yard.rows("select state from task where key = 'consumer'")
    assert task["state"] == "ready"


async def test_what_is_not_archived_is_restored_at_once_and_kept_warm(yard: Yard) -> None:
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work()
    await yard.hear(restore_requested(told.cram, days=2))
    await yard.work()
    [event] = await yard.told("artifact.restored")
    assert "until" not in event
    await yard.sweep()
    assert any("someone asked to read it" in why for why in await yard.why_not(told.cram))
    assert (await yard.copy(told.cram))["state"] == "stored"


async def test_asking_to_read_what_is_condemned_spares_it(yard: Yard) -> None:
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work_only("enrol:")
    await yard.sweep()
    assert (await yard.copy(told.cram))["state"] == "condemned"
    await yard.hear(restore_requested(told.cram))
    assert (await yard.copy(told.cram))["state"] == "stored"
    await yard.pass_grace()
    await yard.work()
    assert await yard.told("artifact.tiered") == []
    assert len(await yard.told("artifact.restored")) == 1


async def test_many_who_ask_make_one_restore(yard: Yard) -> None:
    cram = await frozen_cram(yard)
    await yard.hear(*(restore_requested(cram, days=days) for days in (1, 5, 2)))
    rows = await yard.rows("select number, days, state from status_restore")
    assert rows == [{"number": 1, "days": 5, "state": "asked"}]
    audit = await yard.rows("select actor from status_audit")
    assert len(audit) == 3


async def test_asked_before_any_fact_names_it_begins_when_one_does(yard: Yard) -> None:
    of = sample()
    cram = await yard.put(ArtifactKind.cram, "working/align/t/1-1/s.cram", b"cram", subject=of.key)
    await yard.hear(restore_requested(cram))
    assert await yard.work() == []
    [row] = await yard.rows("select state, waits_for from status_subject where subject = $1", cram.id)
    assert row == {"state": "restore unknown", "waits_for": "a fact that names it"}
    await yard.hear(cram_ready(of, cram))
    await yard.work()
    assert len(await yard.told("artifact.restored")) == 1


async def test_what_was_purged_cannot_be_restored(yard: Yard) -> None:
    cram = await frozen_cram(yard)
    async with yard.ledger.connection() as conn:
        await conn.execute("update artifact set state = 'purged'")
    assert await deliver(yard.ledger, yard.service, restore_requested(cram)) == [Receipt.quarantined]
    [held] = await yard.rows("select code from status_quarantine")
    assert held["code"] == "ARTIFACT_PURGED"


async def test_a_named_object_that_the_store_has_not_is_an_alert(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    cram = await frozen_cram(yard)
    head = await yard.store.head(cram.uri)
    assert head is not None
    await yard.store.delete(cram.uri, version=head.version)
    await yard.hear(restore_requested(cram))
    await yard.work()
    assert (await yard.copy(cram))["state"] == "missing"
    assert [record.alert for record in caplog.records if hasattr(record, "alert")] == ["missing"]
    [row] = await yard.rows("select waits_for from status_subject where state = 'missing'")
    assert row["waits_for"].startswith("a person")
