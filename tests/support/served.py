"""A service without its broker: events handed to its handlers, workers with real children, a folder as its store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.migrate import migrate
from chassis.messaging.receive import Receipt
from chassis.service import Service, build
from chassis.settings import Settings
from chassis.storage import open_store
from chassis.storage.store import Store
from contracts.events import Event
from contracts.values import Artifact, ArtifactKind
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.support import deliver
from tests.support.databases import empty_database
from tests.support.seeded.builders import engines_put_back
from tests.support.site import Site
from tests.support.working import worker_of

E = TypeVar("E", bound=Event)

PATIENCE = 120.0
"""Seconds for what takes a few on an idle machine."""
UNFINISHED = "select key, state, reason, error from task where state not in ('done', 'cancelled') order by key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    site: Site
    builder: str
    service: Service
    settings: Settings
    ledger: Ledger
    store: Store

    async def deliver(self, *events: Event) -> None:
        receipts = await deliver.deliver(self.ledger, self.service, *events)
        assert Receipt.quarantined not in receipts

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker of one slot; its child and what is warm in it last as long as this."""
        async with worker_of(self.site, self.ledger, builder=self.builder):
            yield

    async def said(self, event: type[E]) -> list[E]:
        """The events of this type in the outbox, in order."""
        sent = await deliver.outgoing(self.ledger)
        return [event.model_validate_json(body) for topic, body in sent if topic == event.TYPE]

    async def until_said(self, event: type[E], *, count: int = 1, subject: str | None = None) -> list[E]:
        """Wait for so many events of this type (about this subject)."""
        found: list[E] = []

        async def enough() -> bool:
            found[:] = [one for one in await self.said(event) if subject in (None, one.subject)]
            return len(found) >= count

        await self.until(enough)
        return found

    async def until(self, condition: Any) -> None:
        """As `until`, and when it comes to nothing says where the tasks stand."""
        try:
            await until(condition, seconds=PATIENCE)
        except TimeoutError:
            raise AssertionError(f"in vain; {[tuple(row) for row in await self.rows(UNFINISHED)]}") from None

    async def rows(self, statement: str, *values: object) -> list[Any]:
        async with self.ledger.connection() as conn:
            return list(await conn.fetch(statement, *values))

    async def put(self, kind: ArtifactKind, key: str, content: Path | bytes) -> Artifact:
        """Store what another service would have made."""
        tags = {"kind": kind.value, "stage": "test", "subject": "test", "retain": "policy"}
        if isinstance(content, bytes):
            return (await self.store.put_bytes(key, content, tags=tags)).artifact(kind)
        return (await self.store.put_file(key, content, tags=tags)).artifact(kind)

    async def get(self, artifact: Artifact, folder: Path, name: str) -> Path:
        """The artifact as a file, verified against its identity."""
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.store.get_file(artifact.uri, path, sha256=artifact.id, size=artifact.size)
        return path


@asynccontextmanager
async def serve(
    builder: str,
    *,
    endpoints: Endpoints,
    folder: Path,
    sections: Mapping[str, Mapping[str, object]] | None = None,
    lease_seconds: float = 20.0,
) -> AsyncIterator[Served]:
    """The service that `builder` builds under settings with these `sections`, on a ledger and a store of its own.

    The lease is longer than any test holds up the event loop that renews it.
    """
    async with empty_database(endpoints.postgres_dsn) as dsn:
        site = Site(folder=folder, endpoints=endpoints, database=dsn, lease_seconds=lease_seconds)
        with site.config.open("a", encoding="utf-8") as config:
            for name, values in (sections or {}).items():
                lines = (f"{key} = {_toml(value)}\n" for key, value in values.items())
                config.write(f"[{name}]\n{''.join(lines)}")
        with engines_put_back():
            async with _served(builder, site) as served:
                yield served


@asynccontextmanager
async def _served(builder: str, site: Site) -> AsyncIterator[Served]:
    settings = site.settings
    service = build(builder, settings)
    await migrate(dsn=site.database, service=service.name, versions=service.migrations)
    async with (
        open_ledger(dsn=site.database, service=service.name, pool_size=6) as ledger,
        open_store(settings.store) as store,
    ):
        try:
            yield Served(site=site, builder=builder, service=service, settings=settings, ledger=ledger, store=store)
        finally:
            await site.stop()


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
