"""The lease protocol under real parallelism: many connections, a clock that jumps, zombies that come back."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.tasks import Budgets, Lease, NewTask
from tests.support.clock import advance, stop_clock, watch

TTL = timedelta(seconds=60)
ENDLESS = Budgets(crashes=10**6, retries=10**6, preemptions=10**6, loss_hosts=10**6, losses=10**6)
TASKS, WORKERS = 40, 6
EFFECT = "insert into seen values ($1, 1) on conflict (sample) do update set times = seen.times + 1"


@dataclass
class Race:
    ledger: Ledger
    chance: random.Random
    claimed: list[tuple[str, int]] = field(default_factory=list)
    finished: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    async def work(self, name: str) -> None:
        """Claim and write until all is done, sometimes by a lease of long ago."""
        mine: list[Lease] = []
        while len(self.finished) < TASKS:
            async with self.ledger.connection() as conn:
                leases = await queue.claim(
                    conn, pools=("default",), memory_classes=("small",), owner=name, host=name, ttl=TTL
                )
            self.claimed.extend((lease.key, lease.epoch) for lease in leases)
            mine.extend(leases)
            if mine:
                await self.write(self.chance.choice(mine[-5:]))
            else:
                await asyncio.sleep(0)

    async def write(self, lease: Lease) -> None:
        match self.chance.choice(("renew", "checkpoint", "checkpoint", "finish", "finish", "crash", "release", "none")):
            case "renew":
                async with self.ledger.connection() as conn:
                    self.note("renew", await queue.renew(conn, lease, ttl=TTL))
            case "checkpoint":
                async with self.ledger.connection() as conn:
                    held = await queue.checkpoint(conn, lease, chunk=f"c{lease.epoch}", value={"by": lease.owner})
                self.note("checkpoint", held)
            case "finish":
                async with self.ledger.transaction() as tx:
                    held = await queue.finish(tx, lease, result={"epoch": lease.epoch})
                    if held:
                        await tx.conn.execute(EFFECT, lease.key)
                self.note("finish", held)
                if held:
                    assert lease.key not in self.finished
                    self.finished[lease.key] = lease.epoch
            case "crash":
                async with self.ledger.transaction() as tx:
                    given = await queue.crash(tx, lease, reason="r", budgets=ENDLESS)
                self.note("crash", given.state is not None)
            case "release":
                async with self.ledger.transaction() as tx:
                    given = await queue.release(tx, lease, budgets=ENDLESS)
                self.note("release", given.state is not None)
            case _:
                pass  # vanished: the lease lapses

    def note(self, what: str, held: bool) -> None:
        if not held:
            self.refused[what] += 1

    async def sweep(self) -> None:
        while len(self.finished) < TASKS:
            async with self.ledger.transaction() as tx:
                await queue.sweep(tx, budgets=ENDLESS)

    async def jump(self) -> None:
        while len(self.finished) < TASKS:
            await advance(self.ledger, timedelta(seconds=self.chance.randrange(40)))
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("seed", [1, 2])
async def test_parallel_workers_commit_each_task_once(seed: int, ledger: Ledger, database: str) -> None:
    """Faults 12 and 13, I1 and I2, with two planners, six workers and two sweepers on connections of their own."""
    await stop_clock(ledger)
    await watch(ledger)
    plan = [NewTask(key=f"t{n}", kind="steps", subject="s", priority=float(n % 3)) for n in range(TASKS)]

    async def enqueue() -> int:
        async with ledger.transaction() as tx:
            return len(await queue.enqueue(tx, plan))

    assert sorted(await asyncio.gather(enqueue(), enqueue())) == [0, TASKS]
    async with open_ledger(dsn=database, service="tiny", pool_size=WORKERS + 3) as wide:
        race = Race(ledger=wide, chance=random.Random(seed))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(race.work(f"w{number}"))
            for _ in range(2):
                group.create_task(race.sweep())
            group.create_task(race.jump())

    assert len(set(race.claimed)) == len(race.claimed), "no epoch was given twice"
    assert race.refused["finish"] > 0 and race.refused["checkpoint"] > 0, "zombies did try"
    async with ledger.connection() as conn:
        tasks = {row["key"]: row for row in await conn.fetch("select * from task")}
        seen = await conn.fetch("select sample, times from seen")
        attempts = await conn.fetch("select task_key, epoch, ending from attempt order by ended_at, epoch")
    assert {row["sample"]: row["times"] for row in seen} == dict.fromkeys(tasks, 1)
    assert {key: row["result"]["epoch"] for key, row in tasks.items()} == race.finished
    done = Counter(row["task_key"] for row in attempts if row["ending"] == "done")
    assert done == dict.fromkeys(tasks, 1)
    for key, row in tasks.items():
        epochs = [a["epoch"] for a in attempts if a["task_key"] == key]
        assert epochs == sorted(set(epochs)), f"I2: the epochs of {key} ended out of order"
        assert epochs[-1] == row["epoch"]
