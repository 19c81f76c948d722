"""The lease protocol as a state machine: hypothesis drives several workers, a sweeper, a person who cancels and the
clock against a model, on real Postgres. I1: one committed result per key. I2: epochs only grow, and a stale epoch
writes nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chassis.errors import Rejection
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.tasks import Budgets, Lease, NewTask, TaskState
from tests.support.clock import advance, stop_clock, watch

T = TypeVar("T")

TTL = timedelta(seconds=60)
KEYS = ("a", "b", "c")
HOSTS = ("h1", "h2")
BUDGETS = Budgets(crashes=3, retries=3, preemptions=3, loss_hosts=2, losses=4)
REJECTION = Rejection(code="BAD_INPUT", message="bad", where="here", rule="be good", fix="mend it")
COUNTED = ("crashes", "retries", "preemptions", "losses", "acquitted")
WAYS = ("finish", "renew", "checkpoint", "fail", "park", "crash", "retry", "release")
ROWS = "select * from task"
ATTEMPTS = "select task_key, epoch, ending, host from attempt order by task_key, epoch"
EMPTY = "truncate task, attempt, outbox"


class LoopThread:
    """An event loop beside the test: the machine's rules are plain functions."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Modelled:
    """What a task's row should say."""

    state: str = "ready"
    epoch: int = 0
    ready_at: timedelta = timedelta(0)
    until: timedelta = timedelta(0)
    host: str = ""
    waits_for: str | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)
    crashes: int = 0
    retries: int = 0
    preemptions: int = 0
    losses: int = 0
    loss_hosts: set[str] = field(default_factory=set)
    acquitted: int = 0
    result: dict[str, Any] | None = None
    endings: list[tuple[int, str]] = field(default_factory=list)


