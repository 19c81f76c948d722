"""CloudEvents in binary mode: what goes in comes out, and nothing that comes in can hurt or leak."""

from __future__ import annotations

import json
import traceback
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.envelope import REQUIRED, Envelope, EnvelopeError, Message, canonical_json, decode, encode
from contracts.events import ALL, BY_TYPE, MAX_EVENT_BYTES, Event, RunCompleted
from contracts.generate import schemas

NOON = datetime(2024, 3, 11, 12, 0, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CODES = {"ENVELOPE", "EVENT_DECODE", "EVENT_TOO_LARGE", "EVENT_VERSION"}


def valid(event_type: str) -> Event:
    return BY_TYPE[event_type].model_validate(schemas.example(event_type))


def sent(event_type: str = "sample.withdrawn") -> tuple[dict[str, bytes], bytes]:
    message = encode(valid(event_type), source="jointcall", time=NOON, traceparent=TRACE)
    return dict(message.headers), message.body


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.TYPE)
def test_a_message_reads_back_as_the_event(event: type[Event]) -> None:
    original = valid(event.TYPE)
    local = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    message: Message = encode(original, source="align", time=local, traceparent=TRACE)
    for headers in (message.headers, dict(message.headers), {k: v.decode() for k, v in message.headers}):
        envelope, read = decode(headers, message.body)
        assert read == original
        assert envelope == Envelope(
            event_id=original.event_id,
            type=event.TYPE,
            source="align",
            subject=original.subject,
            time=NOON,
            traceparent=TRACE,
            content_hash=envelope.content_hash,
        )
    assert message.topic == event.TYPE
    assert message.key.decode() == original.key


def test_equal_events_have_equal_bytes_and_hashes() -> None:
    body = schemas.example("cram.ready")
    shuffled = dict(reversed(body.items()))
    one, other = BY_TYPE["cram.ready"].model_validate(body), BY_TYPE["cram.ready"].model_validate(shuffled)
    assert canonical_json(one) == canonical_json(other)
    headers, _ = sent("cram.ready")
    spaced = json.dumps(shuffled, indent=3).encode()
    assert decode(headers, spaced)[0].content_hash == decode(headers, canonical_json(one))[0].content_hash


def test_a_reader_ignores_what_it_does_not_know_at_every_depth() -> None:
    headers, _ = sent("cram.ready")
    newer = schemas.example("cram.ready")
    newer["since_version_2"] = {"a": 1}
    newer["sample"]["nickname_of_the_future"] = "x"
    newer["cram"]["replicas"] = [1, 2]
    _, read = decode(headers, json.dumps(newer).encode())
    assert read == valid("cram.ready")


def test_numbers_in_quotes_are_no_numbers() -> None:
    headers, _ = sent("cram.ready")
    body = {**schemas.example("cram.ready"), "reads": "3222714"}
    with pytest.raises(EnvelopeError, match=r"reads \(int_type\)") as refused:
        decode(headers, json.dumps(body).encode())
    assert refused.value.code == "EVENT_DECODE"


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("absent", ["missing", "empty", "null"])
def test_every_attribute_is_needed(name: str, absent: str) -> None:
    headers, body = sent()
    broken: Any = {k: v for k, v in headers.items() if k != name}
    if absent != "missing":
        broken[name] = b"" if absent == "empty" else None
    with pytest.raises(EnvelopeError, match=name) as refused:
        decode(broken, body)
    assert refused.value.code == "ENVELOPE"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ce_specversion", b"0.3", "ENVELOPE"),
        ("ce_id", b"4711", "ENVELOPE"),
        ("ce_time", b"yesterday", "ENVELOPE"),
        ("ce_time", b"2024-03-11T12:00:00", "ENVELOPE"),
        ("ce_time", b"0001-01-01T00:00:00+10:00", "ENVELOPE"),
        ("ce_source", b"align\x00", "ENVELOPE"),
        ("ce_source", b"a" * 201, "ENVELOPE"),
        ("ce_subject", b"smp_000000000000000000000000", "ENVELOPE"),
        ("ce_type", b"cohortstream.no.such.event.v1", "ENVELOPE"),
        ("ce_type", b"cohortstream.sample.withdrawn.v1\n", "ENVELOPE"),
        ("ce_type", b"cohortstream.sample.withdrawn.v2", "EVENT_VERSION"),
        ("ce_type", b"cohortstream.sample.withdrawn.v" + b"9" * 5000, "ENVELOPE"),
    ],
)
def test_attributes_that_cannot_be_are_refused(name: str, value: bytes, code: str) -> None:
    headers, body = sent()
    with pytest.raises(EnvelopeError) as refused:
        decode({**headers, name: value}, body)
    assert refused.value.code == code
    assert refused.value.rule
    assert refused.value.fix


