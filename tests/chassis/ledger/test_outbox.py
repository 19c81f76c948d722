"""The outbox, on real Postgres: events are written with what makes them true, and none is passed over."""

from __future__ import annotations

import pytest

from chassis.ledger import outbox
from chassis.ledger.ledger import Ledger
from contracts.envelope import decode
from contracts.events import SampleWithdrawn
from tests.support.site import sample_key


def fact(service: str = "tiny") -> SampleWithdrawn:
    return SampleWithdrawn(sample=sample_key(), service=service)


async def unsent_samples(ledger: Ledger, *, limit: int = 10) -> list[str]:
    async with ledger.connection() as conn:
        rows = await outbox.unsent(conn, limit=limit)
    return [row.message.key.decode() for row in rows]


async def test_an_event_is_there_exactly_when_its_transaction_is(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError):
        async with ledger.transaction() as tx:
            await outbox.add(tx, fact())
            raise RuntimeError
    assert await unsent_samples(ledger) == []
    kept = fact()
    async with ledger.transaction() as tx:
        await outbox.add(tx, kept)
    assert await unsent_samples(ledger) == [kept.sample]


async def test_an_event_comes_back_as_it_went_in(ledger: Ledger) -> None:
    event = fact()
    async with ledger.transaction() as tx:
        await outbox.add(tx, event)
    async with ledger.connection() as conn:
        (row,) = await outbox.unsent(conn, limit=10)
    envelope, read = decode(row.message.headers, row.message.body)
    assert read == event
    assert (envelope.event_id, envelope.source) == (event.event_id, "/cohortstream/tiny")
    assert row.message.topic == "sample.withdrawn"


async def test_ids_that_commit_out_of_order_are_not_passed_over(ledger: Ledger) -> None:
    """Fault 25: the row with the smaller id becomes visible after the larger one was sent."""
    late, early = fact(), fact()
    async with ledger.transaction() as slow:
        await outbox.add(slow, late)
        async with ledger.transaction() as quick:
            await outbox.add(quick, early)
        async with ledger.connection() as conn:
            (row,) = await outbox.unsent(conn, limit=10)
            await outbox.mark_sent(conn, [row.id])
        assert row.message.key.decode() == early.sample
    assert await unsent_samples(ledger) == [late.sample]


async def test_rows_are_read_in_the_order_they_were_written(ledger: Ledger) -> None:
    events = [fact() for _ in range(7)]
    async with ledger.transaction() as tx:
        await outbox.add(tx, *events)
    assert await unsent_samples(ledger, limit=5) == [event.sample for event in events[:5]]


async def test_one_relay_leads_until_its_connection_ends(ledger: Ledger) -> None:
    first, second = await ledger.dedicated(), await ledger.dedicated()
    try:
        assert await outbox.try_lead(first, "tiny")
        assert not await outbox.try_lead(second, "tiny")
        assert await outbox.try_lead(second, "other"), "each service has a leader of its own"
        await first.close()
        assert await outbox.try_lead(second, "tiny")
    finally:
        await first.close()
        await second.close()
