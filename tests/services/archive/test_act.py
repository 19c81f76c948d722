"""Condemn, grace, act: holds, zombies, wrong fingerprints. On real Postgres and an S3 that models Glacier."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chassis.errors import LeaseLost
from chassis.ledger import queue
from chassis.outcomes import Done
from contracts.values import ArtifactKind
from services.archive.inventory import Inventory
from services.archive.policies import BUILT_IN
from tests.services.archive.yard import Yard, hold, journey, real_journey

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


async def test_a_zombie_that_wakes_before_its_fence_does_nothing(with_policies: Change) -> None:
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
