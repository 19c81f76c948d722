"""The inbox, on real Postgres: an event acts once."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chassis.errors import Rejected
from chassis.ledger import inbox
from chassis.ledger.ledger import Ledger
from contracts.envelope import Envelope

ENVELOPE = Envelope(
    event_id=uuid.uuid4(),
    type="cram.ready",
    source="/cohortstream/align",
    subject="smp_x",
    time=datetime.now(UTC),
    traceparent=None,
    content_hash="a" * 64,
)


async def accept(ledger: Ledger, envelope: Envelope) -> bool:
    async with ledger.transaction() as tx:
        return await inbox.accept(tx, envelope)


async def test_a_second_delivery_is_a_duplicate(ledger: Ledger) -> None:
    assert await accept(ledger, ENVELOPE)
    assert not await accept(ledger, ENVELOPE)


async def test_the_same_id_with_other_content_is_refused(ledger: Ledger) -> None:
    await accept(ledger, ENVELOPE)
    with pytest.raises(Rejected) as refused:
        await accept(ledger, replace(ENVELOPE, content_hash="b" * 64))
    assert refused.value.rejection.code == "IDEMPOTENCY_CONFLICT"
    assert not await accept(ledger, ENVELOPE), "the first content stays"


async def test_a_handler_that_failed_leaves_no_trace(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError):
        async with ledger.transaction() as tx:
            await inbox.accept(tx, ENVELOPE)
            raise RuntimeError
    assert await accept(ledger, ENVELOPE)


async def test_of_many_deliveries_at_once_one_acts(ledger: Ledger) -> None:
    """The others wait for its transaction and then see it."""
    assert sum(await asyncio.gather(*(accept(ledger, ENVELOPE) for _ in range(8)))) == 1