def test_a_future_major_version_says_what_to_do() -> None:
    headers, body = sent()
    with pytest.raises(EnvelopeError, match="version 2") as refused:
        decode({**headers, "ce_type": b"cohortstream.sample.withdrawn.v2"}, body)
    assert "replay" in refused.value.fix


@pytest.mark.parametrize("trace", [b"", b"garbage", b"00-xyz", b"\xff\x00"])
def test_a_broken_trace_context_costs_the_trace_not_the_event(trace: bytes) -> None:
    headers, body = sent()
    envelope, _ = decode({**headers, "traceparent": trace}, body)
    assert envelope.traceparent is None


@pytest.mark.parametrize(
    "body", [None, b"", b"null", b"[]", b"\xff\xfe", b"[" * 60_000, b'{"sample": NaN}', b"1" * 60_000]
)
def test_bodies_that_are_no_event_are_refused(body: bytes | None) -> None:
    headers, _ = sent()
    with pytest.raises(EnvelopeError) as refused:
        decode(headers, body)
    assert refused.value.code == "EVENT_DECODE"


def test_an_event_that_outgrows_the_limit_is_neither_sent_nor_read() -> None:
    run = valid("run.completed")
    assert isinstance(run, RunCompleted)
    big = run.model_copy(update={"samples": run.samples * 60})
    with pytest.raises(EnvelopeError) as refused:
        encode(big, source="ingest", time=NOON)
    assert refused.value.code == "EVENT_TOO_LARGE"
    headers, body = sent()
    with pytest.raises(EnvelopeError) as refused:
        decode(headers, body + b" " * MAX_EVENT_BYTES)
    assert refused.value.code == "EVENT_TOO_LARGE"


KNOWN_HEADERS = st.sampled_from([*REQUIRED, "traceparent", "content-type"])
PLAUSIBLE = st.sampled_from([*(v for e in ALL for v in [e.ce_type().encode()]), b"1.0", str(uuid.UUID(int=7)).encode()])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
JSONS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)


@given(
    headers=st.dictionaries(KNOWN_HEADERS | st.text(max_size=12), PLAUSIBLE | st.binary(max_size=60)),
    body=st.binary(max_size=300) | JSONS.map(lambda j: json.dumps(j).encode("utf-8", "surrogatepass")),
)
@example(headers={}, body=b"")
def test_decoding_anything_raises_an_envelope_error_or_nothing(headers: dict[str, bytes], body: bytes) -> None:
    with pytest.raises(EnvelopeError) as refused:
        decode(headers, body)
    assert refused.value.code in CODES


@given(event=st.sampled_from(ALL), noise=JSONS, seed=st.randoms(use_true_random=False))
def test_an_event_with_any_field_replaced_is_read_or_refused(event: type[Event], noise: Any, seed: Any) -> None:
    """Sound headers, so that what is put to the test is the body."""
    message = encode(valid(event.TYPE), source="align", time=NOON)
    body: Any = schemas.example(event.TYPE)
    node = body
    while True:
        step = seed.choice(sorted(node)) if isinstance(node, dict) else seed.randrange(len(node))
        if not isinstance(node[step], dict | list) or not node[step] or seed.random() < 0.3:
            node[step] = noise
            break
        node = node[step]
    try:
        _, read = decode(message.headers, json.dumps(body).encode("utf-8", "surrogatepass"))
    except EnvelopeError as refused:
        assert refused.code in CODES
    else:
        # whatever was accepted can be told on: its own bytes read back as the same event
        assert decode(message.headers, canonical_json(read))[1] == read


SECRET = "Jane-Doe-1970-01-31"


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.TYPE)
def test_no_value_of_the_payload_is_echoed(event: type[Event]) -> None:
    message = encode(valid(event.TYPE), source="align", time=NOON)
    body: Any = schemas.example(event.TYPE)
    for name in body:
        for poison in (SECRET + "\n", [SECRET + "\n"], {SECRET: SECRET}, SECRET * 40):
            with pytest.raises(EnvelopeError) as refused:
                decode(message.headers, json.dumps({**body, name: poison}).encode())
            said = [str(refused.value), repr(refused.value), refused.value.rule, refused.value.fix]
            said += traceback.format_exception(refused.value)
            assert not any(SECRET in text for text in said)


def test_a_body_that_is_not_json_is_not_echoed() -> None:
    headers, _ = sent()
    with pytest.raises(EnvelopeError) as refused:
        decode(headers, f'{{"sample": "{SECRET}"'.encode())
    assert SECRET not in "".join(traceback.format_exception(refused.value))
