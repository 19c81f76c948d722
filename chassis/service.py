"""What a service is made of: kinds of tasks, subscriptions, loops beside them. Built by a function, never at import."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from chassis.errors import Rejection
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.tasks import DEFAULT_BUDGETS, Budgets, Lease
from chassis.settings import Settings
from contracts.events import Event

if TYPE_CHECKING:
    from chassis.storage.store import Store

E = TypeVar("E", bound=Event)

Handler = Callable[[Tx, Any], Awaitable[None]]
Committed = Callable[[Tx, Lease, Mapping[str, Any]], Awaitable[None]]
GaveUp = Callable[[Tx, Lease, Rejection], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a loop beside the consumer may use."""

    settings: Settings
    ledger: Ledger
    store: Store


Loop = Callable[[Running], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind:
    """A kind of task.

    `work` names the coroutine that runs in the worker's child process, as `module:function`; only the child imports it,
    so that a parent stays small. `committed` runs inside the transaction that finishes the task, `gave_up` inside the
    one that makes it a dead letter: what they write is true exactly when the task's end is.
    """

    name: str
    work: str
    committed: Committed | None = None
    gave_up: GaveUp | None = None
    budgets: Budgets = DEFAULT_BUDGETS
    per: Literal["sample", "interval"] | None = None
    """What such a task is the work of one of, where it is: so is its cost shown."""


@dataclass(slots=True)
class Subscriptions:
    """Event type -> handler. A handler validates, calls one function and returns; it ends in milliseconds."""

    handlers: dict[str, tuple[type[Event], Handler]] = field(default_factory=dict)

    def on(self, event: type[E], handler: Callable[[Tx, E], Awaitable[None]]) -> None:
        if event.TYPE in self.handlers:
            raise ValueError(f"{event.TYPE} has a handler already")
        self.handlers[event.TYPE] = (event, cast(Handler, handler))

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted(self.handlers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    name: str
    subscriptions: Subscriptions
    kinds: tuple[TaskKind, ...] = ()
    loops: tuple[Loop, ...] = ()
    migrations: Path | None = None
    """Folder of the service's own Alembic versions; None where it has no tables of its own."""

    def kind(self, name: str) -> TaskKind:
        for kind in self.kinds:
            if kind.name == name:
                return kind
        raise LookupError(f"{self.name} has no task kind {name!r}; its kinds are {[k.name for k in self.kinds]}")


def build(path: str, settings: Settings) -> Service:
    """Call the builder that `module:function` names with the settings."""
    return cast(Service, locate(path)(settings))


def locate(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), name))
