"""Postgres: a role for each account, and the grants that it needs on its own ledger and no others.

Applied by the administrator after every migration, in one transaction: nobody who works meanwhile meets a gap. What is
no longer granted is gone afterwards, as each role's grants are taken away and given anew.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from chassis.errors import reject
from chassis.ledger.ledger import schema_of
from chassis.ledger.migrate import LEDGER_TABLE, SERVICE_TABLE
from deploy.access.model import LEDGER_ACCOUNTS, PREFIX, Account, Role

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

LOCK = "select pg_advisory_xact_lock(hashtextextended('cohortstream access', 0))"
WRITTEN = "select format($1::text, variadic $2::text[])"
"""A statement with names and literals quoted by the server: %I, %L."""
DATABASE = "select current_database()"
ATTRIBUTES = """
select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as mighty
from pg_roles where rolname = $1
"""
MEMBER_OF = """
select granted.rolname from pg_auth_members m join pg_roles granted on granted.oid = m.roleid
join pg_roles member on member.oid = m.member where member.rolname = $1
"""
SCHEMAS = "select nspname from pg_namespace where nspname = any($1::text[])"
RELATIONS = """
select c.relname, c.relkind::text as kind from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm')
"""
COLUMNS = """
select a.attname from pg_attribute a where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
SEQUENCES = """
select s.relname as sequence, t.relname as "table"
from pg_class s join pg_namespace n on n.oid = s.relnamespace
join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid and d.deptype in ('a', 'i')
join pg_class t on t.oid = d.refobjid
where n.nspname = $1 and s.relkind = 'S'
"""
STRANGERS = """
select rolname from pg_roles
where starts_with(rolname, $1) and rolname <> all($2::text[]) and not rolsuper and rolname <> current_user
"""
VIEWS = "status_"
"""Begins the names of the views that are every ledger's one window."""
CREATED = re.compile(r"create table (\w+)")
EVERYTHING = ("select", "insert", "update", "delete")

# Kept by the administrator, or written once and then for ever.
CONSUME_LEDGER: Mapping[str, tuple[str, ...]] = {
    LEDGER_TABLE: ("select",),
    SERVICE_TABLE: ("select",),
    "incarnation": ("select",),
    "audit": ("select", "insert"),
    "attempt": ("select", "insert"),
    "rewound": ("select", "update"),
}
"""Tables of the chassis on which a consumer may do less than everything."""

