"""The archive where objects go cold as copies: folders, the demo's policies, and the real ledger."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.errors import Rejected
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.outcomes import Retry
from chassis.settings import ArchiveSettings, ColdSettings, LedgerSettings, Settings, StoreSettings, WorkerSettings
from chassis.storage import open_store
from chassis.storage.store import Archived, Store, tags_of
from contracts.events import SampleWithdrawalRequested
from contracts.values import Artifact, ArtifactKind
from services.archive.inventory import Inventory, mend
from services.archive.main import build
from services.archive.policies import DEMO
from services.archive.tiers.choice import decide_tiering
from tests.faults.i4 import nothing_lost
from tests.services.archive.yard import Yard, hold, journey, open_yard, real_journey, restore_requested, sample
from tests.support import events

pytestmark = pytest.mark.stack

MOVE_CRAM = '[[policy]]\nname = "move"\nkind = "cram"\nevent = "cram.ready"\nstorage_class = "DEEP_ARCHIVE"\n'


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    (tmp_path / "cold").mkdir()
    return Settings(
        state_dir=tmp_path / "state",
        ledger=LedgerSettings(dsn=SecretStr(database)),
        store=StoreSettings(base=f"file://{tmp_path}/hot"),
        cold=ColdSettings(base=f"file://{tmp_path}/cold"),
        worker=WorkerSettings(lease_seconds=30),
        archive=ArchiveSettings(policies=DEMO, grace_seconds=0),
    )


@pytest.fixture
async def cold(settings: Settings) -> AsyncIterator[Store]:
    wanted = settings.cold.store()
    assert wanted is not None
    async with open_store(wanted) as opened:
        yield opened


@pytest.fixture
async def yard(settings: Settings, ledger_for: Callable[..., Awaitable[Ledger]], tmp_path: Path) -> AsyncIterator[Yard]:
    ledger = await ledger_for("archive", versions=build(settings).migrations)
    async with (
        open_store(settings.store) as store,
        open_yard(ledger, settings, store, tmp_path, build) as opened,
    ):
        yield opened


@pytest.fixture
def moving(yard: Yard, tmp_path: Path) -> Yard:
    """The same yard under a policy that moves CRAMs."""
    path = tmp_path / "policies.toml"
    path.write_text(MOVE_CRAM, encoding="utf-8")
    archive = yard.settings.archive.model_copy(update={"policies": path})
    settings = yard.settings.model_copy(update={"archive": archive})
    return replace(yard, settings=settings, service=build(settings))


async def moved(yard: Yard) -> Artifact:
    """A CRAM in the cold place."""
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work()
    assert await yard.sweep() == 1
    await yard.pass_grace()
    await yard.work()
    assert (await yard.copy(told.cram))["tier"] == "COLD"
    return told.cram


async def copies(cold: Store) -> list[str]:
    return [facts.uri async for facts in cold.list("archive") if not facts.key.endswith("cold-place.json")]


async def test_the_demos_policies_move_fastqs_to_the_cold_place(yard: Yard, cold: Store, tmp_path: Path) -> None:
    """Verified by real fingerprints, announced, copied, told; what should be read at once stays, as the plan says."""
    told = await real_journey(yard, tmp_path)
    await yard.hear(*told.facts)
    await yard.work()
    await yard.sweep()
    await yard.work()
    await yard.sweep()
    await yard.pass_grace()
    await yard.work()
    tiered = {event["artifact"]: event for event in await yard.told("artifact.tiered")}
    assert {artifact: event["tier"] for artifact, event in tiered.items()} == {told.r1.id: "COLD", told.r2.id: "COLD"}
    assert {event["lies_at"] for event in tiered.values()} == set(await copies(cold))
    assert tiered[told.r1.id]["uri"] == told.r1.uri
    storage = {(row["kind"], row["tier"]): row for row in await yard.rows("select * from status_storage")}
    assert storage["fastq", "COLD"]["objects"] == 2
    assert storage["fastq", "COLD"]["monthly"] > 0
    assert await yard.why_not(told.cram) == ["GLACIER_IR is read at once, and the cold place is not: it stays"]
    [said] = await yard.rows("select backend, said from status_tiering")
    assert said["backend"] == "copy"
    assert str(cold.base) in said["said"]
    assert (await nothing_lost(yard.ledger, yard.store)).tiered == 2


async def test_a_reader_parks_and_finds_it_under_its_name_and_it_is_taken_away_again(moving: Yard, cold: Store) -> None:
    cram = await moved(moving)
    with pytest.raises(Archived):
        await moving.store.get_bytes(cram.uri, limit=10)
    await moving.hear(*(restore_requested(cram, days=days) for days in (1, 2)))
    await moving.work()
    [event] = await moving.told("artifact.restored")
    assert (event["uri"], event["artifact"]) == (cram.uri, cram.id)
    assert await moving.store.get_bytes(cram.uri, limit=10, sha256=cram.id) == b"cram"
    assert (await moving.copy(cram))["tier"] == "COLD"

    assert await moving.sweep() == 0
    assert any("someone asked to read it" in why for why in await moving.why_not(cram))
    await moving.pass_time(timedelta(days=2, seconds=5))
    await moving.hear(hold(cram))
    assert await moving.sweep() == 0, "who holds it keeps it readable"
    async with moving.ledger.connection() as conn:
        await conn.execute("update hold set released_at = (select ledger_now())")
    assert await moving.sweep() == 1
    await moving.pass_grace()
    await moving.work()
    with pytest.raises(Archived):
        await moving.store.get_bytes(cram.uri, limit=10)
    assert [event["policy"] for event in await moving.told("artifact.tiered")] == ["move", "restored-copy"]
    assert len(await copies(cold)) == 1
    assert await moving.sweep() == 0
    await nothing_lost(moving.ledger, moving.store)


async def test_a_withdrawal_purges_the_cold_copy_too_and_what_was_copied_in_vain(moving: Yard, cold: Store) -> None:
    cram = await moved(moving)
    left = f"archive/{cram.id[:2]}/{cram.id}/9-1-1"
    await cold.put_bytes(left, b"cram", tags=tags_of(kind="cram", stage="align", subject=sample().key))
    inventory = Inventory(ledger=moving.ledger, store=moving.store, rules=moving.rules, cold=cold)
    await inventory.run()
    shown = await moving.rows("select what, tier from status_inventory where tier = 'COLD'")
    assert shown == [{"what": "cold copy that no fact names", "tier": "COLD"}]
    await moving.hear(
        SampleWithdrawalRequested(
            request_id=uuid.uuid4(), sample=sample().key, deadline=date(2099, 1, 1), actor=events.PERSON, reason="x"
        )
    )
    await inventory.run()
    await moving.sweep()
    await moving.pass_grace()
    await moving.work()
    assert await copies(cold) == []
    assert await moving.store.head(cram.uri) is None
    purged = {event["uri"] for event in await moving.told("artifact.purged")}
    assert {cram.uri, cold.uri(left)} <= purged


async def test_a_hold_in_the_grace_period_leaves_it_and_no_copy(yard: Yard, cold: Store, tmp_path: Path) -> None:
    told = await real_journey(yard, tmp_path)
    await yard.hear(*told.facts)
    await yard.work()
    await yard.sweep()
    await yard.work()
    assert await yard.sweep() == 2
    await yard.hear(hold(told.r1))
    await yard.pass_grace()
    await yard.work()
    assert (await yard.copy(told.r1))["tier"] == "STANDARD"
    assert len(await copies(cold)) == 1
    await nothing_lost(yard.ledger, yard.store)


async def test_a_cold_copy_that_is_damaged_is_refused_said_and_kept(
    moving: Yard, cold: Store, caplog: pytest.LogCaptureFixture
) -> None:
    cram = await moved(moving)
    [copy] = await copies(cold)
    Path(copy.removeprefix("file://")).write_bytes(b"CRAM")
    await moving.hear(restore_requested(cram))
    await moving.work()
    assert await moving.told("artifact.restored") == []
    assert [record.alert for record in caplog.records if hasattr(record, "alert")] == ["not-restored"]
    [status] = await moving.rows("select waits_for from status_subject where state = 'restore refused'")
    assert status["waits_for"] == "a person: the restore was refused, CONTENT_CHANGED"
    assert await copies(cold) == [copy]
    assert (await moving.copy(cram))["state"] == "stored"


async def test_a_place_that_is_away_is_waited_for(moving: Yard, cold: Store, tmp_path: Path) -> None:
    cram = await moved(moving)
    await moving.hear(restore_requested(cram))
    (tmp_path / "cold").rename(tmp_path / "unmounted")
    lease = await moving.claim()
    assert lease is not None
    outcome = await moving.run(lease)
    assert isinstance(outcome, Retry)
    assert "is it mounted?" in outcome.reason
    async with moving.ledger.connection() as conn:
        tiering = await decide_tiering(moving.settings, moving.store, conn)
    assert tiering.backend == "none"
    assert "cannot be used now" in tiering.said
    (tmp_path / "unmounted").rename(tmp_path / "cold")
    await moving.settle(lease, await moving.run(lease))
    assert len(await moving.told("artifact.restored")) == 1


async def test_two_restorers_at_once_bring_back_one_copy(moving: Yard) -> None:
    """One of them is a zombie: its lease is the other's."""
    cram = await moved(moving)
    await moving.hear(restore_requested(cram))
    zombie = await moving.claim(ttl=timedelta(seconds=1))
    assert zombie is not None
    late = asyncio.ensure_future(moving.run(zombie))
    await moving.pass_time(timedelta(seconds=2))
    async with moving.ledger.transaction() as tx:
        await queue.sweep(tx)
    await moving.work()
    await asyncio.gather(late, return_exceptions=True)
    # who met the other's copy on the way looks again later
    await moving.pass_time(timedelta(hours=1))
    await moving.work()
    assert len(await moving.told("artifact.restored")) == 1
    head = await moving.store.head(cram.uri)
    assert head is not None
    assert head.version == (await moving.copy(cram))["version"]
    await nothing_lost(moving.ledger, moving.store)


