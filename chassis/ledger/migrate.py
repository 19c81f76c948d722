"""Bring a service's schema up to date: first the ledger's own tables, then the service's."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.errors import Rejected, reject
from chassis.ledger.ledger import schema_of

ENVIRONMENT = Path(__file__).parent / "migrations"
LOCK = 0x636F686F
"""Advisory lock: two processes that start together migrate one after the other."""


LEDGER_TABLE, SERVICE_TABLE = "version_ledger", "version_service"
"""Where Alembic notes how far a schema is: the ledger's own tables, the service's."""

# Asked of the catalogue, which everyone may read: `create ... if not exists` needs the right to create even then.
THERE = "select true from pg_namespace where nspname = :schema"
HAS_TABLE = "select true from pg_tables where schemaname = :schema and tablename = :table"
INSUFFICIENT_PRIVILEGE = "42501"
"""SQLSTATE."""


async def migrate(
    *, dsn: str, service: str, versions: Path | None, ledger_to: str = "head", service_to: str = "head"
) -> None:
    """Create the schema of `service` if need be and apply every migration that it lacks, up to the revisions named.

    A schema that is there already is only looked at, which an account that may not change schemas can do too.
    `versions` is the folder of the service's own migrations, None where it has no tables of its own. Raises Rejected
    LEDGER_BEHIND when something is lacking and this account may not add it; alembic.util.CommandError for a revision
    that is not known here.
    """
    schema = schema_of(service)
    lanes = [(ENVIRONMENT / "versions", LEDGER_TABLE, ledger_to)]
    if versions is not None:
        lanes.append((versions, SERVICE_TABLE, service_to))
    engine = create_async_engine(make_url(dsn).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.connect() as connection:
            if all([await connection.run_sync(_is_at, schema, *lane) for lane in lanes]):
                return
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            if not await connection.scalar(text(THERE), {"schema": schema}):
                await connection.execute(text(f"create schema {schema}"))
            await connection.execute(text(f"set local search_path to {schema}"))
            for lane in lanes:
                await connection.run_sync(_upgrade, schema, *lane)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        raise _behind(service) from error
    finally:
        await engine.dispose()


def _is_at(connection: Connection, schema: str, versions: Path, version_table: str, to: str) -> bool:
    """Whether every migration up to `to` is applied. Raises what Postgres raises where this account may not look."""
    if not connection.scalar(text(HAS_TABLE), {"schema": schema, "table": version_table}):
        return False
    noted = connection.scalar(text(f"select version_num from {schema}.{version_table}"))  # noqa: S608  our own names
    wanted = ScriptDirectory.from_config(_config(versions)).as_revision_number(to)
    return noted is not None and noted == wanted


def _upgrade(connection: Connection, schema: str, versions: Path, version_table: str, to: str) -> None:
    config = _config(versions)
    config.attributes.update(connection=connection, schema=schema, version_table=version_table)
    command.upgrade(config, to)


def _config(versions: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ENVIRONMENT))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "os")
    return config


def _behind(service: str) -> Rejected:
    return reject(
        code="LEDGER_BEHIND",
        message=f"the ledger of {service} lacks migrations of this version, and this account may not apply them",
        where=f"schema {schema_of(service)}",
        rule="schemas are changed by the administrator's account; a service's own only reads and writes rows",
        fix="run `cohortstream migrate` and then `cohortstream access apply --postgres` as the administrator",
    )
