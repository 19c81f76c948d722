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


LEDGER_TABLE, SERVICE_TABLE = "version_ledger", "version_service"
"""Where Alembic notes how far a schema is: the ledger's own tables, the service's."""


async def migrate(
    *, dsn: str, service: str, versions: Path | None, ledger_to: str = "head", service_to: str = "head"
) -> None:
    """Create the schema of `service` if need be and apply every migration that it lacks, up to the revisions named.

    `versions` is the folder of the service's own migrations, None where it has no tables of its own. Raises
    alembic.util.CommandError for a revision that is not known here.
    """
    schema = schema_of(service)
    engine = create_async_engine(make_url(dsn).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.execute(text(f"create schema if not exists {schema}"))
            await connection.execute(text(f"set local search_path to {schema}"))
            await connection.run_sync(_upgrade, schema, ENVIRONMENT / "versions", LEDGER_TABLE, ledger_to)
            if versions is not None:
                await connection.run_sync(_upgrade, schema, versions, SERVICE_TABLE, service_to)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, schema: str, versions: Path, version_table: str, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ENVIRONMENT))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema, version_table=version_table)
    command.upgrade(config, to)