async def test_what_a_zombie_deletes_by_name_gets_its_stub_back(moving: Yard, cold: Store) -> None:
    """Held late, copied out of reach; then the name goes all the same."""
    cram = await moved(moving)
    await moving.hear(hold(cram))
    async with moving.ledger.connection() as conn:
        await conn.execute("update hold set late = true")
    await moving.store.delete(cram.uri)
    assert await mend(moving.ledger, moving.store, cold) == 1
    assert await mend(moving.ledger, moving.store, cold) == 0
    with pytest.raises(Archived):
        await moving.store.get_bytes(cram.uri, limit=10)
    await moving.hear(restore_requested(cram))
    await moving.work()
    assert await moving.store.get_bytes(cram.uri, limit=10) == b"cram"


async def test_a_stub_of_what_was_purged_goes(moving: Yard, cold: Store) -> None:
    """A zombie's last deed."""
    cram = await moved(moving)
    [copy] = await copies(cold)
    async with moving.ledger.connection() as conn:
        await conn.execute("update artifact set state = 'purged', cold_uri = null where id = $1", cram.id)
    await Inventory(ledger=moving.ledger, store=moving.store, rules=moving.rules, cold=cold).run()
    assert await moving.store.head(cram.uri) is None
    shown = await moving.rows("select uri, what from status_inventory_object where tier = 'COLD'")
    assert shown == [{"uri": copy, "what": "cold copy that no fact names"}]


