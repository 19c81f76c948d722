"""Work that fails now and then, at a place and in a way that are drawn for the task and its attempt.

A service is `wrapped`; it is as it was until `<state_dir>/flaky.toml` is there:

    crash_rate = 0.1        # share of the attempts that fail
    seed = 7
    most_crashes = 2        # attempts of one task that may fail; by default fewer than a task's budget
    ways = ["tool", "exit", "memory", "kill"]

The file is read at each attempt, so that a test may write, change and remove it while workers run.
"""

from __future__ import annotations

import os
import signal
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chassis.errors import ToolFailed
from chassis.ledger.tasks import DEFAULT_BUDGETS, MEMORY_CLASSES
from chassis.outcomes import Outcome
from chassis.service import Service, locate
from chassis.worker.context import TaskContext
from tests.support.seeded import drawn

FILE = "flaky.toml"
MOMENTS = ("before", "checkpoint", "after")
"""At the start; when the first chunk is recorded; when all is uploaded and nothing yet committed."""

Work = Callable[[TaskContext], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    way: str
    moment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flakiness:
    crash_rate: float
    seed: int
    most_crashes: int = DEFAULT_BUDGETS.crashes - 1
    ways: tuple[str, ...] = ("tool", "exit", "memory", "kill")

    def strike(self, key: str, attempt: int, *, memory_class: str) -> Strike | None:
        """What happens to this attempt (from 1)."""
        if attempt > self.most_crashes or drawn.share(self.seed, key, attempt) >= self.crash_rate:
            return None
        way = self.ways[drawn.number("way", self.seed, key, attempt) % len(self.ways)]
        if way in ("memory", "kill") and memory_class != MEMORY_CLASSES[0][0]:
            way = "exit"  # each of these asks for the next class, which may be more than any worker of a test has
        return Strike(way=way, moment=MOMENTS[drawn.number("moment", self.seed, key, attempt) % len(MOMENTS)])


def wrapped(service: Service) -> Service:
    return replace(service, kinds=tuple(replace(kind, work=f"{__name__}:{kind.work}") for kind in service.kinds))


def flakiness_in(state_dir: Path) -> Flakiness | None:
    try:
        told = tomllib.loads((state_dir / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Flakiness(**told | ({"ways": tuple(told["ways"])} if "ways" in told else {}))


def __getattr__(name: str) -> Work:
    """The work of a wrapped kind is named `module:function` behind this module's own name."""
    if ":" not in name:
        raise AttributeError(name)
    work: Work = locate(name)

    async def flaky(context: TaskContext) -> Outcome:
        lease = context.lease
        told = flakiness_in(context.settings.state_dir)
        strike = told.strike(lease.key, lease.attempts, memory_class=lease.memory_class) if told else None
        return await (work(context) if strike is None else _struck(work, context, strike))

    return flaky


async def _struck(work: Work, context: TaskContext, strike: Strike) -> Outcome:
    async def record(chunk: str, value: Mapping[str, Any]) -> None:
        await context.record(chunk, value)
        _fail(strike)

    if strike.moment == "before":
        _fail(strike)
    outcome = await work(replace(context, record=record) if strike.moment == "checkpoint" else context)
    _fail(strike)
    return outcome


def _fail(strike: Strike) -> None:
    match strike.way:
        case "memory":
            raise MemoryError("flaky")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case _:
            raise ToolFailed(tool="flaky", status="failed", said=f"{strike.moment} the work")
