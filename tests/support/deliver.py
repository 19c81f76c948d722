"""Deliver events to a service's handlers as its consumer would, without a broker."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from chassis.ledger.ledger import Ledger
from chassis.ledger.quarantine import Delivery
from chassis.messaging.receive import Receipt, receive
from chassis.service import Service
from contracts.envelope import encode
from contracts.events import Event

_OFFSETS = itertools.count()


async def deliver(ledger: Ledger, service: Service, *events: Event) -> list[Receipt]:
    return [await receive(ledger, service.subscriptions, delivery_of(event)) for event in events]


def delivery_of(event: Event) -> Delivery:
    message = encode(event, source="/cohortstream/test", time=datetime.now(UTC))
    return Delivery(
        topic=message.topic,
        partition=0,
        offset=next(_OFFSETS),
        key=message.key,
        headers=message.headers,
        body=message.body,
    )


async def outgoing(ledger: Ledger) -> list[tuple[str, str]]:
    """(topic, body) of what stands in the outbox."""
    async with ledger.connection() as conn:
        rows = await conn.fetch("select topic, body from outbox order by id")
    return [(row["topic"], bytes(row["body"]).decode()) for row in rows]


async def task_keys(ledger: Ledger, state: str | None = None) -> list[str]:
    async with ledger.connection() as conn:
        rows = await conn.fetch("select key from task where $1::text is null or state = $1 order by key", state)
    return [row["key"] for row in rows]