async def test_a_ledger_from_a_backup_finds_what_was_moved_since(moving: Yard) -> None:
    """The ledger says that it lies here; the stub says where it lies."""
    cram = await moved(moving)
    async with moving.ledger.connection() as conn:
        await conn.execute(
            "update artifact set tier = 'STANDARD', cold_uri = null, version = $2 where id = $1", cram.id, cram.version
        )
    await moving.hear(restore_requested(cram))
    await moving.work()
    row = await moving.copy(cram)
    assert (row["tier"], row["cold_uri"] is not None) == ("COLD", True)
    assert await moving.store.get_bytes(cram.uri, limit=10) == b"cram"


@pytest.mark.parametrize(
    ("tiering", "cold", "code"),
    [
        ("copy", None, "CONFIG_VALUE"),
        ("auto", "{hot}/cold", "CONFIG_VALUE"),
        ("storage-class", None, "TIERING_UNSUPPORTED"),
    ],
)
async def test_what_cannot_be_is_refused(yard: Yard, tiering: str, cold: str | None, code: str) -> None:
    place = None if cold is None else cold.format(hot=yard.settings.store.base)
    settings = yard.settings.model_copy(
        update={
            "archive": yard.settings.archive.model_copy(update={"tiering": tiering}),
            "cold": ColdSettings(base=place),
        }
    )
    with pytest.raises(Rejected) as refused:
        async with yard.ledger.connection() as conn:
            await decide_tiering(settings, yard.store, conn)
    assert refused.value.rejection.code == code


async def test_none_moves_nothing_and_says_so(yard: Yard) -> None:
    settings = yard.settings.model_copy(
        update={"archive": yard.settings.archive.model_copy(update={"tiering": "none"})}
    )
    async with yard.ledger.connection() as conn:
        assert (await decide_tiering(settings, yard.store, conn)).refuses("COLD") is not None
    told = await journey(yard)
    assert told.cram.kind is ArtifactKind.cram
    await yard.hear(*told.facts)
    await yard.work()
    await yard.sweep()
    assert "archive.tiering is none: nothing is moved" in await yard.why_not(told.cram)
