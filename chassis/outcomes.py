"""How an attempt at a task ends: a closed union, matched exhaustively with `match` and `assert_never`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chassis.errors import Rejection
from contracts.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The task's result, committed with its events in one transaction. `result` is JSON-ready."""

    result: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try again `after` this long. With `waits_for` the task is parked without a lease until someone wakes that name
    (an artifact that is being restored); `after` is then the longest it sleeps."""

    reason: str
    after: timedelta
    waits_for: str | None = None
    events: tuple[Event, ...] = ()
    more_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The input is at fault: trying again would end the same way."""

    rejection: Rejection
    events: tuple[Event, ...] = ()


Outcome = Done | Retry | Failed
