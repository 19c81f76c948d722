"""Fault 43: a panel's facts and its intervals' ends come in any order, and again; the same panel follows, once."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from chassis.errors import Rejection
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Lease
from chassis.messaging.receive import Receipt
from chassis.service import Service
from chassis.settings import Settings
from contracts.values import ArtifactKind
from services.annotate import commits
from services.annotate.main import build
from tests.support import events
from tests.support.deliver import deliver, outgoing, task_keys

pytestmark = pytest.mark.stack

INTERVALS = 3


@pytest.fixture
def service() -> Service:
    return build(Settings())


@pytest.fixture
async def ledger(ledger_for: Callable[..., Awaitable[Ledger]], service: Service) -> Ledger:
    return await ledger_for("annotate", versions=service.migrations)


def entry(index: int) -> dict[str, Any]:
    return {
        "index": index,
        "interval": events.interval(index).model_dump(mode="json"),
        "vcf": events.artifact(ArtifactKind.vcf, f"{index}.vcf.gz").model_dump(mode="json"),
        "vcf_index": events.artifact(ArtifactKind.vcf_index, f"{index}.vcf.gz.tbi").model_dump(mode="json"),
        "variants": 5,
        "passed": 4,
    }


async def claim(ledger: Ledger, *, limit: int = 1) -> list[Lease]:
    async with ledger.connection() as conn:
        return await queue.claim(
            conn,
            pools=("default",),
            memory_classes=("small",),
            owner="w",
            host="h",
            ttl=timedelta(minutes=1),
            limit=limit,
        )


async def end(ledger: Ledger, lease: Lease, result: dict[str, Any], committed: Callable[..., Awaitable[None]]) -> None:
    async with ledger.transaction() as tx:
        assert await queue.finish(tx, lease, result=result)
        await committed(tx, lease, result)


async def planned(ledger: Ledger) -> Sequence[Lease]:
    """The leases of all intervals, in order of their index."""
    (plan,) = await claim(ledger)
    await end(ledger, plan, {"entries": [entry(index) for index in range(INTERVALS)]}, commits.planned)
    leases = await claim(ledger, limit=INTERVALS)
    return sorted(leases, key=lambda lease: lease.key)


async def stands(ledger: Ledger, freeze: str) -> str:
    async with ledger.connection() as conn:
        return str(await conn.fetchval("select state from status_subject where subject = $1", freeze))


async def test_fault_43_intervals_that_end_in_any_order_give_the_same_release(ledger: Ledger, service: Service) -> None:
    payloads = []
    for number, order in enumerate(itertools.permutations(range(INTERVALS)), start=1):
        freeze = f"c:{number}"
        await deliver(ledger, service, events.recalibrated(freeze))
        leases = await planned(ledger)
        for index in order:
            assert f"release:{freeze}" not in await task_keys(ledger), "acted before the last interval"
            await end(ledger, leases[index], entry(index), commits.annotated)
        (release,) = await claim(ledger)
        assert release.key == f"release:{freeze}"
        payloads.append(release.payload["intervals"])
    assert [one["index"] for one in payloads[0]] == [0, 1, 2]
    assert all(payload == payloads[0] for payload in payloads)


async def test_fault_43_the_failure_of_a_freeze_overtakes_its_panel(ledger: Ledger, service: Service) -> None:
    """Cancelled by a person while its filters ended: nothing of it is annotated."""
    await deliver(ledger, service, events.freeze_failed(), events.recalibrated())
    assert await task_keys(ledger) == []
    assert await stands(ledger, "c:1") == "failed"


@pytest.mark.parametrize("place", range(INTERVALS + 1))
async def test_fault_43_a_failure_between_any_two_ends_stops_the_rest(
    ledger: Ledger, service: Service, place: int
) -> None:
    await deliver(ledger, service, events.recalibrated())
    leases = await planned(ledger)
    for index in range(place):
        await end(ledger, leases[index], entry(index), commits.annotated)
    await deliver(ledger, service, events.freeze_failed(), events.recalibrated(), events.freeze_failed())
    assert await stands(ledger, "c:1") == "failed"
    assert await claim(ledger) == []
    async with ledger.transaction() as tx:
        assert not any([await queue.finish(tx, lease, result={}) for lease in leases[place:]])
    assert await outgoing(ledger) == [], "whoever gave up has said so"


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
