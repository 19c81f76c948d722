"""Messages: whatever headers and body, an event or an envelope error; whatever the delivery, it is settled."""

from __future__ import annotations

import itertools
import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import Rejection
from chassis.ledger.ledger import Ledger
from chassis.ledger.quarantine import Delivery
from chassis.messaging.common import with_common
from chassis.messaging.receive import Receipt, receive
from chassis.settings import load
from contracts.envelope import REQUIRED, EnvelopeError, decode, encode
from contracts.events import ALL, BY_TYPE, MAX_EVENT_BYTES
from contracts.generate import schemas
from tests.fuzz.broken import NASTY, junk, mutated
from tests.fuzz.judged import SECRET, fuzzed, good, judged
from tests.support import tiny

CODES = {"ENVELOPE", "EVENT_DECODE", "EVENT_TOO_LARGE", "EVENT_VERSION"}
Wire = tuple[tuple[tuple[str, bytes], ...], bytes]
_OFFSETS = itertools.count()


def sent(event_type: str) -> Wire:
    event = BY_TYPE[event_type].model_validate(schemas.example(event_type))
    message = encode(event, source="/cohortstream/test", time=datetime(2024, 3, 11, tzinfo=UTC))
    return message.headers, message.body


@st.composite
def wires(draw: st.DrawFn) -> Wire:
    """A valid message after accidents in its headers, its body, or the values of its body."""
    headers, body = sent(draw(st.sampled_from([event.TYPE for event in ALL])))
    kept = [pair for pair in headers if draw(st.integers(0, 20))]
    for place in range(len(kept)):
        if draw(st.integers(0, 9)) == 0:
            kept[place] = kept[place][0], draw(mutated(kept[place][1], most=1))
    kept += draw(
        st.lists(st.tuples(st.one_of(st.sampled_from(REQUIRED), st.text(max_size=5)), junk(most=20)), max_size=1)
    )
    match draw(st.integers(0, 3)):
        case 0:
            return tuple(kept), draw(mutated(body, most=2))
        case 1:
            return tuple(kept), draw(junk())
        case _:
            return tuple(kept), json.dumps(draw(_other_values(json.loads(body)))).encode()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.just(SECRET),
    st.sampled_from([10**400, -1, 0, "²", "a\x00b", "\u202e", "9999-12-31", "0001-01-01", [], {}, [[]] * 3]),
)


@st.composite
def _other_values(draw: st.DrawFn, document: object) -> object:
    """The document with another value, or one field more or less, in some places."""
    if isinstance(document, dict):
        made = {key: draw(_other_values(value)) for key, value in document.items() if draw(st.integers(0, 30))}
        if not draw(st.integers(0, 9)):
            made[draw(st.text(max_size=5))] = draw(VALUES)
        return made
    if isinstance(document, list):
        return [draw(_other_values(value)) for value in document]
    return document if draw(st.integers(0, 12)) else draw(VALUES)


def deep(depth: int) -> Wire:
    headers, _ = sent("sample.withdrawn")
    return headers, b'{"sample":' + b"[" * depth + b"]" * depth + b"}"


def decoded(wire: Wire) -> None:
    try:
        envelope, event = decode(*wire)
    except EnvelopeError as error:
        assert error.code in CODES
        good(Rejection(code=error.code, message=error.message, where="a record", rule=error.rule, fix=error.fix))
        assert SECRET not in f"{error} {error.rule} {error.fix}"
    else:
        assert envelope.subject == event.subject
        assert len(encode(event, source="x", time=envelope.time).body) <= MAX_EVENT_BYTES + 1024


@fuzzed
@given(wires())
@example(deep(100_000))
@example(((), b""))
@example((sent("sample.withdrawn")[0], b"\xff\xfe{}"))
@example((sent("cohort.frozen")[0], b'{"number":' + b"9" * 5000 + b"}"))
def test_a_message_is_an_event_or_an_envelope_error(wire: Wire) -> None:
    judged(lambda: decoded(wire))


@fuzzed
@given(
    st.dictionaries(st.one_of(st.sampled_from(REQUIRED), st.text()), st.one_of(st.text(), st.sampled_from(NASTY))),
    st.one_of(st.none(), st.binary(max_size=100)),
)
def test_headers_of_any_kind_are_read(headers: dict[str, str | bytes], body: bytes | None) -> None:
    try:
        decode(headers, body)
    except EnvelopeError as error:
        assert error.code in CODES


@fuzzed
@given(wires(), st.one_of(st.none(), junk(most=20)))
@example((tuple((name, value + b"\x00\xff") for name, value in sent("work.cancel.requested")[0]), b"\x00"), b"\xff")
@example(((("ce_id\x00", b"\x00"), ("\ud800", b"")), SECRET.encode()), None)
async def test_every_delivery_is_settled_and_none_is_repeated_in_a_log(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, wire: Wire, key: bytes | None
) -> None:
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    service = with_common(tiny.build(load(None, environ={})))
    delivery = Delivery(
        topic="sample.tag.requested", partition=0, offset=next(_OFFSETS), key=key, headers=wire[0], body=wire[1]
    )
    receipt = await receive(ledger, service.subscriptions, delivery)
    assert receipt in Receipt
    if receipt is Receipt.quarantined:
        async with ledger.connection() as conn:
            held = await conn.fetchrow('select * from quarantine where "offset" = $1', delivery.offset)
        assert held is not None
        assert bytes(held["body"]) == delivery.body
        good(Rejection(**held["rejection"]), withheld=(SECRET,))
    assert SECRET not in caplog.text
