"""The watchdog for subjects, on a real ledger whose clock the test moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.health.expected import Expected, load_expected
from chassis.health.stuck import Look, look, watching
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Lease, NewTask
from chassis.service import Service, Subscriptions, TaskKind
from tests.conftest import until
from tests.support.clock import advance, stop_clock
from tests.support.working import enqueue

SERVICE = Service(
    name="tiny", subscriptions=Subscriptions(), kinds=(TaskKind(name="steps", work="tests.support.tiny:steps"),)
)
TTL = timedelta(minutes=1)
TIMES = """
[tasks]
claimed = "10 min"
times_usual = 4.0
at_least = "10 min"
unknown = "2 h"
woken = "10 min"
[subjects]
otherwise = "1 h"
[subjects.tiny.freeze]
gathering = "20 min"
flagged = "never"
"""
SUBJECTS = (
    "create table standing (subject text primary key, kind text, state text, since timestamptz, waits_for text)",
    "create view status_subject as select subject, kind, '' as belongs_to, state, since, waits_for from standing",
)


@pytest.fixture
def expected(tmp_path: Path) -> Expected:
    own = tmp_path / "expected.toml"
    own.write_text(TIMES, encoding="utf-8")
    return load_expected("tiny", own=own)


@pytest.fixture
async def still(ledger: Ledger) -> Ledger:
    """A ledger whose clock stands, and which says where subjects stand."""
    await stop_clock(ledger)
    async with ledger.connection() as conn:
        for statement in SUBJECTS:
            await conn.execute(statement)
    return ledger


async def stand(ledger: Ledger, subject: str, state: str, waits_for: str | None, *, kind: str = "freeze") -> None:
    """The service says that the subject came to this state now, or that it waits for something else now."""
    async with ledger.connection() as conn:
        await conn.execute(
            "insert into standing values ($1, $2, $3, ledger_now(), $4) on conflict (subject) do update set "
            "since = case when standing.state = $3 then standing.since else ledger_now() end, state = $3, "
            "waits_for = $4",
            *(subject, kind, state, waits_for),
        )


async def stuck(ledger: Ledger) -> list[Mapping[str, Any]]:
    async with ledger.connection() as conn:
        return await conn.fetch("select * from status_stuck order by subject, kind")


async def claim(ledger: Ledger, *, host: str = "h1", classes: tuple[str, ...] = ("small",)) -> Lease:
    async with ledger.connection() as conn:
        (lease,) = await queue.claim(
            conn, pools=("default",), memory_classes=classes, owner=f"{host}/1", host=host, ttl=TTL
        )
    return lease


async def finish(ledger: Ledger, lease: Lease) -> None:
    async with ledger.transaction() as tx:
        assert await queue.finish(tx, lease, result={})


def steps(subject: str, number: int = 0, **more: Any) -> NewTask:
    return NewTask(key=f"steps:{subject}:{number}", kind="steps", subject=subject, **more)


async def test_a_subject_is_stuck_after_its_time_and_is_no_longer_when_it_moves(
    still: Ledger, expected: Expected, caplog: pytest.LogCaptureFixture
) -> None:
    await stand(still, "c:1", "gathering", "its intervals: 2 of 3")
    await advance(still, timedelta(minutes=19))
    assert await look(SERVICE, still, expected) == Look(found=(), moved=(), stuck={})
    await advance(still, timedelta(minutes=2))
    with caplog.at_level(logging.WARNING, "chassis.health.stuck"):
        for _ in range(3):
            seen = await look(SERVICE, still, expected)
            assert seen.stuck == {("freeze", "gathering"): 1}
        (row,) = await stuck(still)
        assert (row["subject"], row["waits_for"]) == ("c:1", "its intervals: 2 of 3")
        assert row["found_at"] - row["since"] == timedelta(minutes=21)
        assert row["expected_seconds"] == 1200
        await stand(still, "c:1", "training", "a decision")
        assert (await look(SERVICE, still, expected)).moved == (("c:1", "freeze", "gathering"),)
    assert await stuck(still) == []
    assert [record.message for record in caplog.records] == [
        "a subject has not moved within its time",
        "a stuck subject moved on",
    ]


async def test_what_it_waits_for_counts_as_movement(still: Ledger, expected: Expected) -> None:
    await stand(still, "c:1", "gathering", "its intervals: 0 of 9")
    for arrived in range(1, 9):
        await advance(still, timedelta(minutes=15))
        await stand(still, "c:1", "gathering", f"its intervals: {arrived} of 9")
        assert (await look(SERVICE, still, expected)).stuck == {}
    await advance(still, timedelta(minutes=21))
    assert (await look(SERVICE, still, expected)).stuck == {("freeze", "gathering"): 1}
    await stand(still, "c:1", "gathering", "its intervals: 9 of 9")
    seen = await look(SERVICE, still, expected)
    assert (seen.stuck, seen.moved) == ({}, (("c:1", "freeze", "gathering"),))


async def test_people_rest_and_artifacts_are_not_looked_at(still: Ledger, expected: Expected) -> None:
    await stand(still, "s1", "held", "a person: samples pass", kind="sample")
    await stand(still, "s2", "done", None, kind="sample")
    await stand(still, "s3", "done", "", kind="sample")
    await stand(still, "c:1", "flagged", "the flag")
    await stand(still, "a1", "restoring", "the store", kind="artifact")
    await stand(still, "s4", "of no rule", "an event", kind="sample")
    await advance(still, timedelta(days=400))
    assert (await look(SERVICE, still, expected)).found == (("s4", "sample", "of no rule"),)


async def test_a_subject_with_a_task_that_lives_is_judged_by_its_task(still: Ledger, expected: Expected) -> None:
    """One sample's task waits for a restore, one run's is paused: both rest. The restore's own time has an end."""
    await stand(still, "s1", "working", "its task", kind="sample")
    await stand(still, "run1", "working", "its tasks", kind="run")
    await enqueue(still, steps("s1"))
    lease = await claim(still)
    async with still.transaction() as tx:
        await queue.retry(tx, lease, reason="archived", after=timedelta(days=2), waits_for="restore:a1")
    await enqueue(still, steps("s2", belongs_to="run1"))
    async with still.transaction() as tx:
        await queue.pause(tx, "run1", reason="a person said so")
    await advance(still, timedelta(days=2))
    assert (await look(SERVICE, still, expected)).stuck == {}
    await advance(still, timedelta(minutes=11))
    assert (await look(SERVICE, still, expected)).found == (("s1", "steps task", "waiting"),)


