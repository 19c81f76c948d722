"""A freeze's facts come again, or its failure first. In any order: tests/faults/test_orders.py."""

from __future__ import annotations

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
