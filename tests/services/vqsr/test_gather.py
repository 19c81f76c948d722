"""Fault 43: a freeze's facts arrive in any order across topics; the same work follows, once."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

import pytest

from chassis.ledger.ledger import Ledger
from chassis.service import Service
from chassis.settings import Settings
from contracts.events import FreezeFailed
from contracts.values import RejectionDetail
from services.vqsr.main import build
from tests.support import events
from tests.support.deliver import deliver, task_keys


@pytest.fixture
def service() -> Service:
    return build(Settings())


@pytest.fixture
async def ledger(ledger_for: Callable[..., Awaitable[Ledger]], service: Service) -> Ledger:
    return await ledger_for("vqsr", versions=service.migrations)


def facts(freeze: str) -> list[object]:
    return [events.frozen(freeze), *(events.genotyped(index, freeze) for index in range(3))]


async def payload(ledger: Ledger, key: str) -> dict[str, object]:
    async with ledger.connection() as conn:
        found = await conn.fetchval("select payload from task where key = $1", key)
    return dict(found)


async def test_fault_43_any_order_gives_the_same_training_task(ledger: Ledger, service: Service) -> None:
    seen = set()
    for number, order in enumerate(itertools.permutations(range(4)), start=1):
        freeze = f"c:{number}"
        all_facts = facts(freeze)
        for step, place in enumerate(order):
            assert f"train:{freeze}" not in await task_keys(ledger), "acted before the last fact"
            await deliver(ledger, service, all_facts[place])  # type: ignore[arg-type]
            assert step < 3 or f"train:{freeze}" in await task_keys(ledger)
        found = await payload(ledger, f"train:{freeze}")
        seen.add(repr(found["sites"]).replace(f"c-{number}-", "c-N-"))
    uris = {text.count("sites.vcf.gz'") for text in seen}
    assert uris == {3}
    assert len(await task_keys(ledger)) == 24


async def test_the_same_facts_again_change_nothing(ledger: Ledger, service: Service) -> None:
    for _ in range(3):
        await deliver(ledger, service, *facts("c:1"))  # type: ignore[arg-type]
    assert await task_keys(ledger) == ["train:c:1"]


async def test_a_freeze_that_failed_is_not_filtered(ledger: Ledger, service: Service) -> None:
    """Its failure may overtake the last interval."""
    failed = FreezeFailed(
        freeze="c:1",
        cohort="c",
        stage="jointcall",
        rejection=RejectionDetail(code="BAD_INPUT", message="m", where="w", rule="r", fix="f"),
        went_on="all else",
    )
    await deliver(ledger, service, *facts("c:1")[:3], failed, facts("c:1")[3])  # type: ignore[arg-type]
    assert await task_keys(ledger) == []
