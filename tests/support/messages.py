"""Events as Kafka delivers them, without Kafka."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime

from chassis.ledger.quarantine import Delivery
from contracts.envelope import encode
from contracts.events import Event, SampleTagRequested, WorkCancelRequested
from contracts.values import Actor, ActorKind

ACTOR = Actor(kind=ActorKind.person, name="ada")
_offsets = itertools.count()


def tag(sample: str, word: str = "t", *, request_id: uuid.UUID | None = None) -> SampleTagRequested:
    return SampleTagRequested(request_id=request_id or uuid.uuid4(), sample=sample, tag=word, actor=ACTOR)


def cancel(target: str) -> WorkCancelRequested:
    return WorkCancelRequested(request_id=uuid.uuid4(), target=target, actor=ACTOR, reason="not needed")


def delivery_of(event: Event, *, traceparent: str | None = None) -> Delivery:
    """The event as the next record of its topic's only partition."""
    message = encode(event, source="/cohortstream/test", time=datetime.now(UTC), traceparent=traceparent)
    return Delivery(
        topic=message.topic,
        partition=0,
        offset=next(_offsets),
        key=message.key,
        headers=message.headers,
        body=message.body,
    )