WORK_LEDGER: Mapping[str, tuple[str, ...]] = {
    "incarnation": ("select",),
    "rewound": ("select",),
    "withdrawn": ("select",),
    "task": ("select", "insert", "update"),
    "attempt": ("select", "insert"),
    "outbox": ("insert",),
    "fan": ("select", "insert", "update"),
    "fan_arrival": ("select", "insert"),
}
"""Tables of the chassis that a worker's statements touch: claim, renew, checkpoint, end and what an end entails (an
event, the next tasks, a fact that is gathered), and the attempt before, to which its traces link. No inbox, quarantine,
audit or decision; nothing is deleted."""
TASK_IDENTITY = frozenset(
    {"key", "slug", "kind", "subject", "belongs_to", "payload", "pool", "priority", "traceparent", "created_at"}
)
"""What a task is. A worker changes how a task stands, never what it is."""
TRIES = 5
"""A vacuum that touches the same row of the catalogue makes a grant fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    accounts: tuple[str, ...]
    schemas: tuple[str, ...]
    strangers: tuple[str, ...]
    """Accounts of ours by name that are no longer known: they may do nothing any more."""


async def apply(*, dsn: str, services: Mapping[str, Path | None], passwords: Mapping[str, str]) -> Applied:
    """Make the accounts of these services and of the console, with these passwords, and grant what each needs.

    `services` are those whose schemas are in the database, with the folder of each one's own migrations; `passwords`
    are by account's name. Raises Rejected (LEDGER_MISSING, ACCESS_DENIED) and what asyncpg raises.
    """
    conn: Connection = await asyncpg.connect(
        dsn, timeout=30, server_settings={"application_name": "cohortstream-access"}
    )
    try:
        for left in reversed(range(TRIES)):
            try:
                async with conn.transaction():
                    return await _applied(conn, services, passwords)
            except asyncpg.InternalServerError:
                if not left:
                    raise
                await asyncio.sleep(0.2)
        raise AssertionError("the last try returns or raises")
    except asyncpg.InsufficientPrivilegeError as error:
        raise reject(
            code="ACCESS_DENIED",
            message=f"this account may not make accounts or grant rights: {error}",
            where="ledger.user",
            rule="access is applied by the account that owns the ledgers and may create roles",
            fix="name the administrator in ledger.user and ledger.password_file",
        ) from None
    finally:
        await conn.close()


async def _applied(conn: Connection, services: Mapping[str, Path | None], passwords: Mapping[str, str]) -> Applied:
    await conn.execute(LOCK)
    schemas = [schema_of(service) for service in services]
    there = {row["nspname"] for row in await conn.fetch(SCHEMAS, schemas)}
    if absent := [schema for schema in schemas if schema not in there]:
        raise reject(
            code="LEDGER_MISSING",
            message=f"there is no ledger yet of {', '.join(absent)}",
            where="ledger.dsn",
            rule="rights are granted on tables that are there",
            fix="run `cohortstream migrate` first",
        )
    accounts = [account for account in LEDGER_ACCOUNTS if account.role is Role.console or account.party in services]
    for account in accounts:
        await _role(conn, account, passwords[account.name])
    every = [account.name for account in LEDGER_ACCOUNTS]
    strangers = [row["rolname"] for row in await conn.fetch(STRANGERS, PREFIX, every)]
    database = await conn.fetchval(DATABASE)
    await _database(conn, database, [account.name for account in accounts], strangers)
    for service, versions in services.items():
        schema = schema_of(service)
        await _cleared(conn, schema, ["public", *(account.name for account in accounts), *strangers])
        own = tables_made_by(versions)
        for account in accounts:
            if account.role is Role.console or account.party == service:
                await _granted(conn, schema, account, own)
    return Applied(
        accounts=tuple(account.name for account in accounts), schemas=tuple(schemas), strangers=tuple(strangers)
    )


async def _role(conn: Connection, account: Account, password: str) -> None:
    found = await conn.fetchrow(ATTRIBUTES, account.name)
    if found is None:
        await _tell(conn, "create role %I", account.name)
    elif found["mighty"]:
        harmless = "nosuperuser nocreaterole nocreatedb noreplication nobypassrls"
        await _tell(conn, f"alter role %I with {harmless}", account.name)
    for row in await conn.fetch(MEMBER_OF, account.name):
        await _tell(conn, "revoke %I from %I", row["rolname"], account.name)
    await _tell(conn, "alter role %I with login noinherit password %L", account.name, scram_verifier(password))
    if account.role is Role.console:
        await _tell(conn, "alter role %I set default_transaction_read_only to on", account.name)


async def _database(conn: Connection, database: str, accounts: Sequence[str], strangers: Sequence[str]) -> None:
    await _tell(conn, "revoke all on database %I from public", database)
    await _tell(conn, "revoke create on schema public from public")
    for name in (*accounts, *strangers):
        await _tell(conn, "revoke all on database %I from %I", database, name)
    for name in accounts:
        await _tell(conn, "grant connect on database %I to %I", database, name)


async def _cleared(conn: Connection, schema: str, grantees: Iterable[str]) -> None:
    for grantee in grantees:
        who = "public" if grantee == "public" else "%I"
        names = [] if grantee == "public" else [grantee]
        for what in (
            "schema %I",
            "all tables in schema %I",
            "all sequences in schema %I",
            "all functions in schema %I",
        ):
            await _tell(conn, f"revoke all on {what} from {who}", schema, *names)


async def _granted(conn: Connection, schema: str, account: Account, own: frozenset[str]) -> None:
    await _tell(conn, "grant usage on schema %I to %I", schema, account.name)
    await _tell(conn, "grant execute on all functions in schema %I to %I", schema, account.name)
    writes: set[str] = set()
    for relation in await conn.fetch(RELATIONS, schema):
        name = relation["relname"]
        rights = rights_on(name, table=relation["kind"] in ("r", "p"), role=account.role, own=own)
        if "insert" in rights:
            writes.add(name)
        for right in rights:
            columns = await _columns(conn, schema, name) if _by_column(account.role, name, right) else ""
            await _tell(conn, f"grant {right}{columns} on %I.%I to %I", schema, name, account.name)
    for row in await conn.fetch(SEQUENCES, schema):
        if row["table"] in writes:
            await _tell(conn, "grant usage on sequence %I.%I to %I", schema, row["sequence"], account.name)


def rights_on(name: str, *, table: bool, role: Role, own: frozenset[str]) -> tuple[str, ...]:
    """What a role may do with a relation of its ledger; `own` are the tables that the service's migrations made."""
    match role:
        case Role.console:
            return ("select",) if not table and name.startswith(VIEWS) else ()
        case Role.consume:
            return CONSUME_LEDGER.get(name, EVERYTHING) if table else ("select",)
        case Role.work:
            if not table:
                return ()
            return EVERYTHING if name in own else WORK_LEDGER.get(name, ())


def tables_made_by(versions: Path | None) -> frozenset[str]:
    """The tables that migrations in a folder make: a service's own, as against those of the chassis."""
    files = sorted(versions.glob("*.py")) if versions is not None else ()
    return frozenset(name for file in files for name in CREATED.findall(file.read_text(encoding="utf-8")))


def scram_verifier(password: str, *, salt: bytes | None = None, iterations: int = 4096) -> str:
    """What Postgres keeps in a password's place (RFC 5802, RFC 7677), so that the password itself is never sent and
    stands in no log of statements. The password is ASCII, which needs no preparation."""
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_64, stored_64, server_64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${iterations}:{salt_64}${stored_64}:{server_64}"


def _by_column(role: Role, name: str, right: str) -> bool:
    return role is Role.work and name == "task" and right == "update"


async def _columns(conn: Connection, schema: str, table: str) -> str:
    qualified = await conn.fetchval(WRITTEN, "%I.%I", [schema, table])
    changeable = [row["attname"] for row in await conn.fetch(COLUMNS, qualified) if row["attname"] not in TASK_IDENTITY]
    return f" ({await conn.fetchval(WRITTEN, ', '.join(['%I'] * len(changeable)), changeable)})"


async def _tell(conn: Connection, template: str, *names: str) -> None:
    await conn.execute(await conn.fetchval(WRITTEN, template, list(names)))
