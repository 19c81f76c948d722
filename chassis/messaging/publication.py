"""The span of an event's way into Kafka, and the event's own headers with that span as what its consumers follow."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.telemetry import fixed
from chassis.telemetry.setup import tracer
from contracts.envelope import Message

_PROPAGATOR = TraceContextTextMapPropagator()
TRACEPARENT = "traceparent"


class Publication:
    """A publication that is under way. What Kafka did not acknowledge is sent again under the same ids, so that a
    consumer's cause is there whichever of the two reached it."""

    def __init__(self, *, span: Span, headers: tuple[tuple[str, bytes], ...]) -> None:
        self.headers = headers
        self._span = span

    def sent(self, *, partition: int, offset: int) -> None:
        self._span.set_attribute("messaging.destination.partition.id", str(partition))
        self._span.set_attribute("messaging.kafka.offset", offset)
        self._span.end()


def publication(message: Message) -> Publication:
    """Begin to publish a message of the outbox; its `traceparent` is the cause."""
    told = {name: value.decode() for name, value in message.headers}
    span = fixed.start(
        tracer(),
        f"publish {message.topic}",
        fixed.ids_of(told.get("ce_id", ""), "publish"),
        cause=told.get(TRACEPARENT),
        kind=SpanKind.PRODUCER,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.operation.name": "publish",
            "messaging.destination.name": message.topic,
            "messaging.message.id": told.get("ce_id", ""),
            "cohortstream.subject": told.get("ce_subject", ""),
        },
    )
    carried: dict[str, str] = {}
    _PROPAGATOR.inject(carried, context=set_span_in_context(span))
    if TRACEPARENT in carried:
        told[TRACEPARENT] = carried[TRACEPARENT]
    return Publication(span=span, headers=tuple((name, value.encode()) for name, value in told.items()))
