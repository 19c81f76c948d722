"""How an attempt may end, seen through a real worker with real children."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Budgets, NewTask
from chassis.service import build
from chassis.worker.attempt import ChildUnable
from chassis.worker.sweeper import sweep_leases
from tests.conftest import until
from tests.support import tiny
from tests.support.site import Site, sample_key, state_of, task_row
from tests.support.tiny import steps_task
from tests.support.working import enqueue, worker_of

HURRY = "update task set ready_at = ledger_now() where key = $1 and state = 'ready' and ready_at > ledger_now()"
"""No back-off is waited for."""


async def failures(ledger: Ledger) -> list[dict[str, Any]]:
    """Bodies of the sample.failed events in the outbox."""
    async with ledger.connection() as conn:
        rows = await conn.fetch("select body from outbox where topic = 'sample.failed' order by id")
    return [json.loads(row["body"]) for row in rows]


async def test_every_end_is_counted_and_the_worker_goes_on(site: Site, ledger: Ledger) -> None:
    subjects = {end: sample_key() for end in ("reject", "crash", "memory", "retry", "vanish", "nul", "bug-in-commit")}
    tasks = {end: steps_task(subject, chunks=1, end=end) for end, subject in subjects.items()}
    good = steps_task(sample_key(), chunks=2)

    async def run(end: str, condition: str) -> None:
        """Until the task's row fulfils the condition; then nobody takes it again."""
        await enqueue(ledger, tasks[end])

        async def holds() -> bool:
            async with ledger.connection() as conn:
                await conn.execute(HURRY, tasks[end].key)
                return bool(await conn.fetchval(f"select {condition} from task where key = $1", tasks[end].key))

        await until(holds)
        async with ledger.connection() as conn:
            await conn.execute("update task set pool = 'nobody' where key = $1", tasks[end].key)

    async with worker_of(site, ledger):
        await run("reject", "state = 'failed'")
        await run("crash", "state = 'failed'")
        await run("memory", "memory_class = 'large'")
        await run("retry", "retries >= 2")
        await run("vanish", "reason = 'the child ended with status 3'")
        await run("nul", "reason like '%a\ufffdb'")
        await run("bug-in-commit", "reason = 'committing failed: RuntimeError'")
        await enqueue(ledger, good)
        await until(lambda: _is(ledger, good.key, "done"))

    rows = {end: await task_row(ledger, task.key) for end, task in tasks.items()}
    assert rows["reject"]["error"]["code"] == "EMPTY_INPUT"
    assert (rows["reject"]["crashes"], rows["reject"]["epoch"]) == (0, 1)
    assert rows["crash"]["error"]["code"] == "BUDGET_SPENT"
    assert rows["crash"]["epoch"] == 3
    assert rows["memory"]["crashes"] == 2, "small, then medium; large is more than this worker has"
    assert rows["retry"]["crashes"] == 0
    assert rows["vanish"]["crashes"] > 0 and rows["nul"]["crashes"] > 0
    assert rows["bug-in-commit"]["crashes"] > 0 and rows["bug-in-commit"]["result"] is None
    told = {failure["sample"]: failure["rejection"]["code"] for failure in await failures(ledger)}
    assert told == {subjects["reject"]: "EMPTY_INPUT", subjects["crash"]: "BUDGET_SPENT"}
    async with ledger.connection() as conn:
        events = await conn.fetch("select body from outbox where topic = 'sample.withdrawn'")
    assert [json.loads(event["body"])["sample"] for event in events] == [good.subject]


async def test_a_worker_whose_children_cannot_start_releases_and_ends(site: Site, ledger: Ledger) -> None:
    task = steps_task(sample_key())
    await enqueue(ledger, task)
    async with worker_of(site, ledger, builder="tests.support.tiny:build_unable") as (_, running):
        with pytest.raises(ChildUnable):
            await running
    row = await task_row(ledger, task.key)
    assert (row["state"], row["preemptions"], row["crashes"], row["losses"]) == ("ready", 1, 0, 0)


async def test_a_worker_that_runs_until_empty_ends(site: Site, ledger: Ledger) -> None:
    task = steps_task(sample_key(), chunks=1)
    await enqueue(ledger, task)
    async with worker_of(site, ledger, until_empty=True) as (_, running):
        await running
    assert await state_of(ledger, task.key) == "done"


async def test_a_lost_task_of_an_unknown_kind_ends_without_ending_the_sweep(site: Site, ledger: Ledger) -> None:
    service = build(tiny.BUILDER, site.settings)
    await enqueue(ledger, NewTask(key="odd", kind="invented", subject="s"), steps_task(sample_key()))
    async with ledger.connection() as conn:
        await conn.execute(
            "update task set state = 'leased', host = 'h', losses = 49, lease_until = ledger_now() - interval '1 s'"
        )
    assert await sweep_leases(ledger, service) == []
    async with ledger.connection() as conn:
        assert await conn.fetchval("select count(*) from task where state = 'failed' and error is not null") == 2
    assert [failure["rejection"]["code"] for failure in await failures(ledger)] == ["BUDGET_SPENT"]


async def test_a_sweep_asks_the_kind_how_many_hosts_it_may_cost(site: Site, ledger: Ledger) -> None:
    service = build(tiny.BUILDER, site.settings)
    frail = replace(service, kinds=tuple(replace(kind, budgets=Budgets(loss_hosts=1)) for kind in service.kinds))
    task = steps_task(sample_key())
    await enqueue(ledger, task)
    async with ledger.connection() as conn:
        await conn.execute("update task set state = 'leased', host = 'h', lease_until = ledger_now() - interval '1 s'")
    assert await sweep_leases(ledger, frail) == []
    assert await state_of(ledger, task.key) == "failed"


async def _is(ledger: Ledger, key: str, state: str) -> bool:
    return await state_of(ledger, key) == state
