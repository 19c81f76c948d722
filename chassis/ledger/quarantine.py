"""The quarantine: events that cannot be read or are refused, kept whole, with their reason, until someone decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.errors import Rejection
from chassis.ledger.ledger import Tx, storable

HOLD = """
insert into quarantine (topic, partition, "offset", key, headers, body, code, rejection, received_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, (select ledger_now()))
on conflict (topic, partition, "offset") do nothing
returning id
"""
STILL_HELD = "update quarantine set code = $2, rejection = $3 where id = $1 and state = 'held'"
TAKE = "select * from quarantine where id = $1 and state = 'held' for update"
DECIDE = """
update quarantine set state = $2, decided_at = (select ledger_now()), decided_by = $3, decision_reason = $4
where id = $1 and state = 'held'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message as Kafka delivered it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    body: bytes


async def hold(tx: Tx, delivery: Delivery, rejection: Rejection) -> int | None:
    """Keep a delivery with its reason. None when this very delivery is held already."""
    headers = [[storable(name), value.hex()] for name, value in delivery.headers]
    held: int | None = await tx.conn.fetchval(
        HOLD,
        delivery.topic,
        delivery.partition,
        delivery.offset,
        delivery.key,
        headers,
        delivery.body,
        rejection.code,
        {name: storable(text) for name, text in rejection.as_dict().items()},
    )
    return held


async def take(tx: Tx, item: int) -> Delivery | None:
    """Lock a held item for a decision; None when it is not there or decided already."""
    row = await tx.conn.fetchrow(TAKE, item)
    if row is None:
        return None
    headers: Sequence[tuple[str, str]] = row["headers"]
    return Delivery(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"],
        headers=tuple((name, bytes.fromhex(value)) for name, value in headers),
        body=bytes(row["body"]),
    )


async def decide(tx: Tx, item: int, *, replayed: bool, actor: str, reason: str) -> None:
    await tx.conn.execute(DECIDE, item, "replayed" if replayed else "discarded", actor, reason)


async def still_held(tx: Tx, item: int, rejection: Rejection) -> None:
    """A replay failed: the item stays, with today's reason."""
    said = {name: storable(text) for name, text in rejection.as_dict().items()}
    await tx.conn.execute(STILL_HELD, item, rejection.code, said)
