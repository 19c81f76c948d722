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
REQUIRED = ("ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_specversion")
_CE_TYPE = re.compile(r"^cohortstream\.(?P<name>[a-z]+(\.[a-z]+)+)\.v(?P<major>[1-9][0-9]*)$")


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
    """The body: sorted keys, no blanks, UTF-8; equal events have equal bytes."""
    document = event.model_dump(mode="json", exclude_none=True)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def encode(event: Event, *, source: str, time: datetime, traceparent: str | None = None) -> Message:
    """Make the message for an event.

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
        ("ce_id", str(event.event_id)),
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


def decode(headers: Mapping[str, str | bytes] | Iterable[tuple[str, bytes]], body: bytes) -> tuple[Envelope, Event]:
    """Read a message. Raises EnvelopeError with ENVELOPE, EVENT_DECODE, EVENT_TOO_LARGE or EVENT_VERSION."""
    attributes = _attributes(headers)
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
    try:
        event_id = uuid.UUID(attributes["ce_id"])
        time = datetime.fromisoformat(attributes["ce_time"])
    except ValueError:
        raise EnvelopeError(
            code="ENVELOPE",
            message="ce_id is no UUID or ce_time no RFC 3339 time",
            rule="ce_id is a UUID, ce_time an RFC 3339 time",
            fix="publish through the outbox",
        ) from None
    try:
        document = json.loads(body)
        event = model.model_validate(document)
        content_hash = hashlib.sha256(canonical_json(event)).hexdigest()
    except (ValidationError, ValueError, RecursionError) as error:
        raise EnvelopeError(
            code="EVENT_DECODE",
            message=f"the body is no valid {model.TYPE}: {_fields_of(error)}",
            rule=f"the body follows the JSON Schema of {model.ce_type()}",
            fix="mend the producer; the event is kept and can be replayed or discarded",
        ) from None
    if event.subject != attributes["ce_subject"]:
        raise EnvelopeError(
            code="ENVELOPE",
            message="ce_subject differs from the subject in the body",
            rule="ce_subject repeats the event's subject",
            fix="publish through the outbox",
        )
    envelope = Envelope(
        event_id=event_id,
        type=model.TYPE,
        source=attributes["ce_source"],
        subject=event.subject,
        time=time,
        traceparent=attributes.get("traceparent"),
        content_hash=content_hash,
    )
    return envelope, event


def _attributes(headers: Mapping[str, str | bytes] | Iterable[tuple[str, bytes]]) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    out: dict[str, str] = {}
    for name, value in pairs:
        out[name] = value if isinstance(value, str) else value.decode("utf-8", errors="replace")
    return out


def _model_of(ce_type: str) -> type[Event]:
    parsed = _CE_TYPE.match(ce_type)
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


def _fields_of(error: Exception) -> str:
    """Which fields are wrong and why, without their values."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        named = [f"{'.'.join(str(step) for step in p['loc']) or 'body'} ({p['type']})" for p in problems[:5]]
        return "; ".join(named) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
    return "not JSON"
