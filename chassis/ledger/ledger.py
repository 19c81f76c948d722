"""The ledger: one Postgres schema per service, and transactions on it that are never held across other systems."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Pool = Any

NOW = "select ledger_now()"

IDLE_IN_TRANSACTION_MS = 30_000
"""One forgotten open snapshot slows every claim to a crawl; the server ends such a session."""
STATEMENT_MS = 60_000
GOODBYE_SECONDS = 5.0
_CONNECTION_TROUBLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tx:
    """One open transaction on a service's ledger."""

    conn: Connection
    service: str

    async def now(self) -> datetime:
        """The ledger's clock, the only one that leases know."""
        moment = await self.conn.fetchval(NOW)
        assert isinstance(moment, datetime)
        return moment


class Ledger:
    """Connections to one service's schema. Use `open_ledger`, which closes it."""

    def __init__(self, *, pool: Pool, service: str, dsn: str) -> None:
        self._pool = pool
        self.service = service
        self.dsn = dsn

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self.connection() as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                yield Tx(conn=conn, service=self.service)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException:
                with suppress(*_CONNECTION_TROUBLE):
                    await transaction.rollback()
                raise
            await transaction.commit()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit: each statement is a transaction of its own.

        Cancelling drops the connection instead of tidying it, so that a database that has gone silent cannot hold up
        whoever must act before a deadline. The server rolls back what was open.
        """
        conn = await self._pool.acquire()
        try:
            yield conn
        except (asyncio.CancelledError, GeneratorExit):
            conn.terminate()
            raise
        except asyncpg.InternalClientError as error:
            # It was idle when its server said goodbye, and the driver has not noticed yet: nothing was sent on it.
            conn.terminate()
            raise asyncpg.ConnectionDoesNotExistError("the server ended this connection") from error
        finally:
            # A connection that cannot be made ready again is the pool's to replace, not the caller's failure.
            with suppress(*_CONNECTION_TROUBLE):
                await self._pool.release(conn, timeout=GOODBYE_SECONDS)

    async def now(self) -> datetime:
        async with self.connection() as conn:
            moment = await conn.fetchval(NOW)
        assert isinstance(moment, datetime)
        return moment

    async def dedicated(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection outside the pool, for a session advisory lock or LISTEN; the caller closes it."""
        return await connect(self.dsn, self.service)


async def connect(dsn: str, service: str) -> asyncpg.Connection[asyncpg.Record]:
    conn: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
        dsn, command_timeout=STATEMENT_MS / 1000, server_settings=_server_settings(service)
    )
    await _prepare(conn)
    return conn


@asynccontextmanager
async def open_ledger(*, dsn: str, service: str, pool_size: int = 4) -> AsyncIterator[Ledger]:
    """Open the ledger of `service`. Raises OSError or asyncpg.PostgresError when the database cannot be reached."""
    pool = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=pool_size,
        command_timeout=STATEMENT_MS / 1000,
        server_settings=_server_settings(service),
        init=_prepare,
        reset=_as_it_is,
    )
    try:
        yield Ledger(pool=pool, service=service, dsn=dsn)
    finally:
        # A cancelled statement can leave a connection that never answers: bound the goodbye.
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


def storable(text: str) -> str:
    """The text without what Postgres cannot keep: NUL, and halves of surrogate pairs. Tools print anything."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def schema_of(service: str) -> str:
    """The schema's name; services have names of letters only, so it needs no quoting."""
    if not service.isidentifier() or not service.islower():
        raise ValueError(f"{service!r} is no service name")
    return service


def _server_settings(service: str) -> dict[str, str]:
    return {
        "search_path": schema_of(service),
        "application_name": f"cohortstream-{service}",
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
        "statement_timeout": str(STATEMENT_MS),
        "jit": "off",
    }


async def _as_it_is(conn: Any) -> None:
    """asyncpg would ask the server to forget a session's state at each release, a round trip for every statement of
    ours; nobody leaves any: locks and LISTEN that outlive a transaction belong on `dedicated` connections."""


async def _prepare(conn: Any) -> None:
    for name in ("json", "jsonb"):
        await conn.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
