"""An archive whose workers reach Glacier through the tests' shim, and the real store beside it for the test itself."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.messaging.common import with_common
from chassis.storage import open_store
from contracts.events import Event
from contracts.values import Artifact
from deploy.embedded.stack import Endpoints
from services.archive.main import build
from tests.chassis.storage.shim import Fault, Shim, shim_before
from tests.conftest import until
from tests.services.archive.yard import Yard, open_yard
from tests.support.deliver import deliver
from tests.support.site import Site
from tests.support.working import worker_of

E = TypeVar("E", bound=Event)
BUILDER = "services.archive.main:build"

PATIENCE_S = 60.0
"""For what takes a second or two on an idle machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    key: str
    query: frozenset[str]
    ranged: bool


@dataclass(kw_only=True)
class Between:
    """What the shim saw of each object, and what it does to it: `strike` is asked with each request."""

    shim: Shim
    requests: list[Request] = field(default_factory=list)
    strike: Callable[[Request], Fault | None] = lambda request: None

    def __post_init__(self) -> None:
        self.shim.rule = self._rule

    def _rule(self, request: web.Request) -> Fault | None:
        seen = Request(
            method=request.method,
            key=request.path,
            query=frozenset(request.query),
            ranged="Range" in request.headers,
        )
        self.requests.append(seen)
        return self.strike(seen)

    def asked(self, artifact: Artifact, method: str, query: str | None = None) -> list[Request]:
        """Requests about one object, in order."""
        key = artifact.uri.partition("://")[2]
        return [
            one
            for one in self.requests
            if one.key.endswith(key) and one.method == method and (query is None or query in one.query)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    site: Site
    yard: Yard
    between: Between

    @property
    def ledger(self) -> Ledger:
        return self.yard.ledger

    @asynccontextmanager
    async def working(self, *, host: str = "") -> AsyncIterator[None]:
        """A worker whose child is a process of its own; it lives as long as this."""
        async with worker_of(self.site, self.ledger, builder=BUILDER, host=host):
            yield

    async def task(self, prefix: str) -> dict[str, Any]:
        """The one task whose key begins so."""
        rows = await self.yard.rows("select * from task where starts_with(key, $1)", prefix)
        assert len(rows) == 1, [row["key"] for row in rows]
        return rows[0]

    async def until_task(self, prefix: str, state: str, *, epoch: int = 0) -> dict[str, Any]:
        """Wait until that task stands so, after at least so many claims."""

        async def stands() -> bool:
            rows = await self.yard.rows(
                "select from task where starts_with(key, $1) and state = $2 and epoch >= $3", prefix, state, epoch
            )
            return bool(rows)

        try:
            await until(stands, seconds=PATIENCE_S)
        except TimeoutError:
            rows = await self.yard.rows("select key, state, epoch, waits_for, reason, error from task order by key")
            raise AssertionError(f"no {prefix} is {state}; {rows}") from None
        return await self.task(prefix)

    async def worked_off(self) -> None:
        """Wait until nothing can be done now: what is left waits for something, or for its time."""

        async def quiet() -> bool:
            rows = await self.yard.rows(
                "select from task where state = 'leased' or (state = 'ready' and ready_at <= (select ledger_now()))"
            )
            return not rows

        await until(quiet, seconds=PATIENCE_S)

    async def pass_time(self, ahead: timedelta) -> None:
        """On the ledger's clock; who waited for that long is ready then, and leases that are over are taken back."""
        await self.yard.pass_time(ahead)
        async with self.ledger.transaction() as tx:
            await queue.sweep(tx)

    async def hear_own(self, event: type[E]) -> list[E]:
        """Bring the archive its own events of this type, as Kafka would: from its outbox to its handlers."""
        own = [event.model_validate(body) for body in await self.yard.told(event.TYPE)]
        await deliver(self.ledger, with_common(self.yard.service), *own)
        return own


@asynccontextmanager
async def cold_archive(
    *, endpoints: Endpoints, database: str, folder: Path, ledger_for: Callable[..., Awaitable[Ledger]], policies: str
) -> AsyncIterator[Cold]:
    """The archive under these policies, on a prefix of its own of the session's S3 server."""
    async with shim_before(endpoints.s3_endpoint) as shim:
        store = {
            "base": f"s3://{endpoints.bucket}/t{secrets.token_hex(6)}",
            "endpoint": shim.url,
            "access_key": endpoints.s3_access_key,
            "secret_key": endpoints.s3_secret_key,
        }
        site = Site(folder=folder, endpoints=endpoints, database=database, lease_seconds=30.0, store=store)
        rules = folder / "policies.toml"
        rules.write_text(policies, encoding="utf-8")
        with site.config.open("a", encoding="utf-8") as config:
            config.write(f'[archive]\npolicies = "{rules}"\ngrace_seconds = 0\n')
        settings = site.settings
        ledger = await ledger_for("archive", versions=build(settings).migrations)
        direct = settings.store.model_copy(update={"endpoint": endpoints.s3_endpoint})
        async with open_store(direct) as beside, open_yard(ledger, settings, beside, folder, build) as yard:
            try:
                yield Cold(site=site, yard=yard, between=Between(shim=shim))
            finally:
                await site.stop()
