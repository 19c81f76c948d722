"""Fan-out and gather, on real Postgres: any order, any repetition, any race, one completion."""

from __future__ import annotations

import asyncio
import itertools

from chassis.ledger import fanout
from chassis.ledger.ledger import Ledger


async def test_any_order_of_facts_completes_once_and_the_same(ledger: Ledger) -> None:
    steps = ("expect", 0, 1, 2, 1)
    for number, order in enumerate(itertools.permutations(steps)):
        name = f"fan-{number}"
        completions = []
        for step in order:
            async with ledger.transaction() as tx:
                if isinstance(step, int):
                    await fanout.arrive(tx, name, step, {"v": step})
                else:
                    await fanout.expect(tx, name, 3)
                values = await fanout.complete(tx, name)
            if values is not None:
                completions.append(values)
        assert completions == [[{"v": 0}, {"v": 1}, {"v": 2}]], order


async def test_arrivals_that_race_complete_once(ledger: Ledger) -> None:
    async with ledger.transaction() as tx:
        await fanout.expect(tx, "fan", 20)

    async def arrive(index: int) -> bool:
        async with ledger.transaction() as tx:
            await fanout.arrive(tx, "fan", index, {})
            return await fanout.complete(tx, "fan") is not None

    assert sum(await asyncio.gather(*(arrive(index) for index in range(20)))) == 1


async def test_an_ended_fan_never_completes(ledger: Ledger) -> None:
    async with ledger.transaction() as tx:
        assert await fanout.end(tx, "fan", reason="an interval is dead")
        assert not await fanout.end(tx, "fan", reason="another too")
        await fanout.expect(tx, "fan", 1)
        await fanout.arrive(tx, "fan", 0, {})
        assert await fanout.complete(tx, "fan") is None
