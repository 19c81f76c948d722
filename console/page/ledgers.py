"""A few read-only connections to each service's views, shared by all requests; answers are shared while they are fresh.

Two requests never hold one connection: an asyncpg connection asks one question at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from console.reach import ledger_reached
from console.supervisor import SERVICES
from console.views import Row, Views, read_json, reader_settings

if TYPE_CHECKING:
    from chassis.settings import Settings

T = TypeVar("T")

PER_SERVICE = 3
"""Six services of three: 18 of the 100 connections that a Postgres has by default."""
CONNECT_S = 4.0
ANSWER_S = 12.0
"""A page that takes longer is of no use; the person asks again."""
IDLE_S = 60.0
MOST_KEPT = 300
PATIENCE = 5
"""What took long to find out stays fresh for so many times longer: open pages never keep the ledger busy."""


class Ledgers:
    """Connection pools by service, made when first asked for; a lost connection is replaced by the next question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[str, Any] = {}
        self._making = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Views]:
        """Raises Unreachable when the ledger does not answer."""
        with ledger_reached(self._settings):
            yield PooledViews(self)

    async def close(self) -> None:
        for pool in self._pools.values():
            pool.terminate()

    async def pool(self, service: str) -> Any:
        import asyncpg

        async with self._making:
            if service not in self._pools:
                self._pools[service] = await asyncpg.create_pool(
                    self._settings.ledger.url(),
                    min_size=0,
                    max_size=PER_SERVICE,
                    timeout=CONNECT_S,
                    command_timeout=ANSWER_S + 2,
                    max_inactive_connection_lifetime=IDLE_S,
                    server_settings=reader_settings(service) | {"statement_timeout": f"{ANSWER_S * 1000:.0f}"},
                    init=read_json,
                )
            return self._pools[service]


class PooledViews(Views):
    """The views through the pools; remarks are one request's own."""

    def __init__(self, ledgers: Ledgers) -> None:
        super().__init__("")
        self._ledgers = ledgers

    async def everywhere(self, query: str, *arguments: Any, services: Sequence[str] = SERVICES) -> dict[str, list[Row]]:
        answers = await asyncio.gather(*(self.rows(service, query, *arguments) for service in services))
        return dict(zip(services, answers, strict=True))

    async def close(self) -> None:
        """The connections are the pools'."""

    @contextlib.asynccontextmanager
    async def _lent(self, service: str) -> AsyncIterator[Any]:
        pool = await self._ledgers.pool(service)
        async with pool.acquire(timeout=CONNECT_S) as conn:
            yield conn


class Fresh:
    """Answers by name, found out once for all who ask at the same time and shared until they are stale."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, Any]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def get(self, name: str, find: Callable[[], Awaitable[T]], *, seconds: float) -> T:
        """What `find` said within the last `seconds`, or within five times as long as it took."""
        async with self._asking.setdefault(name, asyncio.Lock()):
            there = self._answers.get(name)
            if there is not None and self._clock() < there[0]:
                found: T = there[1]
                return found
            began = self._clock()
            found = await find()
            now = self._clock()
            self._forget(now)
            self._answers[name] = (now + max(seconds, (now - began) * PATIENCE), found)
            return found

    def _forget(self, now: float) -> None:
        """Answers that went stale make room: pages of single subjects are many."""
        if len(self._answers) > MOST_KEPT:
            self._answers = {name: answer for name, answer in self._answers.items() if answer[0] > now}
            self._asking = {name: lock for name, lock in self._asking.items() if name in self._answers or lock.locked()}
