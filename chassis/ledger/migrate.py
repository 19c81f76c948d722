"""Bring a service's schema up to date: first the ledger's own tables, then the service's."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.ledger.ledger import schema_of

ENVIRONMENT = Path(__file__).parent / "migrations"
LOCK = 0x636F686F
"""Advisory lock: two processes that start together migrate one after the other."""


async def migrate(*, dsn: str, service: str, versions: Path | None) -> None:
    """Create the schema of `service` if need be and apply every migration that it lacks.

    `versions` is the folder of the service's own migrations, None where it has no tables of its own.
    """
    schema = schema_of(service)
    engine = create_async_engine(make_url(dsn).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.execute(text(f"create schema if not exists {schema}"))
            await connection.execute(text(f"set local search_path to {schema}"))
            await connection.run_sync(_upgrade, schema, ENVIRONMENT / "versions", "version_ledger")
            if versions is not None:
                await connection.run_sync(_upgrade, schema, versions, "version_service")
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, schema: str, versions: Path, version_table: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ENVIRONMENT))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema, version_table=version_table)
    command.upgrade(config, "head")
