"""Condemn, grace, act: holds, zombies, wrong fingerprints. On real Postgres and an S3 that models Glacier."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from chassis.errors import LeaseLost
from chassis.ledger import queue
from chassis.outcomes import Done
from chassis.storage.store import Store, tags_of
from contracts.values import ArtifactKind
from services.archive import alerts
from services.archive.inventory import Inventory
from services.archive.policies import BUILT_IN
from tests.services.archive.yard import Yard, hold, hold_released, journey, real_journey

pytestmark = pytest.mark.stack

PURGE_FASTQ = """
[[policy]]
name = "purge"
kind = "fastq"
event = "cram.ready"
purge = true
"""
MOVE_CRAM = """
[[policy]]
name = "move"
kind = "cram"
event = "cram.ready"
storage_class = "GLACIER"
"""
Change = Callable[[str], Yard]


async def test_after_release_fastqs_go_to_glacier_and_the_cram_to_instant_retrieval(yard: Yard, tmp_path: Path) -> None:
    """The demo's policies, end to end: verified by real fingerprints, announced, moved, told."""
    told = await real_journey(yard, tmp_path)
    await yard.hear(*told.facts)
    await yard.work()  # the manifests
    await yard.sweep()
    assert any("not verified yet" in why for why in await yard.why_not(told.r1))
    await yard.work()  # the comparison
    await yard.sweep()
    condemned = {event["artifact"]: event for event in await yard.told("artifact.condemned")}
    assert condemned.keys() == {told.r1.id, told.r2.id, told.cram.id}
    assert (await yard.copy(told.r1))["state"] == "condemned"
    assert await yard.work() == []  # in the grace period

    await yard.pass_grace()
    await yard.work()

    tiered = {event["artifact"]: event for event in await yard.told("artifact.tiered")}
    assert {told.r1.id: "GLACIER", told.r2.id: "GLACIER", told.cram.id: "GLACIER_IR"} == {
        artifact: event["tier"] for artifact, event in tiered.items()
    }
    head = await yard.store.head(told.r1.uri)
    assert head is not None
    assert (head.storage_class, head.sha256) == ("GLACIER", told.r1.id)
    row = await yard.copy(told.r1)
    assert (row["tier"], row["state"], row["version"]) == ("GLACIER", "stored", head.version)
    assert tiered[told.r1.id]["version"] == head.version != told.r1.version
    assert tiered[told.r1.id]["count"] == 2, "condemned was the first fact about it"
    storage = {(row["kind"], row["tier"]): row for row in await yard.rows("select * from status_storage")}
    assert storage["fastq", "GLACIER"]["objects"] == 2
    assert storage["fastq", "GLACIER"]["monthly"] > 0


async def test_the_grace_period_is_never_below_two_leases(yard: Yard, tmp_path: Path) -> None:
    """The settings ask for none at all."""
    change_of = await journey(yard)
    await yard.hear(*change_of.facts)
    await yard.work()
    await yard.sweep()
    [event] = [event for event in await yard.told("artifact.condemned") if event["artifact"] == change_of.cram.id]
    [row] = await yard.rows("select since from artifact where id = $1", change_of.cram.id)
    grace = datetime.fromisoformat(event["not_before"]) - row["since"]
    assert timedelta(seconds=59) < grace <= timedelta(seconds=60)


async def test_fault_36_a_hold_in_the_grace_period_keeps_it(with_policies: Change) -> None:
    yard = with_policies(MOVE_CRAM)
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.sweep()
    assert (await yard.copy(told.cram))["state"] == "condemned"

    await yard.hear(hold(told.cram))
    await yard.pass_grace()
    assert not [key for key in await yard.work() if key.startswith("act:")]
    await yard.sweep()

    assert (await yard.copy(told.cram))["state"] == "stored"
    assert await yard.why_not(told.cram) == ["held by tester: looking at it"]
    assert await yard.told("artifact.tiered") == []

    await yard.hear(hold_released(told.cram))
    await yard.sweep()
    await yard.pass_grace()
    await yard.work()
    assert [event["count"] for event in await yard.told("artifact.condemned")] == [1, 2]
    assert (await yard.copy(told.cram))["tier"] == "GLACIER"


