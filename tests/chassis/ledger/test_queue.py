"""The contract of the lease queue, on real Postgres."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from chassis.errors import Rejection
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.tasks import Budgets, Lease, NewTask, TaskState

TTL = timedelta(seconds=60)
REJECTION = Rejection(code="BAD_INPUT", message="bad", where="here", rule="be good", fix="mend it")
CLASSES = ("small", "medium", "large", "huge")


def task(key: str = "t1", **more: object) -> NewTask:
    return NewTask(**({"key": key, "kind": "steps", "subject": "s1"} | more))  # type: ignore[arg-type]


async def enqueue(ledger: Ledger, *tasks: NewTask) -> tuple[str, ...]:
    async with ledger.transaction() as tx:
        return await queue.enqueue(tx, tasks)


async def claim(
    ledger: Ledger, owner: str = "w1", *, host: str = "h1", pools: tuple[str, ...] = ("default",)
) -> Lease | None:
    async with ledger.connection() as conn:
        leases = await queue.claim(conn, pools=pools, memory_classes=CLASSES, owner=owner, host=host, ttl=TTL)
    return leases[0] if leases else None


async def must_claim(ledger: Ledger, owner: str = "w1", *, host: str = "h1") -> Lease:
    lease = await claim(ledger, owner, host=host)
    assert lease is not None
    return lease


async def finish(ledger: Ledger, lease: Lease) -> bool:
    async with ledger.transaction() as tx:
        return await queue.finish(tx, lease, result={"by": lease.owner})


async def row(ledger: Ledger, key: str = "t1") -> asyncpg.Record:
    async with ledger.connection() as conn:
        found = await conn.fetchrow("select * from task where key = $1", key)
    assert found is not None
    return found


async def advance(ledger: Ledger, by: timedelta) -> None:
    """Move the ledger's clock: the one thing that tests replace."""
    async with ledger.connection() as conn:
        await conn.execute(
            "create or replace function ledger_now() returns timestamptz language sql volatile as "
            f"'select clock_timestamp() + interval ''{by.total_seconds()} seconds'''"
        )


async def test_the_same_key_is_one_task(ledger: Ledger) -> None:
    assert await enqueue(ledger, task()) == ("t1",)
    assert await enqueue(ledger, task(), task("t2")) == ("t2",)


async def test_a_claim_takes_the_largest_priority_then_the_oldest(ledger: Ledger) -> None:
    await enqueue(ledger, task("low"), task("first", priority=5.0), task("second", priority=5.0))
    taken = [(await must_claim(ledger)).key for _ in range(3)]
    assert taken == ["first", "second", "low"]
    assert await claim(ledger) is None


async def test_pools_are_asked_in_order_of_preference(ledger: Ledger) -> None:
    await enqueue(ledger, task("a", pool="spot"), task("b", pool="fpga"))
    lease = await claim(ledger, pools=("fpga", "spot"))
    assert lease is not None and lease.key == "b"


async def test_a_worker_leaves_larger_memory_classes_alone(ledger: Ledger) -> None:
    await enqueue(ledger, task(memory_class="huge"))
    async with ledger.connection() as conn:
        assert not await queue.claim(conn, pools=("default",), memory_classes=("small",), owner="w", host="h", ttl=TTL)


async def test_a_worker_leaves_kinds_alone_that_it_does_not_know(ledger: Ledger) -> None:
    """Fault 39: a worker of the version before meets a task of the next."""
    await enqueue(ledger, task("new", kind="invented", priority=9.0), task("old"))
    async with ledger.connection() as conn:
        (lease,) = await queue.claim(
            conn, pools=("default",), memory_classes=CLASSES, owner="w", host="h", ttl=TTL, limit=5, kinds=("steps",)
        )
    assert lease.key == "old"


