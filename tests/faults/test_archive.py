"""Faults of the archive: what is needed is cold, what is condemned is read, what replaces it is not what it was, and
workers that come back from the dead. Real Postgres, an S3 server that models Glacier behind a shim that answers as S3
does where that server does not, and workers whose children are processes."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from chassis.ledger.ledger import Ledger
from chassis.storage.store import tags_of
from contracts.events import ArtifactRestored, ArtifactRestoreRequested
from contracts.values import Artifact
from deploy.embedded.stack import Endpoints
from services.archive import alerts
from tests.chassis.storage.shim import Fault
from tests.conftest import until
from tests.faults.cold import BUILDER, Cold, Request, cold_archive
from tests.faults.i4 import nothing_lost
from tests.services.archive.yard import Journey, hold, hold_released, real_journey
from tests.support.consuming import relaying

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
Archive = Callable[[str], AbstractAsyncContextManager[Cold]]


@pytest.fixture
def archive(
    endpoints: Endpoints, database: str, tmp_path: Path, ledger_for: Callable[..., Awaitable[Ledger]]
) -> Archive:
    opened = partial(cold_archive, endpoints=endpoints, database=database, folder=tmp_path, ledger_for=ledger_for)
    return lambda policies: opened(policies=policies)


@pytest.fixture
async def purging(archive: Archive) -> AsyncIterator[Cold]:
    async with archive(PURGE_FASTQ) as cold:
        yield cold


async def in_glacier(cold: Cold, artifact: Artifact) -> None:
    """As the archive would have left it, had it moved it long ago."""
    moved = await cold.yard.store.set_tier(artifact.uri, "GLACIER", version=artifact.version)
    async with cold.ledger.connection() as conn:
        await conn.execute(
            "update artifact set tier = 'GLACIER', version = $2 where id = $1", artifact.id, moved.version
        )


async def verified(cold: Cold, told: Journey) -> None:
    """The FASTQs' and the CRAM's fingerprints agree, and both FASTQs are condemned."""
    await cold.yard.hear(*told.facts)
    await cold.yard.sweep()
    await cold.until_task("verify:", "done")
    assert await cold.yard.sweep() == 2
    assert {(await cold.yard.copy(fastq))["state"] for fastq in (told.r1, told.r2)} == {"condemned"}


async def test_fault_34_a_restore_that_expires_in_the_middle_of_a_read_is_asked_for_again(
    purging: Cold, tmp_path: Path
) -> None:
    """Given a comparison that reads a restored CRAM; when the connection is cut and the restored copy is gone before
    the read goes on at the byte reached; then a restore is asked for again, the task waits for it without a lease, and
    goes on without reading again what it had finished."""
    told = await real_journey(purging.yard, tmp_path)
    await purging.yard.hear(*told.facts)
    await in_glacier(purging, told.cram)
    await purging.yard.store.request_restore(told.cram.uri, days=1)
    expired = False

    def strike(request: Request) -> Fault | None:
        nonlocal expired
        if not request.key.endswith("/s.cram"):
            return None
        if request.method == "POST" and "restore" in request.query:
            expired = False
        elif expired:
            return Fault.expired
        elif request.method == "GET" and not request.ranged and len(read_whole()) == 1:
            expired = True
            return Fault.cut
        return None

    def read_whole() -> list[Request]:
        return [one for one in purging.between.asked(told.cram, "GET") if not one.ranged]

    purging.between.strike = strike
    await until(lambda: _readable(purging, told.cram))
    await purging.yard.sweep()
    async with purging.working():
        parked = await purging.until_task("verify:", "waiting")
        assert (parked["waits_for"], parked["lease_until"]) == (f"restore:{told.cram.id}", None)
        ranged = [one.ranged for one in purging.between.asked(told.cram, "GET")]
        assert ranged == [False, True], "the read went on at the byte reached, and was refused there"

        [asked] = await purging.hear_own(ArtifactRestoreRequested)
        assert asked.artifact == told.cram.id
        await purging.until_task("restore:", "done")
        assert len(purging.between.asked(told.cram, "POST", "restore")) == 1
        await purging.hear_own(ArtifactRestored)
        await purging.until_task("verify:", "done")

    for file in (told.r1, told.r2):
        assert len(purging.between.asked(file, "GET")) == 1, "a finished chunk is not done again"
    endings = await purging.yard.rows("select ending from attempt where task_key = $1 order by epoch", parked["key"])
    assert [row["ending"] for row in endings] == ["waiting", "done"]
    [sample] = await purging.yard.rows("select state from status_subject where kind = 'sample'")
    assert sample["state"] == "reads verified in its CRAM"
    assert (await nothing_lost(purging.ledger, purging.yard.store)).kept > 3


async def test_fault_35_a_restore_that_takes_two_days_holds_no_lease(purging: Cold, tmp_path: Path) -> None:
    """By the ledger's clock. Neither who reads nor who asks the store holds a lease meanwhile, or spends a budget; the
    status says when it is to be expected."""
    told = await real_journey(purging.yard, tmp_path)
    await purging.yard.hear(*told.facts)
    await in_glacier(purging, told.cram)
    days_pass = True

    def strike(request: Request) -> Fault | None:
        asked = purging.between.asked(told.cram, "POST", "restore")
        return Fault.pending if days_pass and asked and request.key.endswith("/s.cram") else None

    purging.between.strike = strike
    await purging.yard.sweep()
    async with purging.working():
        reader = await purging.until_task("verify:", "waiting")
        assert reader["reason"].startswith("WAITING_RESTORE: cram ")
        expected = reader["started_at"] + timedelta(hours=5)
        assert f"to be expected by {expected:%Y-%m-%d %H:%M} UTC" in reader["reason"]
        await purging.hear_own(ArtifactRestoreRequested)
        asks = await purging.until_task("restore:", "waiting")
        assert asks["reason"].startswith("WAITING_RESTORE: to be expected by ")
        [status] = await purging.yard.rows(
            "select state, waits_for from status_subject where subject = $1", told.cram.id
        )
        assert status["state"] == "restoring"
        assert "to be expected by 20" in status["waits_for"]

        for looks in range(2, 6):
            await purging.pass_time(timedelta(hours=12))
            await purging.until_task("restore:", "waiting", epoch=looks)
            leased = await purging.yard.rows("select key from task where state = 'leased' or lease_until is not null")
            assert leased == []
        assert await purging.yard.told("artifact.restored") == []
        assert (await purging.task("verify:"))["epoch"] == 1, "who waits does not look for itself"
        assert len(purging.between.asked(told.cram, "POST", "restore")) == 1, "the store was asked once"

        days_pass = False
        await until(lambda: _restored(purging))
        await purging.hear_own(ArtifactRestored)
        await purging.until_task("verify:", "done")
    for prefix in ("verify:", "restore:"):
        task = await purging.task(prefix)
        assert (task["crashes"], task["retries"], task["losses"], task["preemptions"]) == (0, 0, 0, 0)
    await nothing_lost(purging.ledger, purging.yard.store)


@pytest.mark.usefixtures("topics")
async def test_fault_36_a_purge_that_races_a_reader_spares_what_is_held_and_names_its_version(
    purging: Cold, tmp_path: Path, endpoints: Endpoints
) -> None:
    """Both FASTQs of a lane are condemned. A reader holds one of them within the grace period; the other comes again
    under its own name, as another version, before the act."""
    yard = purging.yard
    told = await real_journey(yard, tmp_path)
    async with purging.working():
        await verified(purging, told)
        assert await yard.told("artifact.purged") == [], "condemned first"

        await yard.hear(hold(told.r1))
        again = await yard.store.put_bytes(
            yard.store.key_of(told.r2.uri), b"came again", tags=tags_of(kind="fastq", stage="ingest", subject="x")
        )
        await yard.pass_grace()
        await purging.until_task(f"act:{told.r2.id}", "done")
        await purging.worked_off()

        [gone] = await yard.told("artifact.purged")
        assert (gone["artifact"], gone["version"]) == (told.r2.id, told.r2.version)
        assert await yard.store.head(told.r2.uri, version=told.r2.version) is None
        newest = await yard.store.head(told.r2.uri)
        assert newest is not None
        assert newest.version == again.version, "the version named is the one deleted, not what lies there now"
        assert (await yard.copy(told.r1))["state"] == "stored"
        await yard.sweep()
        assert await yard.why_not(told.r1) == ["held by tester: looking at it"]
        assert (await nothing_lost(purging.ledger, yard.store)).spared_by_hold == 1

        await yard.hear(hold_released(told.r1))
        assert await yard.sweep() == 1
        await yard.pass_grace()
        await purging.until_task(f"act:{told.r1.id}:2", "done")
    async with relaying(purging.ledger, endpoints.kafka_bootstrap):
        await until(lambda: _drained(purging.ledger))
    seen = await nothing_lost(purging.ledger, yard.store, endpoints.kafka_bootstrap)
    assert (seen.purged, seen.spared_by_hold) == (2, 0)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, dict[str, int]]]:
    """Metric -> label -> count, of the archive's alerts."""
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("test")
    monkeypatch.setattr(alerts, "meter", lambda: meter)
    return lambda: _points(reader)


