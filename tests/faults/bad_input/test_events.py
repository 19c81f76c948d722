"""Events that cannot be read or contradict what was said: kept apart with their reason, no payload echoed, the next
event of the partition acted on; replayed once mended."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chassis.errors import Rejection
from chassis.ledger.ledger import Ledger
from chassis.ledger.quarantine import Delivery
from chassis.messaging.receive import Receipt, receive, replay
from chassis.service import Service
from chassis.settings import Settings
from contracts.envelope import encode
from contracts.events import MAX_EVENT_BYTES, GvcfReady, SampleTagRequested
from services.jointcall.main import build
from tests.conftest import LedgerFor
from tests.faults.bad_input.said import assert_says
from tests.support import events
from tests.support.deliver import delivery_of, task_keys

SECRET = "Erika-Mustermann-1970-01-31"
"""Planted in the payload: it may stand in the quarantine's stored bytes and nowhere else."""


def tagged(word: str = SECRET, *, request: uuid.UUID | None = None) -> SampleTagRequested:
    return SampleTagRequested(
        request_id=request or uuid.uuid4(), sample=events.sample_of(1), tag=word, actor=events.PERSON
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    ledger: Ledger
    service: Service

    async def receive(self, delivery: Delivery) -> Receipt:
        return await receive(self.ledger, self.service.subscriptions, delivery)

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with self.ledger.connection() as conn:
            return [dict(row) for row in await conn.fetch(statement)]


@pytest.fixture
async def desk(ledger_for: LedgerFor) -> AsyncIterator[Desk]:
    service = build(Settings())
    yield Desk(ledger=await ledger_for("jointcall", versions=service.migrations), service=service)


def invalid_json(delivery: Delivery) -> Delivery:
    return replace(delivery, body=delivery.body[:-3] + SECRET.encode())


def no_body(delivery: Delivery) -> Delivery:
    return replace(delivery, body=b"")


def a_field_of_another_type(delivery: Delivery) -> Delivery:
    return replace(delivery, body=json.dumps(json.loads(delivery.body) | {"tag": [SECRET]}).encode())


def without(name: str) -> Callable[[Delivery], Delivery]:
    def strip(delivery: Delivery) -> Delivery:
        return replace(delivery, headers=tuple(header for header in delivery.headers if header[0] != name))

    return strip


def with_header(name: str, value: bytes) -> Callable[[Delivery], Delivery]:
    def put(delivery: Delivery) -> Delivery:
        return replace(
            delivery, headers=tuple((key, value if key == name else before) for key, before in delivery.headers)
        )

    return put


def too_large(delivery: Delivery) -> Delivery:
    padded = json.loads(delivery.body) | {"padding": "x" * MAX_EVENT_BYTES}
    return replace(delivery, body=json.dumps(padded).encode())


ROWS: Mapping[str, tuple[Callable[[Delivery], Delivery], str, str]] = {
    "invalid JSON": (invalid_json, "EVENT_DECODE", "mend the producer"),
    "no body": (no_body, "EVENT_DECODE", "mend the producer"),
    "a field of another type": (a_field_of_another_type, "EVENT_DECODE", "mend the producer"),
    "no ce_id": (without("ce_id"), "ENVELOPE", "set the headers"),
    "no ce_type": (without("ce_type"), "ENVELOPE", "set the headers"),
    "no ce_time": (without("ce_time"), "ENVELOPE", "set the headers"),
    "a ce_id that is none": (with_header("ce_id", SECRET.encode()), "ENVELOPE", "through the outbox"),
    "another subject": (with_header("ce_subject", SECRET.encode()), "ENVELOPE", "through the outbox"),
    "a type that nobody knows": (with_header("ce_type", SECRET.encode()), "ENVELOPE", "discard the message"),
    "too large": (too_large, "EVENT_TOO_LARGE", "manifest object"),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_bad_event_is_kept_apart_and_the_next_is_acted_on(
    name: str, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, code, fix = ROWS[name]
    sound = delivery_of(tagged())
    bad = spoil(replace(sound, offset=41))
    assert await desk.receive(bad) is Receipt.quarantined
    assert await desk.receive(bad) is Receipt.quarantined
    (held,) = await desk.rows("select code, rejection, body, state from quarantine")
    assert (held["state"], bytes(held["body"])) == ("held", bad.body), "nothing of it is lost"
    assert_says(Rejection(**held["rejection"]), code, where="sample.tag.requested[0]@41", fix=fix, withheld=(SECRET,))
    shown = [str(row) for view in ("status_quarantine",) for row in await desk.rows(f"select * from {view}")]
    assert shown
    assert not [text for text in (*shown, caplog.text) if SECRET in text or SECRET.encode().hex() in text]
    assert await desk.rows("select * from inbox") == []

    assert await desk.receive(replace(sound, offset=42)) is Receipt.handled
    assert [row["tag"] for row in await desk.rows("select tag from tag")] == [SECRET]


async def test_the_same_id_with_other_content_contradicts_what_was_said(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    request = uuid.uuid4()
    first, other = tagged("batch1", request=request), tagged(request=request)
    assert first.event_id == other.event_id
    assert await desk.receive(delivery_of(first)) is Receipt.handled
    assert await desk.receive(replace(delivery_of(other), offset=42)) is Receipt.quarantined
    (held,) = await desk.rows("select rejection from quarantine")
    assert_says(
        Rejection(**held["rejection"]),
        "IDEMPOTENCY_CONFLICT",
        where=f"sample.tag.requested of {events.sample_of(1)}",
        fix="find the producer",
        withheld=(SECRET,),
    )
    assert SECRET not in caplog.text
    assert [row["tag"] for row in await desk.rows("select tag from tag")] == ["batch1"], "the first word stands"
    assert await desk.receive(delivery_of(first)) is Receipt.duplicate


async def test_an_event_that_could_not_be_read_is_replayed_once_it_can_be(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came from a release that is newer than this service; meanwhile the run's other samples went on."""
    monkeypatch.setattr(GvcfReady, "MAJOR", 2)
    newer = delivery_of(events.gvcf_ready(1))
    monkeypatch.undo()
    assert await desk.receive(newer) is Receipt.quarantined
    assert await desk.receive(delivery_of(events.gvcf_ready(2))) is Receipt.handled
    assert await desk.receive(delivery_of(events.freeze_requested())) is Receipt.handled
    assert await task_keys(desk.ledger) == ["plan:c:1"]
    (held,) = await desk.rows("select id, code from quarantine")
    assert held["code"] == "EVENT_VERSION"

    subscriptions = desk.service.subscriptions
    assert await replay(desk.ledger, subscriptions, held["id"], actor="ada", reason="too early") is Receipt.quarantined
    assert [row["key"] for row in await desk.rows("select key from sample")] == [events.sample_of(2)]
    monkeypatch.setattr(GvcfReady, "MAJOR", 2)
    assert await replay(desk.ledger, subscriptions, held["id"], actor="ada", reason="upgraded") is Receipt.handled
    assert await replay(desk.ledger, subscriptions, held["id"], actor="ada", reason="again") is None
    keys = {row["key"] for row in await desk.rows("select key from sample")}
    assert keys == {events.sample_of(1), events.sample_of(2)}
    (decided,) = await desk.rows("select state, decided_by, decision_reason from quarantine")
    assert tuple(decided.values()) == ("replayed", "ada", "upgraded")


def test_an_event_that_is_too_large_is_never_sent() -> None:
    """Refused where it enters: the producer's transaction does not commit."""
    from datetime import UTC, datetime

    from contracts.envelope import EnvelopeError

    big = events.gvcf_ready(1).model_copy(update={"run": "r" * MAX_EVENT_BYTES})
    with pytest.raises(EnvelopeError) as refused:
        encode(big, source="/cohortstream/test", time=datetime.now(UTC))
    assert (refused.value.code, "manifest object" in refused.value.fix) == ("EVENT_TOO_LARGE", True)