async def test_a_hold_cancels_an_act_that_a_worker_has_in_hand_but_has_not_begun(with_policies: Change) -> None:
    yard = with_policies(MOVE_CRAM)
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work()
    await yard.sweep()
    await yard.pass_grace()
    lease = await yard.claim()
    assert lease is not None
    await yard.hear(hold(told.cram))
    outcome = await yard.run(lease)
    assert isinstance(outcome, Done)
    assert outcome.result["did"] == "spared"
    with pytest.raises(LeaseLost):
        await yard.settle(lease, outcome)
    head = await yard.store.head(told.cram.uri)
    assert head is not None
    assert head.version == told.cram.version


class Stopped:
    """A store at whose `delete` a worker is stopped: `reached` says that it is there, `go` lets it on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.deleted: list[bool] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def delete(self, uri_or_key: str, *, version: str | None = None) -> bool:
        self.reached.set()
        await self.go.wait()
        self.deleted.append(await self._store.delete(uri_or_key, version=version))
        return self.deleted[-1]


async def test_fault_42_a_zombies_purge_names_a_version_that_is_gone(with_policies: Change, tmp_path: Path) -> None:
    """Given a worker stopped past its fence, right before its delete; when its lease is lost, another purges and the
    object comes again; then the zombie's delete finds nothing and its finish is refused."""
    yard = with_policies(PURGE_FASTQ)
    told = await real_journey(yard, tmp_path)
    await yard.hear(*told.facts)
    await yard.sweep()
    await yard.work()
    await yard.sweep()
    await yard.pass_grace()
    lease = await yard.claim(ttl=timedelta(seconds=1))
    assert lease is not None
    uri, version = lease.payload["uri"], lease.payload["version"]
    stopped = Stopped(yard.store)
    zombie = asyncio.create_task(yard.run(lease, store=cast(Store, stopped)))
    await asyncio.wait_for(stopped.reached.wait(), 10)

    await yard.pass_time(timedelta(seconds=2))
    async with yard.ledger.transaction() as tx:
        assert (await queue.sweep(tx))[0] == [lease.key]
    await yard.work()
    purged = await yard.told("artifact.purged")
    assert {event["artifact"] for event in purged} == {told.r1.id, told.r2.id}
    assert purged[0]["guards"] == ["cram-verified-fingerprint", "no-hold"]
    again = await yard.store.put_bytes(
        yard.store.key_of(uri), b"came again", tags=tags_of(kind="fastq", stage="ingest", subject="x")
    )
    stopped.go.set()
    outcome = await asyncio.wait_for(zombie, 10)

    assert stopped.deleted == [False]
    with pytest.raises(LeaseLost):
        await yard.settle(lease, outcome)
    head = await yard.store.head(uri)
    assert head is not None
    assert head.version == again.version != version
    assert len(await yard.told("artifact.purged")) == 2


async def test_fault_42_a_zombie_that_wakes_before_its_fence_does_nothing(with_policies: Change) -> None:
    """Its lease is another's: the write before the act is refused, so there is no act."""
    yard = with_policies(MOVE_CRAM)
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work()
    await yard.sweep()
    await yard.pass_grace()
    zombie = await yard.claim(ttl=timedelta(seconds=1))
    assert zombie is not None
    await yard.pass_time(timedelta(seconds=2))
    async with yard.ledger.transaction() as tx:
        await queue.sweep(tx)
    with pytest.raises(LeaseLost):
        await yard.run(zombie)
    head = await yard.store.head(told.cram.uri)
    assert head is not None
    assert (head.version, head.storage_class) == (told.cram.version, "STANDARD")


