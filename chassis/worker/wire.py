"""What a worker and its child say to each other: one JSON object a line, both ways."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_never

from pydantic import SecretStr

from chassis.errors import Rejection
from chassis.ledger.tasks import Lease
from chassis.outcomes import Done, Failed, Outcome, Retry
from chassis.settings import Settings
from contracts.events import BY_TYPE, Event

LINE_LIMIT = 32 * 1024 * 1024
"""Bytes of one line: a result that names a few thousand artifacts fits many times over."""


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def settings_out(settings: Settings) -> dict[str, Any]:
    """Settings with their secrets, for the pipe to the child and nowhere else."""
    opened = _opened(settings.model_dump())
    assert isinstance(opened, dict)
    return opened


def settings_in(document: dict[str, Any]) -> Settings:
    return Settings(**document)


def lease_out(lease: Lease) -> dict[str, Any]:
    return {field.name: _plain(getattr(lease, field.name)) for field in fields(lease)}


def lease_in(document: dict[str, Any]) -> Lease:
    times = {name: datetime.fromisoformat(document[name]) for name in ("until", "created_at", "started_at")}
    return Lease(**{**document, **times})


def outcome_out(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Done():
            return {"is": "done", "result": dict(outcome.result), "events": _events_out(outcome.events)}
        case Retry():
            return {
                "is": "retry",
                "reason": outcome.reason,
                "after": outcome.after.total_seconds(),
                "waits_for": outcome.waits_for,
                "more_memory": outcome.more_memory,
                "events": _events_out(outcome.events),
            }
        case Failed():
            return {"is": "failed", "rejection": outcome.rejection.as_dict(), "events": _events_out(outcome.events)}
        case _:
            assert_never(outcome)


def outcome_in(document: dict[str, Any]) -> Outcome:
    events = tuple(BY_TYPE[item["type"]].model_validate(item["body"]) for item in document["events"])
    match document["is"]:
        case "done":
            return Done(result=document["result"], events=events)
        case "retry":
            return Retry(
                reason=document["reason"],
                after=timedelta(seconds=document["after"]),
                waits_for=document["waits_for"],
                more_memory=document["more_memory"],
                events=events,
            )
        case "failed":
            return Failed(rejection=Rejection(**document["rejection"]), events=events)
        case other:
            raise ValueError(f"a child reported the outcome {other!r}, which does not exist")


def _events_out(events: tuple[Event, ...]) -> list[dict[str, Any]]:
    return [{"type": event.TYPE, "body": event.model_dump(mode="json", exclude_none=True)} for event in events]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _opened(value: Any) -> Any:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value)
        case dict():
            return {name: _opened(inner) for name, inner in value.items()}
        case tuple() | list():
            return [_opened(inner) for inner in value]
        case _:
            return value
