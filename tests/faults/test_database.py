"""Faults of the database: restarted in the middle of a claim, silent at a commit, away for longer than a lease."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

import pytest

from chassis.ledger import outbox
from chassis.ledger.ledger import Ledger, open_ledger
from contracts.events import SampleWithdrawn
from deploy.embedded.stack import EmbeddedStack
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import done, none_of, pids_in
from tests.support import tiny
from tests.support.consuming import relaying
from tests.support.proxy import proxy_of
from tests.support.site import Site, records_of, sample_key, task_row
from tests.support.working import enqueue, worker_of

GATE = 15
SLOW_CLAIM = (
    f"""
    create function at_the_gate() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock({GATE}); return new; end $$
    """,
    """
    create trigger gate before update on task for each row when (new.state = 'leased' and old.state = 'ready')
    execute function at_the_gate()
    """,
)
"""A claim has taken its row and written its epoch, and waits before it can commit, as long as someone has the lock."""
CLAIMING = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"


async def test_fault_15_a_claim_that_a_restart_cuts_off_is_rolled_back_and_made_again(
    site: Site, ledger: Ledger, announced: None, settled: Settled, stack: EmbeddedStack
) -> None:
    task = tiny.steps_task(sample_key(), chunks=1)
    async with ledger.connection() as conn:
        for statement in SLOW_CLAIM:
            await conn.execute(statement)
    gatekeeper = await ledger.dedicated()
    await gatekeeper.execute(f"select pg_advisory_lock({GATE})")
    await enqueue(ledger, task)
    await site.start("work", tiny.BUILDER)
    await until(lambda: _claiming(ledger))

    await asyncio.to_thread(stack.postgres.kill)
    await asyncio.to_thread(stack.postgres.start)

    await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["epoch"], row["losses"], row["crashes"]) == (1, 0, 0), "no epoch was spent on it"


@pytest.mark.parametrize("reply_only", [True, False], ids=["acknowledgement lost", "commit lost"])
async def test_fault_16_a_commit_without_an_answer_is_made_exactly_once(
    reply_only: bool, site: Site, ledger: Ledger, database: str, announced: None, settled: Settled
) -> None:
    """The lease is long, so that no sweep commits in between."""
    site.lease_seconds = 120.0
    task = tiny.steps_task(sample_key(), chunks=1)
    async with proxy_of(database) as (proxy, dsn), open_ledger(dsn=dsn, service=tiny.NAME) as far:
        await enqueue(ledger, task)
        proxy.swallow(b"COMMIT", reply_only=reply_only)
        async with worker_of(site, far):
            await until(lambda: done(ledger, task.key))
            assert proxy.swallowed.is_set()
    counts = await settled(task.key)
    async with ledger.connection() as conn:
        endings = await conn.fetch("select epoch, ending from attempt where task_key = $1", task.key)
    assert [(row["epoch"], row["ending"]) for row in endings] == [(1, "done")]
    assert counts.published == {task.subject: 1}


async def test_fault_17_work_is_fenced_while_the_database_is_away_for_longer_than_the_lease(
    site: Site,
    ledger: Ledger,
    announced: None,
    settled: Settled,
    stack: EmbeddedStack,
    gates: Path,
    tmp_path: Path,
) -> None:
    site.lease_seconds = 2.0
    pids = tmp_path / "pids"
    task = tiny.steps_task(sample_key(), chunks=2, gates=str(gates), pids=str(pids))
    await enqueue(ledger, task)
    (gates / "chunk-0").touch()
    await site.start("work", tiny.BUILDER)
    await until(lambda: _recorded(ledger, task.key, "chunk-0"))

    lease_until = (await task_row(ledger, task.key))["lease_until"]
    await asyncio.to_thread(stack.postgres.kill)
    try:
        await until(lambda: none_of(pids_in(pids)))
        (gates / "chunk-1").touch()
        await until(lambda: _past(lease_until, site.lease_seconds))
    finally:
        await asyncio.to_thread(stack.postgres.start)

    await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["epoch"], row["losses"], row["crashes"]) == (2, 1, 0)
    assert [uri.split("/")[-2] for uri in row["result"]["uris"].values()] == ["1-1", "1-2"]


async def test_fault_25_an_event_whose_id_commits_late_is_not_passed_over(site: Site, ledger: Ledger) -> None:
    late, early = sample_key(), sample_key()
    bootstrap = site.endpoints.kafka_bootstrap
    async with relaying(ledger, bootstrap):
        async with ledger.transaction() as slow:
            await outbox.add(slow, SampleWithdrawn(sample=late, service=tiny.NAME))
            async with ledger.transaction() as quick:
                await outbox.add(quick, SampleWithdrawn(sample=early, service=tiny.NAME))
            await until(lambda: _drained(ledger))
        await until(lambda: _drained(ledger))
    for sample in (late, early):
        assert len(await records_of(bootstrap, SampleWithdrawn.TYPE, subject=sample)) == 1


async def _claiming(ledger: Ledger) -> bool:
    async with ledger.connection() as conn:
        return bool(await conn.fetchval(CLAIMING))


async def _recorded(ledger: Ledger, key: str, chunk: str) -> bool:
    return chunk in (await task_row(ledger, key))["checkpoint"]


async def _past(lease_until: datetime, ttl: float) -> bool:
    """Also had it been renewed at the very last moment."""
    return time.time() > lease_until.timestamp() + ttl


async def _drained(ledger: Ledger) -> bool:
    async with ledger.connection() as conn:
        return bool(await conn.fetchval("select not exists (select from outbox)"))
