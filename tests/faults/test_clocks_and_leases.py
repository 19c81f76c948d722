"""Faults of time: leases that lapse, heartbeats that stop, hosts that starve, clocks that are wrong."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.ledger.ledger import Ledger
from chassis.storage import open_store
from chassis.storage.store import Store
from chassis.telemetry.spans import read_spans
from chassis.worker.sweeper import sweep_orphans
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import done, none_of, pids_in, renewed_beyond, written
from tests.support import tiny
from tests.support.proxy import proxy_of
from tests.support.site import Site, sample_key, task_row
from tests.support.working import enqueue, worker_of

HOUR = 3600.0


async def test_fault_07_what_a_zombie_writes_late_is_never_referenced(
    site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    """Worker and child stand still; the child wakes when another has finished the task."""
    site.lease_seconds = 2.0
    pids = tmp_path / "pids"
    task = tiny.steps_task(sample_key(), chunks=1, gates=str(gates), pids=str(pids))
    await enqueue(ledger, task)
    zombie = await site.start("work", tiny.BUILDER)
    await until(lambda: written(pids))
    child = pids_in(pids)[0]

    os.kill(child, signal.SIGSTOP)
    zombie.signal(signal.SIGSTOP)
    (gates / "chunk-0").touch()
    async with worker_of(site, ledger, host="another"):
        await until(lambda: done(ledger, task.key))
    os.kill(child, signal.SIGCONT)

    async with open_store(site.settings.store) as store:
        await until(lambda: _writes(store, "1-1"))
        await settled(task.key)
        named = list((await task_row(ledger, task.key))["result"]["uris"].values())
        assert [_attempt(uri) for uri in named] == ["1-2"]
        removed = await sweep_orphans(ledger, store, older_than=timedelta(seconds=-5))
        assert [_attempt(key) for key in removed] == ["1-1"]
        assert [facts.uri async for facts in store.list("working")] == named


@pytest.mark.parametrize("how", ["cut", "silence"])
async def test_fault_08_a_worker_that_cannot_renew_ends_its_work_before_the_lease_ends(
    how: str, site: Site, ledger: Ledger, database: str, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    site.lease_seconds = 3.0
    pids = tmp_path / "pids"
    task = tiny.steps_task(sample_key(), chunks=1, gates=str(gates), pids=str(pids))
    await enqueue(ledger, task)
    async with proxy_of(database) as (proxy, dsn):
        worker = await site.beside("far", ledger_dsn=dsn).start("work", tiny.BUILDER)
        await until(lambda: written(pids))

        match how:
            case "cut":
                proxy.cut()
            case _:
                proxy.silence()

        await until(lambda: none_of(pids_in(pids)))
        async with ledger.connection() as conn:
            assert await conn.fetchval("select lease_until > ledger_now() from task where key = $1", task.key)
        proxy.mend()
        (gates / "chunk-0").touch()
        await settled(task.key)
        await worker.stop()
    row = await task_row(ledger, task.key)
    assert (row["epoch"], row["losses"], row["crashes"]) == (2, 1, 0)


@pytest.mark.parametrize("work", ["holds its interpreter", "stands still", "starves the host"])
async def test_fault_09_the_heartbeat_does_not_depend_on_the_work(
    work: str, site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    site.lease_seconds = 2.0
    pids = tmp_path / "pids"
    more = {"holds its interpreter": {"hold_gil": 3.0}, "starves the host": {"burners": 6}}.get(work, {})
    task = tiny.steps_task(sample_key(), chunks=1, gates=str(gates), pids=str(pids), **more)
    await enqueue(ledger, task)
    await site.start("work", tiny.BUILDER)
    await until(lambda: written(pids))
    if work == "stands still":
        os.kill(pids_in(pids)[0], signal.SIGSTOP)

    await until(lambda: renewed_beyond(ledger, task.key, timedelta(seconds=site.lease_seconds)))

    os.kill(pids_in(pids)[0], signal.SIGCONT)
    (gates / "chunk-0").touch()
    await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["epoch"], row["losses"], row["crashes"]) == (1, 0, 0)


async def test_fault_14_only_the_databases_clock_counts(
    site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    """Two hosts, one an hour early and one an hour late, hold a task each, renew it, and sweep beside each other."""
    site.lease_seconds = 2.0
    pids = [tmp_path / "pids-0", tmp_path / "pids-1"]
    tasks = [tiny.steps_task(sample_key(), chunks=1, gates=str(gates), pids=str(file)) for file in pids]
    await enqueue(ledger, *tasks)
    early, late = site.beside("early"), site.beside("late")
    await early.start("work", tiny.BUILDER, clock=-HOUR)
    await late.start("work", tiny.BUILDER, clock=HOUR)
    for file in pids:
        await until(lambda file=file: written(file))

    for task in tasks:
        await until(lambda task=task: renewed_beyond(ledger, task.key, timedelta(seconds=site.lease_seconds)))

    (gates / "chunk-0").touch()
    await settled(*(task.key for task in tasks))
    for task in tasks:
        row = await task_row(ledger, task.key)
        assert (row["epoch"], row["losses"], row["crashes"]) == (1, 0, 0)
        assert abs(row["started_at"].timestamp() - time.time()) < 600
    await site.stop()
    for host, off in ((early, -HOUR), (late, HOUR)):
        starts = [span.start / 1e9 for span in read_spans(host.folder)]
        assert starts and all(abs(start - time.time() - off) < 600 for start in starts), "its clock was wrong"


async def _writes(store: Store, attempt: str) -> bool:
    return attempt in [_attempt(facts.key) async for facts in store.list("working")]


def _attempt(uri_or_key: str) -> str:
    """`<incarnation>-<epoch>` of an output."""
    return uri_or_key.split("/")[-2]
