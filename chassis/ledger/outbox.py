"""The outbox: events are written in the transaction that makes them true and relayed to Kafka afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.ledger.ledger import Connection, Tx
from chassis.telemetry.context import current_traceparent
from contracts.envelope import Message, encode
from contracts.events import Event

ADD = """
insert into outbox (event_id, topic, key, headers, body, created_at)
values ($1, $2, $3, $4, $5, (select ledger_now()))
"""
LIFE = "select ledger_now() as now, number as incarnation from incarnation"
NOTIFY = "select pg_notify($1, '')"
UNSENT = "select id, topic, key, headers, body from outbox order by id limit $1"
SENT = "delete from outbox where id = any($1::bigint[])"
LEAD = "select pg_try_advisory_lock(hashtextextended($1, 0))"
BACKLOG = "select count(*) as backlog, min(created_at) as oldest, ledger_now() as now from outbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    id: int
    message: Message


def channel(service: str) -> str:
    return f"cohortstream_outbox_{service}"


def source_of(service: str) -> str:
    """`ce_source` of a service's events."""
    return f"/cohortstream/{service}"


async def add(tx: Tx, *events: Event) -> None:
    """Write events into this transaction's outbox; they carry the current span as their cause."""
    if not events:
        return
    traceparent = current_traceparent()
    life = await tx.conn.fetchrow(LIFE)
    assert life is not None
    now, incarnation = life["now"], life["incarnation"]
    for event in events:
        message = encode(
            event, source=source_of(tx.service), time=now, traceparent=traceparent, incarnation=incarnation
        )
        headers = [[name, value.decode()] for name, value in message.headers]
        await tx.conn.execute(ADD, event.id_in(incarnation), message.topic, message.key, headers, message.body)
    await tx.conn.execute(NOTIFY, channel(tx.service))


async def unsent(conn: Connection, *, limit: int) -> Sequence[Unsent]:
    """Rows not yet sent, in id order. Rows are deleted when sent, so one that commits late is still found."""
    rows = await conn.fetch(UNSENT, limit)
    return [
        Unsent(
            id=row["id"],
            message=Message(
                topic=row["topic"],
                key=bytes(row["key"]),
                headers=tuple((name, value.encode()) for name, value in row["headers"]),
                body=bytes(row["body"]),
            ),
        )
        for row in rows
    ]


async def mark_sent(conn: Connection, ids: Sequence[int]) -> None:
    await conn.execute(SENT, list(ids))


async def try_lead(conn: Connection, service: str) -> bool:
    """Become the one relay of this service: a session lock, gone when the connection is."""
    return bool(await conn.fetchval(LEAD, channel(service)))
