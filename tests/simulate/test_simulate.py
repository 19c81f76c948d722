"""A small freeze on a small fleet, on the real ledger: reproducible, honest in its sums, true to the protocol."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from chassis.ledger.ledger import NOW, Ledger, open_ledger
from chassis.ledger.migrate import migrate
from tests.simulate.account import Costs, Figures
from tests.simulate.clock import VirtualClock
from tests.simulate.fleet import HOUR, Fleet
from tests.simulate.play import LEASE, SWEEP, Play
from tests.simulate.work import Job, Strategy, draw, jobs
from tests.support.clock import watch
from tests.support.databases import empty_database

SEED = 3
WORKERS = 6
INTERVALS = 40
RESTART = Strategy(name="restart")
CHUNKS = Strategy(name="chunks", chunk_bp=50_000)
SPLIT = Strategy(name="split + chunks", chunk_bp=50_000, split_bp=500_000)
STRATEGIES = (RESTART, CHUNKS, SPLIT)


def named(strategy: Strategy) -> str:
    return strategy.name


def cut(strategy: Strategy, *, mean_minutes: float = 1_154.7) -> tuple[Job, ...]:
    return jobs(draw(intervals=INTERVALS, seed=SEED, mean_minutes=mean_minutes), strategy)


def fleet(*, mtbf_hours: float = 45.0) -> Fleet:
    return Fleet(workers=WORKERS, mtbf_hours=mtbf_hours, seed=SEED)


ROUGH = fleet(mtbf_hours=10.0)


async def play(
    postgres_dsn: str, strategy: Strategy, *, machines: Fleet | None = None, mean_minutes: float = 1_154.7, **more: Any
) -> tuple[Figures, list[Any]]:
    """The figures and the attempt table. Postgres itself watches the protocol meanwhile, epochs above all."""
    async with empty_database(postgres_dsn) as dsn:
        await migrate(dsn=dsn, service="simulate", versions=None)
        async with open_ledger(dsn=dsn, service="simulate", pool_size=1) as ledger:
            await watch(ledger)
            played = Play(
                ledger=ledger,
                jobs=cut(strategy, mean_minutes=mean_minutes),
                fleet=machines or fleet(),
                strategy=strategy.name,
                **more,
            )
            figures = await played.run()
            return figures, await attempts(ledger)


@pytest.fixture(scope="module", params=STRATEGIES, ids=named)
async def rough(request: pytest.FixtureRequest, postgres_dsn: str) -> tuple[Strategy, Figures, list[Any]]:
    """A strategy on machines that live for half an interval."""
    return request.param, *await play(postgres_dsn, request.param, machines=ROUGH)


async def attempts(ledger: Ledger) -> list[Any]:
    async with ledger.connection() as conn:
        return await conn.fetch(
            "select task_key, epoch, host, ending, started_at, ended_at from attempt order by started_at, task_key"
        )


@pytest.mark.stack
async def test_the_same_seed_is_the_same_play_however_chunks_are_recorded(
    postgres_dsn: str, rough: tuple[Strategy, Figures, list[Any]]
) -> None:
    """Chunks recorded when their attempt ends are as good as each at its time: nobody reads them before."""
    strategy, together, rows = rough
    singly, same = await play(postgres_dsn, strategy, machines=ROUGH, each_chunk=True)
    assert replace(singly, calls=together.calls) == together
    assert [tuple(row) for row in rows] == [tuple(row) for row in same]
    if strategy.chunk_bp is not None:
        assert singly.calls["checkpoint"] > 2 * together.calls["checkpoint"]


def test_another_seed_is_another_play() -> None:
    assert draw(intervals=3, seed=SEED) == draw(intervals=3, seed=SEED) != draw(intervals=3, seed=SEED + 1)
    assert next(ROUGH.machines(0)) == next(ROUGH.machines(0)) != next(replace(ROUGH, seed=SEED + 1).machines(0))
    assert next(ROUGH.machines(0)).vanishes != next(ROUGH.machines(1)).vanishes


@pytest.mark.stack
async def test_each_task_ends_once_and_its_epochs_grow(rough: tuple[Strategy, Figures, list[Any]]) -> None:
    _, figures, rows = rough
    assert figures.unfinished == 0
    assert figures.losses and figures.preemptions, "a fleet that loses nothing shows nothing"
    done = [row["task_key"] for row in rows if row["ending"] == "done"]
    assert len(done) == len(set(done)) == figures.done
    for key in {row["task_key"] for row in rows}:
        mine = [row for row in rows if row["task_key"] == key]
        assert [row["epoch"] for row in mine] == list(range(1, len(mine) + 1))
        assert all(one["ended_at"] <= after["started_at"] for one, after in pairwise(mine))
        assert "done" not in [row["ending"] for row in mine[:-1]]


@pytest.mark.stack
async def test_the_sums_are_those_of_the_attempt_table(rough: tuple[Strategy, Figures, list[Any]]) -> None:
    """From the table, the machines' lives and the work as drawn, without anything that the play has counted."""
    strategy, figures, rows = rough
    began = min(row["started_at"] for row in rows)
    done = {row["task_key"] for row in rows if row["ending"] == "done"}
    vanished = lives(ROUGH, until=(max(row["ended_at"] for row in rows) - began).total_seconds())
    leased = waiting = 0.0
    for row in rows:
        leased += (row["ended_at"] - row["started_at"]).total_seconds()
        if row["ending"] == "loss":
            late = (row["ended_at"] - began).total_seconds() - vanished[row["host"]]
            # the machine may have gone just before a renewal, and the sweep may just have been
            assert LEASE * 3 / 4 - 0.001 <= late <= LEASE + SWEEP + 0.001
            waiting += late
    needed = math.fsum(Costs().of_job(job) for job in cut(strategy) if job.key in done)
    assert figures.attempts == len(rows)
    assert figures.losses == sum(row["ending"] == "loss" for row in rows) > 0
    assert figures.preemptions == sum(row["ending"] == "preemption" for row in rows) > 0
    assert figures.waiting_hours == pytest.approx(waiting / HOUR, abs=1e-6)
    assert figures.busy_hours == pytest.approx((leased - waiting) / HOUR, abs=1e-6)
    assert figures.wasted_hours == pytest.approx((leased - waiting - needed) / HOUR, abs=1e-6)


