"""A panel's facts come again, an interval dies: one plan, one end. In any order: tests/faults/test_orders.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from chassis.errors import Rejection
from chassis.ledger.ledger import Ledger
from chassis.messaging.receive import Receipt
from chassis.service import Service
from chassis.settings import Settings
from services.annotate import commits
from services.annotate.main import build
from tests.services.annotate.panel import INTERVALS, planned, stands
from tests.support import events
from tests.support.deliver import deliver, outgoing, task_keys

pytestmark = pytest.mark.stack


@pytest.fixture
def service() -> Service:
    return build(Settings())


@pytest.fixture
async def ledger(ledger_for: Callable[..., Awaitable[Ledger]], service: Service) -> Ledger:
    return await ledger_for("annotate", versions=service.migrations)


async def test_fault_21_the_same_panel_again_is_one_plan(ledger: Ledger, service: Service) -> None:
    receipts = await deliver(ledger, service, *[events.recalibrated()] * 3)
    assert receipts == [Receipt.handled, Receipt.duplicate, Receipt.duplicate]
    assert await task_keys(ledger) == ["plan:c:1"]


async def test_a_dead_interval_ends_the_panel_once(ledger: Ledger, service: Service) -> None:
    await deliver(ledger, service, events.recalibrated())
    first, second, _ = await planned(ledger)
    rejection = Rejection(code="BUILD_MISMATCH", message="m", where="w", rule="r", fix="f")
    for lease in (first, second):
        async with ledger.transaction() as tx:
            await commits.gave_up(tx, lease, rejection)
    ((topic, body),) = await outgoing(ledger)
    assert topic == "freeze.failed"
    assert '"stage":"annotate"' in body.replace(" ", "")
    assert await stands(ledger, "c:1") == "failed"
    assert len(await task_keys(ledger, "cancelled")) == INTERVALS