async def test_ready_tasks_are_stuck_when_no_worker_takes_any_of_their_pool(still: Ledger, expected: Expected) -> None:
    await enqueue(still, *(steps("c:1", number) for number in range(3)))
    await advance(still, timedelta(minutes=11))
    assert (await look(SERVICE, still, expected)).found == (("c:1", "steps task", "ready"),)
    (row,) = await stuck(still)
    assert row["waits_for"] == "a worker of pool default with room for a small task"
    lease = await claim(still)
    assert (await look(SERVICE, still, expected)).moved == (("c:1", "steps task", "ready"),), "a worker is at work"
    await finish(still, lease)
    await advance(still, timedelta(minutes=9))
    assert (await look(SERVICE, still, expected)).stuck == {}, "one was at work a while ago"
    await advance(still, timedelta(minutes=2))
    assert (await look(SERVICE, still, expected)).stuck == {("steps task", "ready"): 1}


async def test_a_large_task_is_not_helped_by_workers_that_are_too_small(still: Ledger, expected: Expected) -> None:
    await enqueue(still, steps("s1"), steps("s2", memory_class="large"), steps("s3", pool="spot"))
    await advance(still, timedelta(minutes=11))
    await claim(still)
    seen = await look(SERVICE, still, expected)
    assert {subject for subject, _, _ in seen.found} == {"s2", "s3"}