async def test_an_act_that_died_after_its_deed_is_told_by_the_next_attempt(with_policies: Change) -> None:
    """Moved, then killed before the commit: the object has another version, and that is the truth to record."""
    yard = with_policies(MOVE_CRAM)
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work()
    await yard.sweep()
    await yard.pass_grace()
    lost = await yard.claim(ttl=timedelta(seconds=1))
    assert lost is not None
    moved = await yard.run(lost)
    assert isinstance(moved, Done)
    await yard.pass_time(timedelta(seconds=2))
    async with yard.ledger.transaction() as tx:
        await queue.sweep(tx)
    with pytest.raises(LeaseLost):
        await yard.settle(lost, moved)
    await yard.work()
    [event] = await yard.told("artifact.tiered")
    head = await yard.store.head(told.cram.uri)
    assert head is not None
    assert event["version"] == head.version == moved.result["version"]


async def test_a_wrong_fingerprint_refuses_the_purge_and_says_so(
    with_policies: Change, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the log, in a metric, in the plan and in the status."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(alerts, "meter", lambda: MeterProvider(metric_readers=[reader]).get_meter("test"))
    yard = with_policies(PURGE_FASTQ)
    told = await real_journey(yard, tmp_path, other_reads=True)
    await yard.hear(*told.facts)
    await yard.sweep()
    with caplog.at_level(logging.ERROR, logger="services.archive.alerts"):
        await yard.work()
    assert [record.alert for record in caplog.records if hasattr(record, "alert")] == ["fingerprint-differs"]
    metrics = reader.get_metrics_data()
    assert metrics is not None
    [metric] = metrics.resource_metrics[0].scope_metrics[0].metrics
    [counted] = metric.data.data_points
    assert (metric.name, counted.attributes) == (alerts.METRIC, {"alert": "fingerprint-differs"})
    await yard.sweep()
    await yard.pass_grace()
    await yard.work()
    assert await yard.told("artifact.condemned") == []
    assert await yard.why_not(told.r1) == ["REFUSED: the CRAM's fingerprint differs from the FASTQs'"]
    [row] = await yard.rows("select * from status_subject where kind = 'sample'")
    assert row["state"] == "FINGERPRINT DIFFERS"
    assert row["waits_for"].startswith("a person")


async def test_fault_37_a_cram_that_changed_since_refuses_the_purge_with_an_alert(
    with_policies: Change, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Verified once, then replaced in the store by other bytes: seen at the last moment."""
    yard = with_policies(PURGE_FASTQ)
    told = await real_journey(yard, tmp_path)
    await yard.hear(*told.facts)
    await yard.sweep()
    await yard.work()
    await yard.sweep()
    await yard.pass_grace()
    await yard.store.put_bytes(
        yard.store.key_of(told.cram.uri), b"x" * told.cram.size, tags=tags_of(kind="cram", stage="align", subject="x")
    )
    with caplog.at_level(logging.ERROR, logger="services.archive.alerts"):
        await yard.work()
    assert {record.alert for record in caplog.records if hasattr(record, "alert")} == {"refused"}
    for fastq in (told.r1, told.r2):
        assert await yard.store.head(fastq.uri, version=fastq.version) is not None
        row = await yard.copy(fastq)
        assert row["state"] == "stored"
        assert "another checksum" in row["last_act"]
    await yard.sweep()
    assert any("not again before" in why for why in await yard.why_not(told.r1)), "no loop over a refusal"
    assert await yard.told("artifact.purged") == []


async def test_facts_in_any_order_give_the_same_plan(yard: Yard) -> None:
    """Fault 43: cross-topic order is nobody's; the ledger that comes of it is one."""
    told = await journey(yard)
    seen = set()
    tables = "artifact, lane, cram, gvcf, cohort_freeze, manifest, manifest_part, member, planned, told, task, attempt"
    for order in itertools.islice(itertools.permutations(told.facts), 0, 120, 19):
        async with yard.ledger.connection() as conn:
            await conn.execute(f"truncate {tables}, inbox, outbox")
        for fact in order:
            await yard.hear(fact)
            await yard.sweep()
            await yard.work_only("enrol:")
            early = await yard.told("artifact.condemned")
            assert told.r1.id not in {event["artifact"] for event in early}, "unverified FASTQs never go"
        await yard.sweep()
        plan = await yard.rows("select artifact, policy, state, why_not from status_plan order by 1, 2, 3")
        copies = await yard.rows("select id, uri, stage, subject, rank, state, action from artifact order by 1, 2")
        seen.add(repr((plan, copies)))
    assert len(seen) == 1


async def test_nothing_moves_while_an_open_freeze_needs_the_sample(with_policies: Change) -> None:
    yard = with_policies(MOVE_CRAM.replace('"cram.ready"', '"cram.ready"\nguards = ["not-referenced-by-open-freeze"]'))
    told = await journey(yard)
    run, cram, gvcf, freeze, panel = told.facts
    await yard.hear(run, cram, gvcf, freeze)
    await yard.sweep()
    assert await yard.why_not(told.cram) == ["freeze c:1 is open and its manifest is not read yet"]
    await yard.work()
    await yard.sweep()
    assert await yard.why_not(told.cram) == ["the open freeze c:1 needs its sample"]
    await yard.hear(panel)
    assert await yard.sweep() == 1


async def test_a_guard_that_fails_in_the_grace_period_spares(with_policies: Change) -> None:
    """Condemned, then a second freeze takes the sample in: the act asks again and leaves it."""
    yard = with_policies(MOVE_CRAM.replace('"cram.ready"', '"cram.ready"\nguards = ["not-referenced-by-open-freeze"]'))
    told = await journey(yard)
    run, cram, gvcf, freeze, _ = told.facts
    await yard.hear(run, cram, gvcf)
    assert await yard.sweep() == 1
    await yard.hear(freeze)
    await yard.pass_grace()
    await yard.work()
    row = await yard.copy(told.cram)
    assert (row["state"], row["tier"]) == ("stored", "STANDARD")
    assert "open freeze c:1" in row["last_act"]


async def test_a_cancelled_act_leaves_nothing_condemned(with_policies: Change) -> None:
    yard = with_policies(MOVE_CRAM)
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.sweep()
    async with yard.ledger.transaction() as tx:
        await queue.cancel(tx, told.cram.id, reason="a person says so")
    await yard.sweep()
    assert [event["count"] for event in await yard.told("artifact.condemned")] == [1, 2]


async def test_the_built_in_policies_keep_small_and_young_objects(yard: Yard) -> None:
    settings = yard.settings.model_copy(
        update={"archive": yard.settings.archive.model_copy(update={"policies": BUILT_IN})}
    )
    yard = Yard(ledger=yard.ledger, service=yard.service, settings=settings, store=yard.store, folder=yard.folder)
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work_only("enrol:")
    assert await yard.sweep() == 0
    why = " ".join(await yard.why_not(told.r1))
    assert "due " in why
    assert "below 131072 it would cost more" in why
    plan = await yard.rows("select note from status_plan where artifact = $1", told.r1.id)
    assert plan == [{"note": "then billed there for at least 90 days"}]


async def test_lane_bams_that_no_event_names_are_found_and_purged(yard: Yard) -> None:
    told = await journey(yard)
    key = "working/align/align-x/1-1/lanes/a.bam"
    bam = await yard.put(ArtifactKind.lane_bam, key, b"bam", subject=told.facts[1].subject)
    await yard.hear(told.facts[0])
    inventory = Inventory(ledger=yard.ledger, store=yard.store, rules=yard.rules)
    await inventory.run()
    await yard.sweep()
    assert "cram.ready has not happened to it" in await yard.why_not(bam)
    await yard.pass_time(timedelta(seconds=5))
    await yard.hear(told.facts[1])
    assert await yard.sweep() >= 1
    await yard.pass_grace()
    await yard.work()
    [event] = await yard.told("artifact.purged")
    assert event["artifact"] == bam.id
    assert await yard.store.head(bam.uri) is None
