"""A worker that holds no lease, or cannot know whether it does, has no child at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger, open_ledger
from tests.conftest import until
from tests.support import tiny
from tests.support.proxy import proxy_of
from tests.support.site import Site, sample_key, state_of, task_row
from tests.support.working import alive, enqueue, worker_of


async def test_a_cancelled_tasks_child_is_killed(site: Site, ledger: Ledger, tmp_path: Path) -> None:
    site.lease_seconds = 2.0
    pids = tmp_path / "pids"
    task = tiny.steps_task(sample_key(), gates=str(tmp_path), pids=str(pids))
    await enqueue(ledger, task)
    async with worker_of(site, ledger):
        await until(lambda: _written(pids))
        async with ledger.transaction() as tx:
            await queue.cancel(tx, task.subject, reason="asked")
        await until(lambda: _dead(pids))
    row = await task_row(ledger, task.key)
    assert (row["state"], row["crashes"], row["result"]) == ("cancelled", 0, None)
    async with ledger.connection() as conn:
        assert await conn.fetchval("select ending from attempt where task_key = $1", task.key) == "cancelled"


@pytest.mark.parametrize("how", ["cut", "silence"])
async def test_without_its_ledger_a_worker_kills_its_child_before_the_lease_ends(
    how: str, site: Site, ledger: Ledger, database: str, tmp_path: Path
) -> None:
    site.lease_seconds = 3.0
    pids, gates = tmp_path / "pids", tmp_path / "gates"
    gates.mkdir()
    task = tiny.steps_task(sample_key(), chunks=1, gates=str(gates), pids=str(pids))
    await enqueue(ledger, task)
    async with (
        proxy_of(database) as (proxy, dsn),
        open_ledger(dsn=dsn, service=tiny.NAME) as far,
        worker_of(site, far),
    ):
        await until(lambda: _written(pids))
        match how:
            case "cut":
                proxy.cut()
            case _:
                proxy.silence()
        await until(lambda: _dead(pids))
        async with ledger.connection() as conn:
            assert await conn.fetchval("select lease_until > ledger_now() from task where key = $1", task.key)
        proxy.mend()
        (gates / "chunk-0").touch()
        await until(lambda: _done(ledger, task.key))
    row = await task_row(ledger, task.key)
    assert (row["losses"], row["crashes"]) == (1, 0)


@pytest.mark.parametrize("reply_only", [True, False], ids=["acknowledgement lost", "commit lost"])
async def test_a_commit_without_an_answer_is_made_exactly_once(
    reply_only: bool, site: Site, ledger: Ledger, database: str
) -> None:
    """Fault 16. The lease is long, so that no sweep commits in between."""
    site.lease_seconds = 120.0
    task = tiny.steps_task(sample_key(), chunks=1)
    async with proxy_of(database) as (proxy, dsn), open_ledger(dsn=dsn, service=tiny.NAME) as far:
        await enqueue(ledger, task)
        proxy.swallow(b"COMMIT", reply_only=reply_only)
        async with worker_of(site, far):
            await until(lambda: _done(ledger, task.key))
            assert proxy.swallowed.is_set()
    async with ledger.connection() as conn:
        endings = await conn.fetch("select epoch, ending from attempt where task_key = $1", task.key)
        events = await conn.fetchval("select count(*) from outbox")
    assert [(row["epoch"], row["ending"]) for row in endings] == [(1, "done")]
    assert events == 1


async def _written(path: Path) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").endswith("\n")


async def _dead(path: Path) -> bool:
    return not any(alive(int(pid)) for pid in path.read_text(encoding="utf-8").split())


async def _done(ledger: Ledger, key: str) -> bool:
    return await state_of(ledger, key) == "done"
