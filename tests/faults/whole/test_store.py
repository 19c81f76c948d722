"""Faults of the object store, struck in the whole system while a cohort is on its way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from tests.chassis.storage.shim import Fault, Rule
from tests.faults.whole.rows import seeded
from tests.support.flow.plant import Plant


def some(share: float, fault: Fault, *, method: str, below: str = "", seen: Counter[str], most: int = 50) -> Rule:
    """This share of the requests of this method (below this prefix) meets the fault, `most` of them in all; `seen`
    counts how many did.

    By lot: at every fourth, a task of four uploads would never end.
    """
    drawn = random.Random(fault.name)

    def rule(request: web.Request) -> Fault | None:
        if request.method != method or below not in request.path or drawn.random() > share or seen[fault.name] >= most:
            return None
        seen[fault.name] += 1
        return fault

    return rule


async def goes_on(plant: Plant, rule: Callable[[Counter[str]], Rule]) -> None:
    seen = Counter[str]()
    plant.between.store(rule(seen))
    going = await plant.submit()
    assert await going.panel() == plant.undisturbed
    assert seen.total() > 3, "the fault struck"


@seeded
async def test_fault_26_a_store_that_answers_503_now_and_then(plant: Plant) -> None:
    await goes_on(plant, lambda seen: some(0.3, Fault.busy, method="PUT", seen=seen))


@seeded
async def test_fault_28_connections_cut_in_the_middle_of_a_get(plant: Plant) -> None:
    await goes_on(plant, lambda seen: some(0.4, Fault.cut, method="GET", below="/landing", seen=seen))


@seeded
async def test_fault_29_uploads_that_arrive_with_other_bytes(plant: Plant) -> None:
    await goes_on(plant, lambda seen: some(0.15, Fault.flipped, method="PUT", below="/working", seen=seen, most=5))


@seeded
async def test_fault_30_answers_lost_after_the_store_has_the_object(plant: Plant) -> None:
    await goes_on(plant, lambda seen: some(0.3, Fault.lost, method="PUT", below="/working", seen=seen))