async def test_every_claim_raises_the_epoch(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    epochs = []
    for _ in range(3):
        lease = await must_claim(ledger)
        epochs.append(lease.epoch)
        async with ledger.transaction() as tx:
            await queue.release(tx, lease)
    assert epochs == [1, 2, 3]


async def test_a_finished_task_is_finished_once(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    assert await finish(ledger, lease)
    assert not await finish(ledger, lease)
    assert (await row(ledger))["state"] == "done"


async def test_a_stale_epoch_writes_nothing(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    zombie = await must_claim(ledger, "zombie")
    await advance(ledger, TTL * 2)
    async with ledger.transaction() as tx:
        assert (await queue.sweep(tx))[0] == ["t1"]
    heir = await must_claim(ledger, "heir")
    async with ledger.connection() as conn:
        assert not await queue.renew(conn, zombie, ttl=TTL)
        assert not await queue.checkpoint(conn, zombie, chunk="c1", value={})
    assert not await finish(ledger, zombie)
    async with ledger.transaction() as tx:
        assert not await queue.fail(tx, zombie, REJECTION)
        assert (await queue.crash(tx, zombie, reason="late")).state is None
        assert (await queue.retry(tx, zombie, reason="late", after=timedelta(0))).state is None
        assert (await queue.release(tx, zombie)).state is None
    assert await finish(ledger, heir)
    assert (await row(ledger))["result"] == {"by": "heir"}


async def test_an_expired_lease_that_nobody_took_can_be_renewed(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    await advance(ledger, TTL * 2)
    async with ledger.connection() as conn:
        assert await queue.renew(conn, lease, ttl=TTL)
    async with ledger.transaction() as tx:
        assert await queue.sweep(tx) == ([], [])


async def test_checkpoints_add_up_over_attempts(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    for chunk in ("c1", "c2"):
        lease = await must_claim(ledger)
        async with ledger.connection() as conn:
            assert await queue.checkpoint(conn, lease, chunk=chunk, value={"uri": f"file:///{chunk}"})
        async with ledger.transaction() as tx:
            await queue.release(tx, lease)
    lease = await must_claim(ledger)
    assert lease.checkpoint == {"c1": {"uri": "file:///c1"}, "c2": {"uri": "file:///c2"}}
    assert lease.attempts == 3


async def test_crashes_have_a_budget(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    budgets = Budgets(crashes=2)
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        given = await queue.crash(tx, lease, reason="signal 11", budgets=budgets)
    assert given.state is TaskState.ready
    await advance(ledger, timedelta(hours=1))
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        given = await queue.crash(tx, lease, reason="signal 11", budgets=budgets)
        assert given.state is TaskState.failed and given.spent == "crashes"
        assert await queue.fail(tx, lease, REJECTION)
    assert (await row(ledger))["error"]["code"] == "BAD_INPUT"


async def test_out_of_memory_goes_to_the_next_class_and_ends_after_the_last(ledger: Ledger) -> None:
    await enqueue(ledger, task(memory_class="large"))
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        assert (await queue.crash(tx, lease, reason="oom", more_memory=True)).state is TaskState.ready
    await advance(ledger, timedelta(hours=1))
    lease = await must_claim(ledger)
    assert lease.memory_class == "huge"
    async with ledger.transaction() as tx:
        assert (await queue.crash(tx, lease, reason="oom", more_memory=True)).spent == "memory"


async def test_losses_count_over_distinct_hosts(ledger: Ledger) -> None:
    """A fleet that vanishes again and again on one host kills no task; a task that kills three hosts ends."""
    await enqueue(ledger, task())
    clock = timedelta(0)
    dead: list[str] = []
    for host in ("h1", "h1", "h1", "h2", "h3"):
        await must_claim(ledger, host=host)
        clock += TTL * 2
        await advance(ledger, clock)
        async with ledger.transaction() as tx:
            again, dead = await queue.sweep(tx, budgets=Budgets(loss_hosts=3))
            assert bool(again) != bool(dead)
    assert dead == ["t1"]
    assert (await row(ledger))["losses"] == 5


async def test_progress_acquits_a_task_of_its_losses(ledger: Ledger) -> None:
    """Fleets that vanish stop no task that gets on between two losses; the same chunk again is no progress."""
    await enqueue(ledger, task())
    clock = timedelta(0)
    dead: list[str] = []
    for host, chunk in (("h1", "a"), ("h2", "b"), ("h3", "c"), ("h4", "c"), ("h5", "c"), ("h6", "c")):
        assert dead == []
        lease = await must_claim(ledger, host=host)
        async with ledger.connection() as conn:
            assert await queue.checkpoint(conn, lease, chunk=chunk, value={})
        clock += TTL * 2
        await advance(ledger, clock)
        async with ledger.transaction() as tx:
            _, dead = await queue.sweep(tx, budgets=Budgets(loss_hosts=4))
    assert dead == ["t1"], "h3 to h6, since chunk c was new"
    assert (await row(ledger))["losses"] == 6


async def test_a_sweep_counts_losses_by_the_budgets_of_the_tasks_kind(ledger: Ledger) -> None:
    """Of two tasks that one host lost, the one of a frail kind is dead and the other is ready again."""
    await enqueue(ledger, task("t1"), task("t2", kind="frail"))
    assert {(await must_claim(ledger)).key for _ in range(2)} == {"t1", "t2"}
    await advance(ledger, TTL * 2)
    async with ledger.transaction() as tx:
        assert await queue.sweep(tx, of_kinds={"frail": Budgets(loss_hosts=1)}) == (["t1"], ["t2"])


async def test_a_preemption_costs_neither_crash_nor_loss(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        await queue.release(tx, lease)
    found = await row(ledger)
    assert (found["state"], found["preemptions"], found["crashes"], found["losses"]) == ("ready", 1, 0, 0)


async def test_a_waiting_task_holds_no_lease_until_it_is_woken(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        await queue.retry(tx, lease, reason="archived", after=timedelta(days=2), waits_for="restore:abc")
    assert await claim(ledger) is None
    async with ledger.transaction() as tx:
        assert await queue.wake(tx, "restore:other") == ()
        assert await queue.wake(tx, "restore:abc") == ("t1",)
    assert (await must_claim(ledger)).epoch == 2


async def test_cancel_reaches_ready_and_leased_tasks_by_subject(ledger: Ledger) -> None:
    await enqueue(ledger, task("a"), task("b"), task("c", subject="s2", belongs_to="s1"), task("d", subject="s9"))
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        assert set(await queue.cancel(tx, "s1", reason="asked")) == {"a", "b", "c"}
    async with ledger.connection() as conn:
        assert not await queue.renew(conn, lease, ttl=TTL)
    assert not await finish(ledger, lease)
    assert (await row(ledger, "d"))["state"] == "ready"


async def test_a_withdrawn_subject_gets_no_new_work(ledger: Ledger) -> None:
    async with ledger.transaction() as tx:
        await queue.withdraw(tx, "s1", deadline=None)
    await enqueue(ledger, task())
    assert (await row(ledger))["state"] == "cancelled"


async def test_finish_and_what_it_writes_are_one_transaction(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    with pytest.raises(RuntimeError):
        async with ledger.transaction() as tx:
            await queue.finish(tx, lease, result={})
            raise RuntimeError("the event could not be written")
    assert (await row(ledger))["state"] == "leased"


async def test_a_revived_task_keeps_its_checkpoints(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    async with ledger.connection() as conn:
        await queue.checkpoint(conn, lease, chunk="c1", value={})
    async with ledger.transaction() as tx:
        await queue.fail(tx, lease, REJECTION)
        assert await queue.revive(tx, "t1")
    assert (await must_claim(ledger)).checkpoint == {"c1": {}}


async def test_reviving_a_subject_leaves_what_a_person_cancelled(ledger: Ledger) -> None:
    await enqueue(ledger, task("dead"), task("cancelled"), task("other", subject="s2"))
    for key in ("dead", "other"):
        lease = await must_claim(ledger)
        while lease.key != key:
            lease = await must_claim(ledger)
        async with ledger.transaction() as tx:
            await queue.fail(tx, lease, REJECTION)
    async with ledger.transaction() as tx:
        await queue.cancel(tx, "s1", reason="asked")
        assert await queue.revive_subject(tx, "s1") == ("dead",)
    states = {key: (await row(ledger, key))["state"] for key in ("dead", "cancelled", "other")}
    assert states == {"dead": "ready", "cancelled": "cancelled", "other": "failed"}


async def test_two_workers_that_race_for_one_task(ledger: Ledger) -> None:
    """Fault 13: exactly one epoch wins."""
    await enqueue(ledger, task())
    leases = await asyncio.gather(*(claim(ledger, f"w{n}") for n in range(8)))
    assert len([lease for lease in leases if lease is not None]) == 1


async def test_a_committed_finish_is_found_again_by_its_epoch(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    async with ledger.connection() as conn:
        assert await queue.ended_as(conn, lease) is TaskState.leased
    await finish(ledger, lease)
    async with ledger.connection() as conn:
        assert await queue.ended_as(conn, lease) is TaskState.done


async def test_each_end_of_an_attempt_is_in_the_log(ledger: Ledger) -> None:
    await enqueue(ledger, task())
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        await queue.release(tx, lease)
    await finish(ledger, await must_claim(ledger))
    async with ledger.connection() as conn:
        rows = await conn.fetch("select epoch, ending from attempt order by epoch")
    assert [(r["epoch"], r["ending"]) for r in rows] == [(1, "preemption"), (2, "done")]


async def test_the_claim_reads_the_partial_index_in_order(ledger: Ledger) -> None:
    """The plan at 20,000 rows: no sort, no sequential scan of task."""
    async with ledger.connection() as conn:
        await conn.execute(
            "insert into task (key, slug, kind, subject, payload, pool, memory_class, priority, state, ready_at,"
            " created_at, changed_at) select 'k' || n, 'k' || n, 'steps', 's', '{}', 'default', 'small', n % 100,"
            " 'ready', now(), now(), now() from generate_series(1, 20000) n"
        )
        await conn.execute("analyze task")
        plan = await conn.fetch("explain " + queue.CLAIM, "default", list(CLASSES), 1, "w", "h", TTL, ["steps"])
    text = "\n".join(r[0] for r in plan)
    assert "task_claim" in text
    assert "Seq Scan on task" not in text and "Sort" not in text


async def test_a_transaction_knows_the_ledgers_clock(ledger: Ledger) -> None:
    await advance(ledger, timedelta(days=365))
    async with ledger.transaction() as tx:
        assert isinstance(tx, Tx)
        real = await tx.conn.fetchval("select clock_timestamp()")
        assert (await tx.now()) - real > timedelta(days=364)