async def test_fault_37_a_cram_that_is_not_what_was_verified_refuses_the_purge_with_an_alert(
    purging: Cold, tmp_path: Path, counted: Callable[[], Any]
) -> None:
    """Verified once, then replaced in the archive by other bytes of the same length: seen at the last moment."""
    yard = purging.yard
    told = await real_journey(yard, tmp_path)
    async with purging.working():
        await verified(purging, told)
        other = b"x" * told.cram.size
        tags = tags_of(kind="cram", stage="align", subject="x")
        await yard.store.put_bytes(yard.store.key_of(told.cram.uri), other, tags=tags)
        await yard.pass_grace()
        await purging.until_task(f"act:{told.r1.id}", "done")
        await purging.until_task(f"act:{told.r2.id}", "done")
    assert counted() == {alerts.METRIC: {"refused": 2}, alerts.REFUSED: {"REPLACEMENT_CHANGED": 2}}
    assert await yard.told("artifact.purged") == []
    for fastq in (told.r1, told.r2):
        assert await yard.store.head(fastq.uri, version=fastq.version) is not None
        [status] = await yard.rows("select state, waits_for from status_subject where subject = $1", fastq.id)
        assert status["state"] == "stored"
        assert status["waits_for"].startswith("a person: REFUSED")
        assert "another checksum" in status["waits_for"]
    await yard.sweep()
    assert any("not again before" in why for why in await yard.why_not(told.r1)), "no loop over a refusal"
    await nothing_lost(purging.ledger, yard.store)