def lives(machines: Fleet, *, until: float) -> dict[str, float]:
    """When each host vanished, in seconds."""
    vanished: dict[str, float] = {}
    for place in range(machines.workers):
        for machine in machines.machines(place):
            if machine.boots > until:
                break
            vanished[machine.host] = machine.vanishes
    return vanished


@pytest.mark.stack
async def test_checkpoints_and_pieces_save_what_restarts_waste(postgres_dsn: str) -> None:
    calm = fleet(mtbf_hours=80.0)
    restart, chunks, split = [(await play(postgres_dsn, one, machines=calm))[0] for one in STRATEGIES]
    assert all(one.losses and one.preemptions and one.complete for one in (restart, chunks, split))
    assert split.wasted_hours < chunks.wasted_hours < restart.wasted_hours
    assert split.makespan_hours < restart.makespan_hours
    assert chunks.work_hours == pytest.approx(split.work_hours) == pytest.approx(INTERVALS * 1_154.7 / 60)


@pytest.mark.stack
async def test_machines_that_live_on_waste_nothing(postgres_dsn: str) -> None:
    figures, rows = await play(postgres_dsn, SPLIT, machines=fleet(mtbf_hours=1e7))
    assert figures.complete and figures.attempts == figures.tasks == len(rows)
    assert figures.wasted_hours == pytest.approx(0.0, abs=1e-6)
    assert figures.makespan_hours >= max(figures.share_hours, figures.longest_hours) - 1e-6
    assert figures.makespan_hours <= figures.share_hours + figures.longest_hours


@pytest.mark.stack
async def test_a_spent_budget_is_told_and_a_person_may_revive(postgres_dsn: str) -> None:
    """On hosts that live for half a task, a restarted task is lost on its budget of hosts."""
    machines = fleet(mtbf_hours=1.0)
    capped, _ = await play(postgres_dsn, RESTART, machines=machines, mean_minutes=60.0, cap_hours=3.0)
    assert capped.unfinished and capped.makespan_hours == 3.0
    alone, _ = await play(postgres_dsn, RESTART, machines=machines, mean_minutes=60.0)
    assert alone.dead and alone.dead + alone.done == alone.tasks
    cared, _ = await play(postgres_dsn, RESTART, machines=machines, mean_minutes=60.0, revive_hours=8.0)
    assert cared.calls["revive"] and cared.complete


async def test_the_virtual_clock_is_the_ledgers_and_goes_forward_only(ledger: Ledger) -> None:
    async with ledger.connection() as conn:
        clock = VirtualClock(conn=conn)
        await clock.install()
        await clock.tell()
        start = await conn.fetchval(NOW)
        clock.move(1e9 + 0.25)
        assert await conn.fetchval(NOW) == start
        await clock.tell()
        assert (await conn.fetchval(NOW) - start).total_seconds() == 1e9 + 0.25
    with pytest.raises(ValueError, match="cannot go back"):
        clock.move(1e9)
