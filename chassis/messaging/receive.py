"""What happens to one delivery, in one transaction: inbox, handler, tasks, outbox. No broker is needed to test it."""

from __future__ import annotations

import logging
from enum import StrEnum

from opentelemetry.trace import SpanKind, Status, StatusCode

from chassis.errors import Rejected, Rejection
from chassis.ledger import inbox, quarantine
from chassis.ledger.incarnation import took_back
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.quarantine import Delivery
from chassis.ledger.trouble import passes
from chassis.service import Subscriptions
from chassis.telemetry.context import context_of
from chassis.telemetry.database import transaction_span
from chassis.telemetry.instruments import received
from chassis.telemetry.setup import tracer
from contracts.envelope import EnvelopeError, decode

log = logging.getLogger(__name__)


class Receipt(StrEnum):
    handled = "handled"
    duplicate = "duplicate"
    quarantined = "quarantined"
    ignored = "ignored"
    forgotten = "forgotten"
    """Told after a backup by a ledger that was restored from it since: it will tell it again, or not."""


async def receive(ledger: Ledger, subscriptions: Subscriptions, delivery: Delivery) -> Receipt:
    """Act on a delivery once and count it; raises as `_settle` does."""
    receipt = await _settle(ledger, subscriptions, delivery)
    received(service=ledger.service, topic=delivery.topic, receipt=receipt.value)
    return receipt


async def _settle(ledger: Ledger, subscriptions: Subscriptions, delivery: Delivery) -> Receipt:
    """Act on a delivery once. Raises what `ledger.trouble.passes` names when it must come again: nothing of it is
    settled then. Everything else is settled."""
    try:
        return await _act(ledger, subscriptions, delivery)
    except Rejected as rejected:
        rejection = rejected.rejection
    except Exception as error:  # a handler's bug must not stop the partition; the event is kept with its reason
        if passes(error):
            raise
        log.exception("a handler failed", extra={"topic": delivery.topic, "offset": delivery.offset})
        rejection = _bug(error, delivery)
    async with ledger.transaction() as tx:
        await quarantine.hold(tx, delivery, rejection)
    log.error(
        "event quarantined",
        extra={
            "topic": delivery.topic,
            "partition": delivery.partition,
            "offset": delivery.offset,
            "code": rejection.code,
        },
    )
    return Receipt.quarantined


async def replay(ledger: Ledger, subscriptions: Subscriptions, item: int, *, actor: str, reason: str) -> Receipt | None:
    """Act on a quarantined delivery again. None when it is not held; failing again, it stays."""
    async with ledger.transaction() as tx:
        delivery = await quarantine.take(tx, item)
    if delivery is None:
        return None
    try:
        receipt = await _act(ledger, subscriptions, delivery)
    except Rejected as rejected:
        rejection = rejected.rejection
    except Exception as error:  # as in receive
        if passes(error):
            raise
        log.exception("a handler failed on replay", extra={"item": item})
        rejection = _bug(error, delivery)
    else:
        async with ledger.transaction() as tx:
            await quarantine.decide(tx, item, replayed=True, actor=actor, reason=reason)
        return receipt
    async with ledger.transaction() as tx:
        await quarantine.still_held(tx, item, rejection)
    return Receipt.quarantined


async def _act(ledger: Ledger, subscriptions: Subscriptions, delivery: Delivery) -> Receipt:
    try:
        envelope, event = decode(delivery.headers, delivery.body)
    except EnvelopeError as error:
        raise Rejected(
            Rejection(
                code=error.code,
                message=error.message,
                where=f"{delivery.topic}[{delivery.partition}]@{delivery.offset}",
                rule=error.rule,
                fix=error.fix,
            )
        ) from None
    found = subscriptions.handlers.get(envelope.type)
    if found is None:
        return Receipt.ignored
    _, handler = found
    with (
        tracer().start_as_current_span(
            f"process {envelope.type}",
            context=context_of(envelope.traceparent),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": delivery.topic,
                "messaging.destination.partition.id": str(delivery.partition),
                "messaging.kafka.offset": delivery.offset,
                "messaging.message.id": str(envelope.event_id),
                "cohortstream.subject": envelope.subject,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        transaction_span(ledger.service),
    ):
        async with ledger.transaction() as tx:
            if await took_back(tx.conn, delivery, envelope, event):
                span.add_event("forgotten")
                return Receipt.forgotten
            if not await inbox.accept(tx, envelope):
                span.add_event("duplicate")
                return Receipt.duplicate
            try:
                await handler(tx, event)
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR))
                span.set_attribute("error.type", type(error).__name__)
                if not passes(error):
                    code = error.rejection.code if isinstance(error, Rejected) else "HANDLER_FAILED"
                    span.add_event("quarantined", {"cohortstream.reason": code})
                raise
    return Receipt.handled


def _bug(error: Exception, delivery: Delivery) -> Rejection:
    return Rejection(
        code="HANDLER_FAILED",
        message=f"the handler raised {type(error).__name__}",
        where=f"{delivery.topic}[{delivery.partition}]@{delivery.offset}",
        rule="a handler accepts an event or refuses it with a code",
        fix="read the log of the time, mend the handler, then replay the event",
    )


async def note_command(tx: Tx, *, request_id: object, type: str, subject: str, actor: str, reason: str) -> None:
    """Keep who asked for what."""
    await tx.conn.execute(AUDIT, request_id, type, subject, actor, reason)


AUDIT = """
insert into audit (request_id, type, subject, actor, reason, received_at)
values ($1, $2, $3, $4, $5, (select ledger_now())) on conflict do nothing
"""