async def test_fault_37_a_cram_that_lost_reads_refuses_the_purge_with_an_alert(
    purging: Cold, tmp_path: Path, counted: Callable[[], Any]
) -> None:
    """One base's quality differs: nothing is ever condemned."""
    yard = purging.yard
    told = await real_journey(yard, tmp_path, other_reads=True)
    await yard.hear(*told.facts)
    await yard.sweep()
    async with purging.working():
        await purging.until_task("verify:", "done")
        assert await yard.sweep() == 0
        await yard.pass_grace()
        await purging.worked_off()
    assert counted() == {alerts.METRIC: {"fingerprint-differs": 1}, alerts.REFUSED: {"FINGERPRINT_DIFFERS": 1}}
    assert await yard.told("artifact.condemned") == []
    assert await yard.why_not(told.r1) == ["REFUSED: the CRAM's fingerprint differs from the FASTQs'"]
    [status] = await yard.rows("select state, waits_for from status_subject where kind = 'sample'")
    assert status["state"] == "FINGERPRINT DIFFERS"
    assert status["waits_for"].startswith("a person: its FASTQs stay")
    await nothing_lost(purging.ledger, yard.store)


async def test_fault_42_zombies_delete_and_move_nothing_that_is_kept(archive: Archive, tmp_path: Path) -> None:
    """Given a worker whose two children are past their fence, one about to purge a FASTQ and one about to move a CRAM,
    and then stand still with it; when their leases are lost, another worker purges the FASTQ, the same name is written
    again, and the CRAM is held; then what they do on waking names versions that are gone, and their ends are thrown
    away."""
    async with archive(PURGE_FASTQ + MOVE_CRAM) as cold:
        yard = cold.yard
        told = await real_journey(yard, tmp_path)
        await yard.hear(*told.facts, hold(told.r2), hold(told.cram))
        assert await yard.sweep() == 0
        async with cold.working():
            await cold.until_task("verify:", "done")
        await yard.hear(hold_released(told.cram))
        assert await yard.sweep() == 2

        struck = await cold.site.start("work", BUILDER, fault="archive.before-act=SIGSTOP", slots=2)
        points = tmp_path / "faults-0"
        (points / "before-act").write_text("SIGSTOP", encoding="ascii")
        await yard.pass_grace()
        await until(lambda: _standing_still(points, count=2))
        struck.signal(signal.SIGSTOP)
        assert (
            await yard.rows("select 1 from task where state = 'leased' and checkpoint ? 'begun'")
            == [{"?column?": 1}] * 2
        )

        await cold.pass_time(timedelta(seconds=cold.site.lease_seconds + 1))
        await yard.hear(hold(told.cram))
        async with cold.working(host="another"):
            await cold.until_task(f"act:{told.r1.id}", "done")
            await cold.until_task(f"act:{told.cram.id}", "done")
        again = await yard.store.put_bytes(
            yard.store.key_of(told.r1.uri), b"came again", tags=tags_of(kind="fastq", stage="ingest", subject="x")
        )
        kept = await yard.store.head(told.cram.uri)
        assert kept is not None

        cold.between.requests.clear()
        for child in _children(points):
            os.kill(child, signal.SIGCONT)
        await until(lambda: _looked(cold, told.r1, told.cram))
        struck.signal(signal.SIGCONT)
        await until(lambda: _thrown_away(struck.log, count=2))

        newest = await yard.store.head(told.r1.uri)
        assert newest is not None
        assert newest.version == again.version != told.r1.version
        head = await yard.store.head(told.cram.uri)
        assert head is not None
        assert (head.version, head.storage_class) == (kept.version, "STANDARD")
        assert kept.version != told.cram.version, "held after an act had begun: kept as another version"
        assert [event["artifact"] for event in await yard.told("artifact.purged")] == [told.r1.id]
        assert (await yard.copy(told.cram))["state"] == "stored"
        for act in (told.r1, told.cram):
            rows = await yard.rows(
                "select epoch, ending from attempt where starts_with(task_key, $1) order by epoch", f"act:{act.id}"
            )
            assert [(row["epoch"], row["ending"]) for row in rows] == [(1, "loss"), (2, "done")]
        seen = await nothing_lost(cold.ledger, yard.store)
        assert (seen.purged, seen.spared_by_hold) == (1, 1)


