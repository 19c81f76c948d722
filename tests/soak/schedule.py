"""Which blow falls when, and on whom: drawn before the soak begins, so that a seed is a schedule."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from console.supervisor import SERVICES, Planned
from tests.soak.watched import builder_of

T = TypeVar("T")
Kind = Literal[
    "worker killed",
    "child killed",
    "consumer killed",
    "killed at a point",
    "worker told to go",
    "worker frozen",
    "broker killed",
    "broker frozen",
    "database killed",
]
KILLS: tuple[Kind, ...] = (
    "worker killed",
    "child killed",
    "consumer killed",
    "killed at a point",
    "worker told to go",
    "broker killed",
    "database killed",
)
"""After these a process is gone; a frozen one comes back."""

PROCESS_WEIGHTS: dict[Kind, int] = {
    "child killed": 40,
    "worker killed": 17,
    "consumer killed": 13,
    "killed at a point": 17,
    "worker told to go": 8,
    "worker frozen": 5,
}
SERVER_WEIGHTS: dict[Kind, int] = {"broker killed": 4, "database killed": 4, "broker frozen": 2}
SERVICE_WEIGHTS = {"ingest": 2, "align": 4, "jointcall": 4, "vqsr": 2, "annotate": 3, "archive": 3}
POINTS = ("after-upload", "before-commit", "after-commit", "after-publish", "before-offset-commit")
WORKERS = {"align": 2, "jointcall": 2}
"""Services with more than one worker: there another takes over what a frozen one held."""

PROCESS_EVERY_S = 2.5
SERVER_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """`at` in seconds from the begin. `target` is a server, a point (`align.after-upload`) or a service; `which` is a
    number drawn for choosing among a service's workers."""

    at: float
    kind: Kind
    target: str
    which: int = 0

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.kind:18} {self.target}" + (f" #{self.which}" if self.which else "")


def plan() -> tuple[Planned, ...]:
    """The processes of a soak: a consumer for each service, and its workers."""
    consumers = [Planned(service=name, role="consume", builder=builder_of(name)) for name in SERVICES]
    workers = [
        Planned(service=name, role="work", builder=builder_of(name))
        for name in SERVICES
        for _ in range(WORKERS.get(name, 1))
    ]
    return (*consumers, *workers)


def schedule(*, seconds: float, seed: int) -> tuple[Strike, ...]:
    """All strikes of a soak of so many seconds, in order of time. A longer one of the same seed begins alike."""
    strikes = [*_processes(random.Random(f"{seed} processes"), seconds)]
    strikes += _servers(random.Random(f"{seed} servers"), seconds)
    return tuple(sorted(strikes, key=lambda one: one.at))


def _processes(draw: random.Random, seconds: float) -> Iterator[Strike]:
    for at in _times(draw, seconds, PROCESS_EVERY_S):
        kind = _weighted(draw, PROCESS_WEIGHTS)
        service = _weighted(draw, SERVICE_WEIGHTS)
        point = draw.choice(POINTS)
        which = draw.randrange(WORKERS.get(service, 1))
        if kind == "killed at a point":
            yield Strike(at=at, kind=kind, target=f"{service}.{point}")
        else:
            yield Strike(at=at, kind=kind, target=service, which=which if kind != "consumer killed" else 0)


def _servers(draw: random.Random, seconds: float) -> Iterator[Strike]:
    for at in _times(draw, seconds, SERVER_EVERY_S):
        kind = _weighted(draw, SERVER_WEIGHTS)
        yield Strike(at=at, kind=kind, target=kind.partition(" ")[0])


def _times(draw: random.Random, seconds: float, every: float) -> Iterator[float]:
    at = 0.0
    while (at := at + every * draw.uniform(0.4, 1.6)) < seconds:
        yield round(at, 1)


def _weighted(draw: random.Random, weights: dict[T, int]) -> T:
    return draw.choices(list(weights), list(weights.values()))[0]