class LeaseMachine(RuleBasedStateMachine):
    ledger: ClassVar[Ledger]
    loop: ClassVar[LoopThread]

    def __init__(self) -> None:
        super().__init__()
        self.now = timedelta(0)
        self.tasks: dict[str, Modelled] = {}
        self.given: list[Lease] = []
        """Every lease ever given: most of them are stale."""
        self.loop.run(self._empty())
        self.enqueue("a")

    async def _empty(self) -> None:
        async with self.ledger.connection() as conn:
            await conn.execute(EMPTY)

    def held(self, lease: Lease) -> Modelled | None:
        """The task when this lease is still the right to write it; lapsed and not yet taken back, it is."""
        task = self.tasks[lease.key]
        return task if task.state == "leased" and task.epoch == lease.epoch else None

    def ended(self, task: Modelled, ending: str, state: str) -> None:
        task.endings.append((task.epoch, ending))
        task.state = state

    @precondition(lambda self: len(self.tasks) < len(KEYS))
    @rule(key=st.sampled_from(KEYS))
    def enqueue(self, key: str) -> None:
        async def do() -> tuple[str, ...]:
            async with self.ledger.transaction() as tx:
                return await queue.enqueue(tx, [NewTask(key=key, kind="steps", subject=f"subject-{key}")])

        assert self.loop.run(do()) == (() if key in self.tasks else (key,))
        self.tasks.setdefault(key, Modelled(ready_at=self.now))

    @precondition(lambda self: self.due())
    @rule(worker=st.sampled_from(("w1", "w2", "w3")), host=st.sampled_from(HOSTS), most=st.integers(1, 2))
    def claim(self, worker: str, host: str, most: int) -> None:
        async def do() -> list[Lease]:
            async with self.ledger.connection() as conn:
                return await queue.claim(
                    conn, pools=("default",), memory_classes=("small",), owner=worker, host=host, ttl=TTL, limit=most
                )

        ready = self.due()
        given = self.loop.run(do())
        assert {lease.key for lease in given} <= ready
        assert len(given) == min(most, len(ready)), "what is ready is given"
        for lease in given:
            task = self.tasks[lease.key]
            task.state, task.epoch, task.host, task.until = "leased", task.epoch + 1, host, self.now + TTL
            task.waits_for = None
            assert lease.epoch == task.epoch
            assert lease.checkpoint == task.checkpoint, "the next attempt sees what the earlier ones finished"
        self.given.extend(given)

    def renew(self, lease: Lease) -> None:
        async def do() -> bool:
            async with self.ledger.connection() as conn:
                return await queue.renew(conn, lease, ttl=TTL)

        task = self.held(lease)
        assert self.loop.run(do()) is (task is not None)
        if task is not None:
            task.until = self.now + TTL

    def checkpoint(self, lease: Lease, chunk: str) -> None:
        value = {"by": lease.epoch}

        async def do() -> bool:
            async with self.ledger.connection() as conn:
                return await queue.checkpoint(conn, lease, chunk=chunk, value=value)

        task = self.held(lease)
        assert self.loop.run(do()) is (task is not None)
        if task is not None:
            if chunk not in task.checkpoint:
                task.loss_hosts, task.acquitted = set(), task.losses
            task.checkpoint[chunk] = value

    def finish(self, lease: Lease) -> None:
        result = {"by": lease.epoch}

        async def do() -> bool:
            async with self.ledger.transaction() as tx:
                return await queue.finish(tx, lease, result=result)

        task = self.held(lease)
        assert self.loop.run(do()) is (task is not None)
        if task is not None:
            task.result = result
            self.ended(task, "done", "done")

    def due(self) -> set[str]:
        return {k for k, t in self.tasks.items() if t.state == "ready" and t.ready_at <= self.now}

    def in_state(self, *states: str) -> list[str]:
        return [key for key, task in self.tasks.items() if task.state in states]

    def zombies(self) -> list[Lease]:
        """Leases whose task is someone else's now."""
        return [
            lease
            for lease in self.given
            if self.tasks[lease.key].state == "leased" and self.tasks[lease.key].epoch > lease.epoch
        ]

    @precondition(lambda self: self.given)
    @rule(data=st.data(), way=st.sampled_from(WAYS))
    def act(self, data: st.DataObject, way: str) -> None:
        """Whoever was ever given a lease tries to write by it."""
        self.write(data.draw(st.sampled_from(self.given)), way)

    @precondition(lambda self: self.zombies())
    @rule(data=st.data(), way=st.sampled_from(WAYS))
    def rise(self, data: st.DataObject, way: str) -> None:
        self.write(data.draw(st.sampled_from(self.zombies())), way)

    def write(self, lease: Lease, way: str) -> None:
        match way:
            case "finish":
                self.finish(lease)
            case "renew":
                self.renew(lease)
            case "checkpoint":
                self.checkpoint(lease, f"c{lease.epoch % 2}")
            case "fail":
                self.fail(lease)
            case "park":
                self.park(lease, "restore:x")
            case _:
                self.give_back(lease, way)

    @precondition(lambda self: self.in_state("leased"))
    @rule()
    def lapse(self) -> None:
        """Every lease runs out and is taken back."""
        self.advance(61)
        self.sweep()

    def fail(self, lease: Lease) -> None:
        async def do() -> bool:
            async with self.ledger.transaction() as tx:
                return await queue.fail(tx, lease, REJECTION)

        task = self.held(lease)
        assert self.loop.run(do()) is (task is not None)
        if task is not None:
            self.ended(task, "failed", "failed")

    def give_back(self, lease: Lease, way: str) -> None:
        async def do() -> queue.Given:
            async with self.ledger.transaction() as tx:
                match way:
                    case "crash":
                        given = await queue.crash(tx, lease, reason="r", budgets=BUDGETS)
                    case "retry":
                        given = await queue.retry(tx, lease, reason="r", after=timedelta(seconds=30), budgets=BUDGETS)
                    case _:
                        given = await queue.release(tx, lease, budgets=BUDGETS)
                if given.spent is not None:
                    assert await queue.fail(tx, lease, REJECTION)
                return given

        task = self.held(lease)
        given = self.loop.run(do())
        if task is None:
            assert given.state is None
            return
        counter, ending, budget = {
            "crash": ("crashes", "crash", BUDGETS.crashes),
            "retry": ("retries", "retry", BUDGETS.retries),
            "release": ("preemptions", "preemption", BUDGETS.preemptions),
        }[way]
        if getattr(task, counter) + 1 >= budget:
            assert (given.state, given.spent) == (TaskState.failed, counter)
            self.ended(task, "failed", "failed")
            return
        assert given.state is TaskState.ready
        setattr(task, counter, getattr(task, counter) + 1)
        self.ended(task, ending, "ready")
        # the back-off of a crash is drawn at random
        task.ready_at = self.now + timedelta(seconds=0 if way == "release" else 30)
        self.loop.run(self._set_ready(lease.key, task.ready_at))

    async def _set_ready(self, key: str, at: timedelta) -> None:
        async with self.ledger.connection() as conn:
            await conn.execute("update task set ready_at = ledger_now() + $2 where key = $1", key, at - self.now)

    def park(self, lease: Lease, what: str) -> None:
        async def do() -> queue.Given:
            async with self.ledger.transaction() as tx:
                return await queue.retry(tx, lease, reason="r", after=timedelta(days=2), waits_for=what)

        task = self.held(lease)
        given = self.loop.run(do())
        assert given.state is (TaskState.waiting if task is not None else None)
        if task is not None:
            self.ended(task, "waiting", "waiting")
            task.waits_for, task.ready_at = what, self.now + timedelta(days=2)

    @precondition(lambda self: self.in_state("ready"))
    @rule(key=st.sampled_from(KEYS))
    def pause(self, key: str) -> None:
        async def do() -> tuple[str, ...]:
            async with self.ledger.transaction() as tx:
                return await queue.pause(tx, f"subject-{key}", reason="asked")

        task = self.tasks.get(key)
        ready = task is not None and task.state == "ready"
        assert self.loop.run(do()) == ((key,) if ready else ())
        if ready and task is not None:
            task.state, task.waits_for = "waiting", "resume"

    @precondition(lambda self: self.in_state("waiting"))
    @rule(what=st.sampled_from(("restore:x", "resume")))
    def wake(self, what: str) -> None:
        async def do() -> tuple[str, ...]:
            async with self.ledger.transaction() as tx:
                return await queue.wake(tx, what)

        waiting = {k for k, t in self.tasks.items() if t.state == "waiting" and t.waits_for == what}
        assert set(self.loop.run(do())) == waiting
        for key in waiting:
            self.tasks[key].state, self.tasks[key].ready_at = "ready", self.now

    @precondition(lambda self: self.in_state("leased", "waiting", "ready") and not self.due())
    @rule(seconds=st.sampled_from((1, 31, 59, 61, 301, 2 * 86_400)))
    def advance(self, seconds: int) -> None:
        self.loop.run(advance(self.ledger, timedelta(seconds=seconds)))
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.in_state("leased", "waiting"))
    @rule()
    def sweep(self) -> None:
        async def do() -> tuple[list[str], list[str]]:
            async with self.ledger.transaction() as tx:
                again, dead = await queue.sweep(tx, budgets=BUDGETS)
                for key in dead:
                    await queue.fail_swept(tx, key, REJECTION)
                return again, dead

        expired = {k: t for k, t in self.tasks.items() if t.state == "leased" and t.until < self.now}
        again, dead = self.loop.run(do())
        for key, task in expired.items():
            task.losses += 1
            task.loss_hosts.add(task.host)
            since_progress = task.losses - task.acquitted
            spent = len(task.loss_hosts) >= BUDGETS.loss_hosts or since_progress >= BUDGETS.losses
            self.ended(task, "loss", "failed" if spent else "ready")
            task.ready_at = self.now
            assert key in (dead if spent else again)
        assert len(again) + len(dead) == len(expired)
        for task in self.tasks.values():
            if task.state == "waiting" and task.waits_for != "resume" and task.ready_at <= self.now:
                task.state = "ready"

    @precondition(lambda self: self.in_state("waiting", "ready", "leased"))
    @rule(key=st.sampled_from(KEYS))
    def cancel(self, key: str) -> None:
        async def do() -> tuple[str, ...]:
            async with self.ledger.transaction() as tx:
                return await queue.cancel(tx, f"subject-{key}", reason="asked")

        task = self.tasks.get(key)
        live = task is not None and task.state in ("waiting", "ready", "leased")
        assert self.loop.run(do()) == ((key,) if live else ())
        if live and task is not None:
            if task.state == "leased":
                task.endings.append((task.epoch, "cancelled"))
            task.state = "cancelled"

    @precondition(lambda self: self.in_state("failed", "cancelled"))
    @rule(key=st.sampled_from(KEYS))
    def revive(self, key: str) -> None:
        async def do() -> bool:
            async with self.ledger.transaction() as tx:
                return await queue.revive(tx, key)

        task = self.tasks.get(key)
        dead = task is not None and task.state in ("failed", "cancelled")
        assert self.loop.run(do()) is dead
        if dead and task is not None:
            task.state, task.ready_at = "ready", self.now
            task.crashes = task.retries = task.losses = task.acquitted = 0
            task.loss_hosts = set()

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        async def rows() -> tuple[list[Any], list[Any]]:
            async with self.ledger.connection() as conn:
                return await conn.fetch(ROWS), await conn.fetch(ATTEMPTS)

        tasks, attempts = self.loop.run(rows())
        assert {row["key"] for row in tasks} == set(self.tasks)
        for row in tasks:
            task = self.tasks[row["key"]]
            for name in ("state", "epoch", "checkpoint", "result", *COUNTED):
                assert row[name] == getattr(task, name), (row["key"], name)
            endings = [(a["epoch"], a["ending"]) for a in attempts if a["task_key"] == row["key"]]
            assert endings == task.endings
            assert [e for _, e in endings].count("done") == (1 if task.state == "done" else 0), "I1"
            epochs = [epoch for epoch, _ in endings]
            assert epochs == sorted(set(epochs)) and all(epoch <= row["epoch"] for epoch in epochs), "I2"


@contextmanager
def machine_on(dsn: str) -> Iterator[type[LeaseMachine]]:
    loop = LoopThread()
    exits = AsyncExitStack()

    async def open_it() -> Ledger:
        ledger = await exits.enter_async_context(open_ledger(dsn=dsn, service="tiny"))
        await stop_clock(ledger)
        await watch(ledger)
        return ledger

    try:
        LeaseMachine.ledger, LeaseMachine.loop = loop.run(open_it()), loop
        yield LeaseMachine
    finally:
        loop.run(exits.aclose())
        loop.close()


def test_no_interleaving_breaks_the_protocol(ledger: Ledger, database: str) -> None:
    with machine_on(database) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=50,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
