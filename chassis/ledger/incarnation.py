"""Which life of the ledger this is. A restore from backup begins a new one: decisions/0013 says what that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.ledger.ledger import Connection, Tx
from chassis.ledger.outbox import source_of
from chassis.ledger.quarantine import Delivery
from contracts.envelope import Envelope
from contracts.events import Event, EventKind

NUMBER = "select number from incarnation"
RAISE = "update incarnation set number = $1, raised_at = (select ledger_now()) where number < $1 returning number"
FORGOTTEN = """
select services from rewound where topic = $1 and partition = $2 and first <= $3 and $3 < past
"""
RELEASE_LEASES = """
update task set state = 'ready', ready_at = (select ledger_now()), lease_until = null,
                changed_at = (select ledger_now()), reason = 'the ledger was restored from a backup'
where state = 'leased'
"""
REWIND = """
insert into rewound (topic, partition, first, past, incarnation, services, caught_up)
select topic, partition, first, past, $5, $6, false
from unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) as span (topic, partition, first, past)
"""
FORGET_REWINDING = "delete from rewound"
ANOTHER_LOG = 'update quarantine set "offset" = -id'
BEHIND = "select topic, partition, past from rewound where not caught_up order by topic, partition"
CAUGHT_UP = "update rewound set caught_up = true where topic = $1 and partition = $2 and past <= $3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Records of one partition, by offset: from `first` up to `past`."""

    topic: str
    partition: int
    first: int
    past: int


async def raise_to(tx: Tx, number: int) -> None:
    """Begin a new life. Raises ValueError when the ledger is in a later one already: a number is never taken twice.

    Leases of the former life are released: their holders' writes meet the fence.
    """
    if await tx.conn.fetchval(RAISE, number) is None:
        raise ValueError(f"incarnation {number} is not beyond that of the ledger of {tx.service}")
    await tx.conn.execute(RELEASE_LEASES)


async def rewind(
    tx: Tx, spans: Sequence[Span], *, incarnation: int, services: Sequence[str], another_log: bool = False
) -> None:
    """Note what was written to the log after the backup. No lease is given before the consumer has passed it all.

    `another_log`: the backup's offsets mean nothing in this Kafka; quarantined events lose their place in the former.
    """
    if another_log:
        await tx.conn.execute(FORGET_REWINDING)
        await tx.conn.execute(ANOTHER_LOG)
    await tx.conn.execute(
        REWIND,
        [span.topic for span in spans],
        [span.partition for span in spans],
        [span.first for span in spans],
        [span.past for span in spans],
        incarnation,
        list(services),
    )


async def took_back(conn: Connection, delivery: Delivery, envelope: Envelope, event: Event) -> bool:
    """Did a restore from backup take this event back: was it told after the backup by a ledger that forgot it?"""
    if not event.TAKEN_BACK:
        return False
    rows = await conn.fetch(FORGOTTEN, delivery.topic, delivery.partition, delivery.offset)
    if event.KIND is EventKind.command:
        return bool(rows)
    return any(envelope.source == source_of(service) for row in rows for service in row["services"])


async def behind(conn: Connection) -> list[Span]:
    """What the consumer must have passed before work goes on."""
    return [
        Span(topic=row["topic"], partition=row["partition"], first=0, past=row["past"])
        for row in await conn.fetch(BEHIND)
    ]


async def caught_up(conn: Connection, *, topic: str, partition: int, offset: int) -> None:
    """Everything of the partition before `offset` is settled."""
    await conn.execute(CAUGHT_UP, topic, partition, offset)
