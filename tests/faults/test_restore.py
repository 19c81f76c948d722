"""Fault 41: the database is lost and put back from a backup, while Kafka, the store and a zombie know newer things."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis.errors import LeaseLost
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.migrate import migrate
from chassis.ledger.tasks import Lease
from chassis.messaging.catchup import catching_up
from chassis.messaging.common import with_common
from chassis.messaging.consumer import group_of
from chassis.outcomes import Done
from chassis.storage import open_store
from chassis.worker.settle import settle
from console.backup.restore import Restored, restore
from console.backup.take import take
from contracts.events import SampleWithdrawn
from tests.conftest import until
from tests.faults import invariants
from tests.support import tiny
from tests.support.consuming import consuming, relaying
from tests.support.messages import cancel, tag
from tests.support.site import Site, records_of, sample_key
from tests.support.working import enqueue, worker_of

pytestmark = pytest.mark.usefixtures("tiny_begins_now")

ATTEMPT = re.compile(r"/working/tiny/[^/]+/(\d+)-(\d+)/")
LOSE = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cohortstream-tiny'"


async def test_fault_41_a_restore_repeats_no_number_and_loses_nothing(
    site: Site, gates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the backup: a sample done, one half done, two waiting, one of no further interest. After it that one is done
    and then cancelled, the half is done, another is asked for and done; and those that waited are in the hands of
    workers that survive the loss of the database. The same backup is restored twice."""
    done, half, waiting, held, stopped, asked = (sample_key() for _ in range(6))
    service = tiny.build(site.settings)
    slow = site.folder / "slow"
    slow.mkdir()
    for folder in (gates, slow):
        (folder / "chunk-0").touch()
    await migrate(dsn=site.database, service=tiny.NAME, versions=tiny.VERSIONS)
    async with life(site) as ledger:
        zombie = await site.start("work", tiny.BUILDER, slots=3)
        await enqueue(ledger, tiny.steps_task(done, chunks=1), tiny.steps_task(half, chunks=2, gates=str(gates)))
        await until(lambda: all_seen(ledger, done))
        await until(lambda: has_chunk(ledger, half))
        zombie.signal(signal.SIGSTOP)  # so that these two wait when the backup is taken
        await enqueue(
            ledger,
            tiny.steps_task(waiting, chunks=2, gates=str(slow)),
            tiny.steps_task(stopped, chunks=2, gates=str(gates)),
            replace(tiny.steps_task(held), pool=BY_HAND),
        )

        await take(site.settings, site.folder / "backup", services={tiny.NAME: service})

        stale = [await claim(ledger)]
        zombie.signal(signal.SIGCONT)
        (gates / "chunk-1").touch()
        await until(lambda: all_seen(ledger, half, stopped))
        await site.publish(tag(asked), cancel(stopped))
        await until(lambda: all_seen(ledger, asked))
        await until(lambda: has_chunk(ledger, waiting))
        zombie.signal(signal.SIGSTOP)
    told = await ids_of(site, half, waiting, stopped, asked)
    assert len(told) == 3

    for number in (2, 3):
        (gates / "chunk-1").unlink()
        made = objects(site)
        restored = await lose_and_restore(site)
        assert restored.incarnation == number
        async with life(site) as ledger, worker_of(site, ledger, slots=2):
            await until(lambda: leased(ledger, waiting))
            if number == 2:
                zombie.signal(signal.SIGCONT)
                (slow / "chunk-1").touch()
            (gates / "chunk-1").touch()
            lease = await claim(ledger)
            for former in stale:
                assert former.epoch == lease.epoch, "the epoch comes again"
                with pytest.raises(LeaseLost):
                    await settle(ledger, service, former, Done(result={}, events=()))
            fact = SampleWithdrawn(sample=held, service=tiny.NAME)
            await settle(ledger, service, lease, Done(result={}, events=(fact,)))
            stale.append(lease)
            await until(lambda: all_seen(ledger, done, half, waiting, held, asked))
            await until(lambda: told_all(ledger))
            (task,) = await fetch(ledger, "select state, epoch from task where subject = $1", stopped)
            assert tuple(task) == ("cancelled", 0), "the cancellation came again, before any work"

            with monkeypatch.context() as patched:
                patched.setattr(invariants, "records_of", told_in_this_life(told))
                counts = await invariants.check(ledger, site.endpoints.kafka_bootstrap)
            assert sorted(counts.results) == sorted(f"steps:{sample}" for sample in (done, half, waiting, held, asked))
            attempts = await fetch(ledger, "select incarnation from attempt where task_key <> $1", f"steps:{done}")
            assert {row["incarnation"] for row in attempts} == {number}, "the zombie wrote nothing"
        if number == 2:
            await zombie.stop()
        after = objects(site)
        assert made.items() <= after.items(), "newer objects stay as they were"
        written = {writer for path in after.keys() - made.keys() if (writer := attempt_in(path)) != ZOMBIE}
        assert {incarnation for incarnation, _ in written} == {number}
        again = await ids_of(site, half, waiting, held, asked) - told
        assert len(again) == 4, "each was told again, under an id of its own"
        told |= again


