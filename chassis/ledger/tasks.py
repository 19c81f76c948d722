"""Values of the lease queue: a task to be, a lease held, how often a task may end without a result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

MEMORY_CLASSES: tuple[tuple[str, int], ...] = (
    ("small", 2_048),
    ("medium", 4_096),
    ("large", 16_384),
    ("huge", 65_536),
)
"""Name and MB, ascending. Out of memory retries in the next one."""

_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:@+/|-]{0,239}$")


class TaskState(StrEnum):
    waiting = "waiting"
    ready = "ready"
    leased = "leased"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"


class Ending(StrEnum):
    """How an attempt ended, as the attempt log keeps it."""

    done = "done"
    crash = "crash"
    retry = "retry"
    preemption = "preemption"
    loss = "loss"
    failed = "failed"
    cancelled = "cancelled"
    waiting = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How often a task may end without a result, by kind of ending, before it is a dead letter."""

    crashes: int = 3
    retries: int = 20
    preemptions: int = 100
    loss_hosts: int = 3
    """Losses count over distinct hosts: a task that kills every host stops, a vanishing fleet stops no good task."""
    losses: int = 50
    """An end all the same where there is one host only."""


DEFAULT_BUDGETS = Budgets()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A unit of work. `key` is deterministic: asking for the same work twice is asking once."""

    key: str
    kind: str
    subject: str
    """What it is about: a sample key, a freeze id. Cancel and status go by it."""
    belongs_to: str = ""
    """The run or cohort around the subject."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    pool: str = "default"
    memory_class: str = "small"
    priority: float = 0.0
    """Larger first; intervals use their predicted work."""
    delay: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if not _KEY.match(self.key):
            raise ValueError(f"task key {self.key!r} does not match {_KEY.pattern}")
        if self.memory_class not in dict(MEMORY_CLASSES):
            raise ValueError(f"memory class {self.memory_class!r} is none of {[n for n, _ in MEMORY_CLASSES]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a task until `until`, by the ledger's clock. (key, epoch) fences every write."""

    key: str
    kind: str
    subject: str
    belongs_to: str
    payload: Mapping[str, Any]
    pool: str
    memory_class: str
    epoch: int
    incarnation: int
    owner: str
    until: datetime
    checkpoint: Mapping[str, Any]
    traceparent: str | None
    attempts: int
    """How many attempts there were, this one included."""
    created_at: datetime
    started_at: datetime

    @property
    def memory_mb(self) -> int:
        return dict(MEMORY_CLASSES)[self.memory_class]

    @property
    def attempt(self) -> str:
        """`<incarnation>-<epoch>`: names the attempt's own prefix in the store."""
        return f"{self.incarnation}-{self.epoch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The attempt at a task before the one in hand, and how it ended."""

    attempt: str
    """`<incarnation>-<epoch>`, as `Lease.attempt`."""
    ending: Ending
    reason: str | None
    ended_at: datetime


def classes_within(memory_mb: int) -> tuple[str, ...]:
    """The memory classes that fit a worker's slot of `memory_mb`."""
    return tuple(name for name, mb in MEMORY_CLASSES if mb <= memory_mb)


def next_class(memory_class: str) -> str | None:
    names = [name for name, _ in MEMORY_CLASSES]
    place = names.index(memory_class)
    return names[place + 1] if place + 1 < len(names) else None