async def test_a_task_at_work_is_stuck_when_it_takes_much_longer_than_is_usual(
    still: Ledger, expected: Expected
) -> None:
    for number in range(5):
        await enqueue(still, steps("s0", number))
        lease = await claim(still)
        await advance(still, timedelta(minutes=10))
        await finish(still, lease)
    await enqueue(still, steps("s1"))
    await claim(still, host="node-7")
    await advance(still, timedelta(minutes=39))
    assert (await look(SERVICE, still, expected)).stuck == {}
    await advance(still, timedelta(minutes=2))
    assert (await look(SERVICE, still, expected)).found == (("s1", "steps task", "leased"),)
    (row,) = await stuck(still)
    assert (row["waits_for"], row["expected_seconds"]) == ("its worker on node-7", 4 * 600)


async def test_one_of_several_processes_looks_and_all_gauge(
    still: Ledger, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two watchdogs: the counts that both give out rise and come back to zero."""
    gauged: list[dict[tuple[str, str], int]] = []
    monkeypatch.setattr("chassis.health.stuck.subjects_stuck", lambda *, service, stuck: gauged.append(dict(stuck)))
    await stand(still, "c:1", "gathering", "its intervals")
    await advance(still, timedelta(hours=1))

    async def said(count: int) -> bool:
        return len(gauged) >= 2 and all(one == {("freeze", "gathering"): count} for one in gauged[-2:])

    watchdogs = [asyncio.create_task(watching(SERVICE, still, expected, every_s=0.01)) for _ in range(2)]
    try:
        await until(lambda: said(1), seconds=10)
        await stand(still, "c:1", "training", "a decision")
        await until(lambda: said(0), seconds=10)
    finally:
        for one in watchdogs:
            one.cancel()
        await asyncio.wait(watchdogs)


async def test_a_service_without_a_view_of_subjects_is_watched_by_its_tasks(ledger: Ledger, expected: Expected) -> None:
    await stop_clock(ledger)
    await enqueue(ledger, steps("s1"))
    await advance(ledger, timedelta(minutes=11))
    assert (await look(SERVICE, ledger, expected)).stuck == {("steps task", "ready"): 1}


async def test_a_look_at_a_large_ledger_reads_the_head_of_each_queue(still: Ledger, expected: Expected) -> None:
    """100,000 tasks ready in two pools and 20,000 done: the plans go by indexes and end at the limit."""
    async with still.connection() as conn:
        await conn.execute(
            "insert into task (key, slug, kind, subject, payload, pool, memory_class, state, ready_at, created_at, "
            "changed_at, started_at, finished_at) select 't' || n, 't' || n, 'steps', 'c:' || n % 100, '{}', "
            "case when n % 3 = 0 then 'spot' else 'default' end, 'small', case when n % 6 = 5 then 'done' else 'ready' "
            "end, m, m, m, m, m + interval '1 s' from generate_series(1, 120000) n, "
            "(select ledger_now() + interval '1 min' as m) clock"
        )
        await conn.execute("analyze task")
        from chassis.health import statements as sql

        async def buffers(query: str, *arguments: Any) -> int:
            (plan,) = await conn.fetchval(f"explain (analyze, buffers, format json) {query}", *arguments)
            return int(plan["Plan"]["Shared Hit Blocks"]) + int(plan["Plan"]["Shared Read Blocks"])

        whole = await conn.fetchval("select relpages from pg_class where oid = 'task'::regclass")
        assert await buffers(sql.READY, 600.0, 100) < whole / 5
        assert await buffers(sql.ENDED, ["steps"], 100) < whole / 5
        assert await buffers(sql.AT_WORK, 100) < whole / 5
        assert await buffers(sql.OVERDUE, 600.0, 100) < whole / 5
    await advance(still, timedelta(minutes=20))
    assert sum((await look(SERVICE, still, expected)).stuck.values()) > 0
