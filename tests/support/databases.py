"""Databases of the session's Postgres that live as long as a test, or as a module's tests."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg


@asynccontextmanager
async def empty_database(postgres_dsn: str) -> AsyncIterator[str]:
    """The DSN of an empty database, dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    await _tell(postgres_dsn, f"create database {name}")
    yield urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))
    await _tell(postgres_dsn, f"drop database {name} with (force)")


async def _tell(postgres_dsn: str, statement: str) -> None:
    """On a connection of its own: the test may restart the server meanwhile."""
    admin = await asyncpg.connect(postgres_dsn)
    try:
        await admin.execute(statement)
    finally:
        await admin.close()