BY_HAND = "by-hand"
"""A pool of tasks that the test itself works on."""
ZOMBIE = (1, 1)
"""Incarnation and epoch of its lease; what it still writes lies there."""


@asynccontextmanager
async def life(site: Site) -> AsyncIterator[Ledger]:
    """The ledger with consumer and relay, until the disaster: a restore wants nobody connected."""
    kafka = site.settings.kafka
    service = with_common(tiny.build(site.settings))
    async with (
        open_ledger(dsn=site.database, service=tiny.NAME) as ledger,
        consuming(service, ledger, kafka.bootstrap, from_now=False),
        relaying(ledger, kafka.bootstrap),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(catching_up(ledger, kafka, group=group_of(tiny.NAME)))
        yield ledger


async def claim(ledger: Ledger) -> Lease:
    async with ledger.connection() as conn:
        (lease,) = await queue.claim(
            conn, pools=(BY_HAND,), memory_classes=("small",), owner="test", host="test", ttl=timedelta(minutes=5)
        )
    return lease


async def lose_and_restore(site: Site) -> Restored:
    conn = await asyncpg.connect(site.database)
    try:
        await conn.execute(LOSE)
        await conn.execute(f"drop schema {tiny.NAME} cascade")
    finally:
        await conn.close()
    settings = site.settings
    async with open_store(settings.store) as store:
        return await restore(settings, site.folder / "backup", services={tiny.NAME: tiny.build(settings)}, store=store)


async def fetch(ledger: Ledger, query: str, *arguments: object) -> list[Any]:
    async with ledger.connection() as conn:
        return list(await conn.fetch(query, *arguments))


async def all_seen(ledger: Ledger, *samples: str) -> bool:
    return {row["sample"] for row in await fetch(ledger, "select sample from seen")} >= set(samples)


async def told_all(ledger: Ledger) -> bool:
    return not await fetch(ledger, "select from outbox")


async def has_chunk(ledger: Ledger, sample: str) -> bool:
    return bool(await fetch(ledger, "select from task where subject = $1 and checkpoint ? 'chunk-0'", sample))


async def leased(ledger: Ledger, sample: str) -> bool:
    return bool(await fetch(ledger, "select from task where subject = $1 and state = 'leased'", sample))


async def ids_of(site: Site, *samples: str) -> set[str]:
    """Ids under which these samples' facts were ever told."""
    topic = SampleWithdrawn.TYPE
    bootstrap = site.endpoints.kafka_bootstrap
    return {record["ce_id"] for sample in samples for record in await records_of(bootstrap, topic, subject=sample)}


def told_in_this_life(before: set[str]) -> Any:
    async def records(bootstrap: str, topic: str, *, subject: str) -> list[dict[str, str]]:
        return [one for one in await records_of(bootstrap, topic, subject=subject) if one["ce_id"] not in before]

    return records


def objects(site: Site) -> dict[str, tuple[int, int]]:
    """Every attempt's objects in the store, with what would show that one was written again."""
    found = (path for path in (site.folder / "store" / "working" / "tiny").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def attempt_in(path: str) -> tuple[int, int]:
    """The incarnation and epoch that wrote it."""
    numbers = ATTEMPT.search(path)
    assert numbers is not None, path
    return int(numbers[1]), int(numbers[2])
