"""A worker that holds no lease, or cannot know whether it does, has no child at work."""

from __future__ import annotations

from pathlib import Path

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from tests.conftest import until
from tests.support import tiny
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


async def _written(path: Path) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").endswith("\n")


async def _dead(path: Path) -> bool:
    return not any(alive(int(pid)) for pid in path.read_text(encoding="utf-8").split())


async def _done(ledger: Ledger, key: str) -> bool:
    return await state_of(ledger, key) == "done"