async def _readable(cold: Cold, artifact: Artifact) -> bool:
    head = await cold.yard.store.head(artifact.uri)
    return head is not None and head.readable()


async def _restored(cold: Cold) -> bool:
    """The archive looks again only when the time for it has come."""
    await cold.pass_time(timedelta(minutes=15))
    return bool(await cold.yard.told("artifact.restored"))


async def _drained(ledger: Ledger) -> bool:
    async with ledger.connection() as conn:
        return not await conn.fetchval("select count(*) from outbox")


def _points(reader: InMemoryMetricReader) -> dict[str, dict[str, int]]:
    metrics = reader.get_metrics_data()
    found: dict[str, dict[str, int]] = {}
    for resource in metrics.resource_metrics if metrics is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = found.setdefault(metric.name, {})
                for point in metric.data.data_points:
                    [label] = point.attributes.values()
                    points[str(label)] = points.get(str(label), 0) + point.value
    return found


def _children(points: Path) -> list[int]:
    return [int(path.name.rpartition("-")[2]) for path in points.glob("struck-*")]


async def _standing_still(points: Path, *, count: int) -> bool:
    states = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in _children(points)]
    return states == ["T"] * count


async def _looked(cold: Cold, *artifacts: Artifact) -> bool:
    """What each zombie asks last, since the answer is that its version is gone."""
    return all(cold.between.asked(artifact, "HEAD") for artifact in artifacts)


async def _thrown_away(log: Path, *, count: int) -> bool:
    return log.read_text(encoding="utf-8").count("lease lost; the result is thrown away") == count
