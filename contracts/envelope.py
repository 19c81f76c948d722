"""CloudEvents 1.0 in binary mode over Kafka: attributes in headers, the event as JSON in the body."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from contracts.events import BY_TYPE, MAX_EVENT_BYTES, Event

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
MAX_SOURCE = 200
"""Characters: a source is a service's name, not a place to put things."""
REQUIRED = ("ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_specversion")
_CE_TYPE = re.compile(r"cohortstream\.(?P<name>[a-z]+(\.[a-z]+)+)\.v(?P<major>[1-9][0-9]{0,5})")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


Headers = Mapping[str, str | bytes] | Iterable[tuple[str, bytes]]
"""As FastStream (a mapping of text) or aiokafka (pairs of bytes) hands them over."""


class EnvelopeError(ValueError):
    """A message that cannot be read as an event. The text never echoes the payload."""

    def __init__(self, *, code: str, message: str, rule: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.rule = rule
        self.fix = fix


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event as bytes on the wire. `headers` are ordered; the trace context is one of them."""

    topic: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What surrounds a received event. `content_hash` is the SHA-256 of the canonical body."""

    event_id: uuid.UUID
    type: str
    source: str
    subject: str
    time: datetime
    traceparent: str | None
    content_hash: str


def canonical_json(event: Event) -> bytes:
    """The body: sorted keys, no blanks, UTF-8, absent rather than null; equal events have equal bytes."""
    document = event.model_dump(mode="json", exclude_none=True)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def encode(
    event: Event, *, source: str, time: datetime, traceparent: str | None = None, incarnation: int = 1
) -> Message:
    """Make the message for an event that a ledger tells in its life of that number.

    Raises EnvelopeError (EVENT_TOO_LARGE) over 64 KiB: put the growing list into a manifest object instead.
    """
    body = canonical_json(event)
    if len(body) > MAX_EVENT_BYTES:
        raise EnvelopeError(
            code="EVENT_TOO_LARGE",
            message=f"{event.TYPE} is {len(body)} bytes",
            rule=f"an event stays under {MAX_EVENT_BYTES} bytes",
            fix="put the list that grows into a manifest object and name its URI and hash",
        )
    headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", str(event.id_in(incarnation))),
        ("ce_type", event.ce_type()),
        ("ce_source", source),
        ("ce_subject", event.subject),
        ("ce_time", time.astimezone(UTC).isoformat()),
        ("content-type", CONTENT_TYPE),
    ]
    if traceparent is not None:
        headers.append(("traceparent", traceparent))
    return Message(
        topic=event.TYPE,
        key=event.key.encode(),
        headers=tuple((name, value.encode()) for name, value in headers),
        body=body,
    )


def decode(headers: Headers, body: bytes | None) -> tuple[Envelope, Event]:
    """Read a message; fields that this reader does not know are ignored, at every depth.

    Raises EnvelopeError, and nothing else, with ENVELOPE, EVENT_DECODE, EVENT_TOO_LARGE or EVENT_VERSION.
    """
    attributes = _attributes(headers)
    body = body or b""  # Kafka allows a record without a value
    missing = [name for name in REQUIRED if not attributes.get(name)]
    if missing:
        raise EnvelopeError(
            code="ENVELOPE",
            message=f"attributes missing: {', '.join(missing)}",
            rule="every event carries the CloudEvents attributes " + ", ".join(REQUIRED),
            fix="publish through the outbox, or set the headers named",
        )
    if len(body) > MAX_EVENT_BYTES:
        raise EnvelopeError(
            code="EVENT_TOO_LARGE",
            message=f"the body is {len(body)} bytes",
            rule=f"an event stays under {MAX_EVENT_BYTES} bytes",
            fix="put the list that grows into a manifest object",
        )
    model = _model_of(attributes["ce_type"])
    event_id, time = _identity_of(attributes)
    try:
        # strict: a number in quotes is no number, as the JSON Schema says too
        event = model.model_validate_json(body, strict=True, extra="ignore")
    except ValidationError as error:
        raise EnvelopeError(
            code="EVENT_DECODE",
            message=f"the body is no valid {model.TYPE}: {_fields_of(error)}",
            rule=f"the body follows the JSON Schema of {model.ce_type()}",
            fix="mend the producer; the event is kept and can be replayed or discarded",
        ) from None
    if event.subject != attributes["ce_subject"]:
        raise _refused("ce_subject differs from the subject in the body", rule="ce_subject repeats the event's subject")
    traceparent = attributes.get("traceparent", "")
    envelope = Envelope(
        event_id=event_id,
        type=model.TYPE,
        source=attributes["ce_source"],
        subject=event.subject,
        time=time,
        # a broken trace context costs a link in a trace, never the event
        traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
        content_hash=hashlib.sha256(canonical_json(event)).hexdigest(),
    )
    return envelope, event


def _attributes(headers: Headers) -> dict[str, str]:
    pairs: Iterable[tuple[str, str | bytes | None]] = headers.items() if isinstance(headers, Mapping) else headers
    out: dict[str, str] = {}
    for name, value in pairs:
        if value is not None:
            out[name] = value if isinstance(value, str) else value.decode("utf-8", errors="replace")
    return out


def _identity_of(attributes: Mapping[str, str]) -> tuple[uuid.UUID, datetime]:
    """The event's id and time, once every attribute is seen to be sound."""
    if attributes["ce_specversion"] != SPEC_VERSION:
        raise _refused("ce_specversion names another version of CloudEvents", rule=f"ce_specversion is {SPEC_VERSION}")
    source = attributes["ce_source"]
    if len(source) > MAX_SOURCE or not source.isprintable():
        raise _refused(
            "ce_source is too long or not printable", rule=f"ce_source is printable, at most {MAX_SOURCE} characters"
        )
    try:
        event_id = uuid.UUID(attributes["ce_id"])
    except ValueError:
        raise _refused("ce_id is no UUID", rule="ce_id is the event's UUID") from None
    try:
        time = datetime.fromisoformat(attributes["ce_time"])
        if time.tzinfo is None:
            raise ValueError
        return event_id, time.astimezone(UTC)
    except (ValueError, OverflowError):  # the year 1 east of Greenwich has no UTC
        raise _refused("ce_time is no RFC 3339 time", rule="ce_time is an RFC 3339 time with its offset") from None


def _refused(message: str, *, rule: str) -> EnvelopeError:
    return EnvelopeError(code="ENVELOPE", message=message, rule=rule, fix="publish through the outbox")


def _model_of(ce_type: str) -> type[Event]:
    parsed = _CE_TYPE.fullmatch(ce_type)
    if parsed is None or parsed["name"] not in BY_TYPE:
        raise EnvelopeError(
            code="ENVELOPE",
            message="ce_type names no event that is known here",
            rule="ce_type is cohortstream.<event>.v<major>",
            fix="upgrade this service if the event is newer, or discard the message",
        )
    model = BY_TYPE[parsed["name"]]
    if int(parsed["major"]) != model.MAJOR:
        raise EnvelopeError(
            code="EVENT_VERSION",
            message=f"{model.TYPE} of major version {parsed['major']}; version {model.MAJOR} is understood here",
            rule="a reader understands the major versions it was built with",
            fix="upgrade this service, then replay the event from the quarantine",
        )
    return model


def _fields_of(error: ValidationError) -> str:
    """Which fields are wrong and why, without their values."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    named = [f"{'.'.join(str(step) for step in p['loc']) or 'body'} ({p['type']})" for p in problems[:5]]
    return "; ".join(named) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
