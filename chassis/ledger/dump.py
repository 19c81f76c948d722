"""Ledgers as text, out and in again: COPY of every table of a schema, with Alembic's revisions. No program needed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import asyncpg

from chassis.ledger.ledger import Connection, schema_of
from chassis.ledger.migrate import LEDGER_TABLE, SERVICE_TABLE, migrate

VERSION_TABLES = (LEDGER_TABLE, SERVICE_TABLE)
SCHEMAS = """
select nspname from pg_namespace n
where exists (select from pg_class c where c.relnamespace = n.oid and c.relname = $1 and c.relkind = 'r')
order by nspname
"""
COLUMNS = """
select c.relname as table, array_agg(a.attname::text order by a.attnum) as columns
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
where n.nspname = $1 and c.relkind = 'r' and c.relname <> all($2::text[])
group by c.relname order by c.relname
"""
REFERENCES = """
select child.relname as child, parent.relname as parent
from pg_constraint f
join pg_class child on child.oid = f.conrelid
join pg_class parent on parent.oid = f.confrelid
join pg_namespace n on n.oid = child.relnamespace
where f.contype = 'f' and n.nspname = $1 and child.oid <> parent.oid
"""
SEQUENCES = """
select c.relname as table, a.attname as column, pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname)
       as sequence
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relkind = 'r'
      and pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) is not null
"""
LOCK_WAIT = "set local lock_timeout = '3s'"
_ASIDE = re.compile(r"(?P<service>[a-z_]+)_(before|restoring)_[0-9]{14}(_[0-9]+)?")
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

Sink = Callable[[bytes], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """How far a schema is, by Alembic's revisions; None where a service has no tables of its own."""

    ledger: str
    service: str | None


async def services_in(conn: Connection) -> tuple[str, ...]:
    """Services with a ledger in this database; schemas that a restore moved aside are none."""
    rows = await conn.fetch(SCHEMAS, LEDGER_TABLE)
    return tuple(row["nspname"] for row in rows if not _ASIDE.fullmatch(row["nspname"]))


async def schemas_of(conn: Connection, service: str) -> tuple[str, ...]:
    """The service's schema and those moved aside."""
    rows = await conn.fetch(SCHEMAS, LEDGER_TABLE)
    found = [(row["nspname"], _ASIDE.fullmatch(row["nspname"])) for row in rows]
    return tuple(name for name, aside in found if name == service or (aside and aside["service"] == service))


async def hold_still(conn: Connection, services: Sequence[str]) -> None:
    """Within a transaction: until it ends no event is told and none is marked as sent, in any of these ledgers.

    Raises asyncpg.LockNotAvailableError when a transaction of theirs lasts too long; try again.
    """
    await conn.execute(LOCK_WAIT)
    for service in services:
        await conn.execute(f"lock table {schema_of(service)}.outbox in share row exclusive mode")


async def revisions_of(conn: Connection, service: str) -> Revisions:
    schema = schema_of(service)
    ledger = await conn.fetchval(f"select version_num from {schema}.{LEDGER_TABLE}")  # noqa: S608  a checked name
    own = await conn.fetchval("select to_regclass($1) is not null", f"{schema}.{SERVICE_TABLE}")
    if not own:
        return Revisions(ledger=ledger, service=None)
    at = await conn.fetchval(f"select version_num from {schema}.{SERVICE_TABLE}")  # noqa: S608  a checked name
    return Revisions(ledger=ledger, service=at)


async def tables_of(conn: Connection, service: str) -> tuple[Table, ...]:
    rows = await conn.fetch(COLUMNS, schema_of(service), list(VERSION_TABLES))
    return tuple(Table(name=row["table"], columns=tuple(row["columns"])) for row in rows)


async def copy_out(conn: asyncpg.Connection[Any], service: str, table: Table, sink: Sink) -> int:
    """Send a table's rows, as COPY's text, piece by piece. Returns how many."""
    said = await conn.copy_from_table(
        table.name, schema_name=schema_of(service), columns=list(table.columns), output=sink
    )
    return int(said.rpartition(" ")[2])


async def make_like(*, dsn: str, schema: str, versions: Path | None, revisions: Revisions) -> None:
    """An empty schema that is as far as a backup was."""
    await migrate(
        dsn=dsn,
        service=schema,
        versions=versions if revisions.service is not None else None,
        ledger_to=revisions.ledger,
        service_to=revisions.service or "head",
    )


async def load_order(conn: Connection, schema: str, tables: Sequence[str]) -> tuple[str, ...]:
    """The tables, those that others refer to first."""
    graph: dict[str, set[str]] = {table: set() for table in tables}
    for row in await conn.fetch(REFERENCES, schema):
        if row["child"] in graph and row["parent"] in graph:
            graph[row["child"]].add(row["parent"])
    return tuple(TopologicalSorter(graph).static_order())


async def empty_out(conn: Connection, schema: str) -> None:
    """Take away what migrations put into tables: the backup holds it."""
    tables = await tables_of(conn, schema)
    names = ", ".join(f'{schema_of(schema)}."{table.name}"' for table in tables)
    await conn.execute(f"truncate {names}")


async def copy_in(conn: asyncpg.Connection[Any], schema: str, table: Table, source: AsyncIterator[bytes]) -> int:
    said = await conn.copy_to_table(
        table.name, schema_name=schema_of(schema), columns=list(table.columns), source=source
    )
    return int(said.rpartition(" ")[2])


async def go_on_counting(conn: Connection, schema: str) -> None:
    """Set each serial column's sequence behind the rows that were copied in."""
    for row in await conn.fetch(SEQUENCES, schema):
        # the names are the catalog's own
        most = f'(select max("{row["column"]}") from {schema_of(schema)}."{row["table"]}")'  # noqa: S608
        await conn.fetchval(f"select setval($1::text::regclass, coalesce({most}, 0) + 1, false)", row["sequence"])
