"""The inbox: an event acts once, however often it is delivered."""

from __future__ import annotations

from chassis.errors import reject
from chassis.ledger.ledger import Tx
from contracts.envelope import Envelope

ACCEPT = """
insert into inbox (event_id, type, subject, content_hash, received_at)
values ($1, $2, $3, $4, (select ledger_now()))
on conflict (event_id) do nothing
returning event_id
"""
CONTENT_OF = "select content_hash from inbox where event_id = $1"


async def accept(tx: Tx, envelope: Envelope) -> bool:
    """True the first time, False for a duplicate.

    Raises Rejected (IDEMPOTENCY_CONFLICT) when the id is known with other content.
    """
    fresh = await tx.conn.fetchval(ACCEPT, envelope.event_id, envelope.type, envelope.subject, envelope.content_hash)
    if fresh is not None:
        return True
    known = await tx.conn.fetchval(CONTENT_OF, envelope.event_id)
    if known != envelope.content_hash:
        raise reject(
            code="IDEMPOTENCY_CONFLICT",
            message=f"event {envelope.event_id} came before with other content",
            where=f"{envelope.type} of {envelope.subject}",
            rule="an event id stands for one content for ever",
            fix="find the producer that reused the id; give the new fact its own version or request id",
        )
    return False
