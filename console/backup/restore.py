"""Restoring a backup: a new life of the ledgers, from an older state, with the newer objects and topics still there.

Everything is made ready beside what is there; the last step, one transaction, puts it in its place.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from chassis.errors import reject
from chassis.ledger import dump, incarnation
from chassis.ledger.dump import Revisions, Table
from chassis.ledger.incarnation import Span
from chassis.ledger.ledger import Tx, connect, schema_of
from chassis.ledger.migrate import migrate
from console.backup import bundle
from console.backup.bundle import LedgerKept, Manifest
from console.backup.life import next_incarnation
from console.backup.take import Say, Services, service_unknown, topics_of
from contracts.topics import TOPICS

if TYPE_CHECKING:
    from chassis.messaging.positions import Log, Logged, Offsets
    from chassis.settings import Settings
    from chassis.storage.store import Store

CONNECTED = r"""
select application_name as name, count(*) as connections from pg_stat_activity
where datname = current_database() and application_name like 'cohortstream-%'
      and application_name <> 'cohortstream-console' and application_name not like '%\_restoring\_%'
group by 1 order by 1
"""
LOOKS_AGAIN = 9
LOOK_AGAIN_S = 0.2
"""Postgres still lists the connection of a process that has just ended, for moments."""
LOSABLE = ("inbox", "task", "outbox", "quarantine", "audit")
"""What a ledger that was ever used has rows in."""
PURGED = "artifact.purged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done. `aside` are the schemas that were there before, under their new names; `forgotten` counts records
    written to the log after the backup; `purged_since` those of them that say that an object was purged."""

    incarnation: int
    made_at: datetime
    rows: dict[str, int]
    aside: tuple[str, ...]
    another_log: bool
    rewound: dict[str, int]
    published: int
    written_since: int
    purged_since: int


async def restore(
    settings: Settings,
    folder: Path,
    *,
    services: Services,
    store: Store,
    replace: bool = False,
    say: Say = lambda _sentence: None,
) -> Restored:
    """Put the site's ledgers back to the backup in `folder` and begin a new life of them.

    Raises Rejected: BACKUP_INVALID, BACKUP_FORMAT; BACKUP_NEWER when it was made by a later version; SITE_RUNNING;
    LEDGER_NOT_EMPTY without `replace`; SERVICE_UNKNOWN. Nothing has changed then. What is there stays untouched until
    the last step, and is renamed, never dropped.
    """
    from chassis.messaging.positions import open_log

    manifest = bundle.verified(folder)
    say(f"the backup is whole: {len(manifest.files)} files, taken at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC")
    dsn = settings.ledger.url()
    async with _console(dsn) as conn, open_log(settings.kafka) as log:
        there = await dump.services_in(conn)
        every = tuple(sorted({*manifest.services, *there, *services}))
        for name in (*manifest.services, *there):
            if name not in services:
                raise service_unknown(name)
        await _nobody_at_work(conn)
        losable = await _losable(conn, there)
        if losable and not replace:
            raise _not_empty(losable)
        kept = [ledger.incarnation for ledger in manifest.services.values()]
        number = await next_incarnation(conn, store, services=every, kept=kept)
        say(f"the ledgers begin their life number {number}")
        stamp = f"{await conn.fetchval('select clock_timestamp()'):%Y%m%d%H%M%S}_{number}"
        staged = {name: schema_of(f"{name}_restoring_{stamp}") for name in every}
        try:
            for name, schema in staged.items():
                await _stage(dsn, schema, services, name, manifest, folder)
                if name in manifest.services:
                    say(f"{name}: {manifest.services[name].rows:,} rows")
            rewinding = await _rewinding(log, manifest, settings)
            for name, schema in staged.items():
                topics = topics_of(services[name])
                spans = [span for span in rewinding.spans if span.topic in topics]
                await _begin_life(dsn, schema, number, spans, every, another_log=rewinding.another_log)
            published = await log.publish(_records(folder)) if rewinding.another_log else 0
            rewound = await _rewind_groups(log, manifest, services, every, rewinding)
            aside = await _swap(conn, staged, stamp)
        except BaseException:
            for schema in staged.values():
                await conn.execute(f"drop schema if exists {schema} cascade")
            raise
    return Restored(
        incarnation=number,
        made_at=manifest.made_at,
        rows={name: kept.rows for name, kept in manifest.services.items()},
        aside=aside,
        another_log=rewinding.another_log,
        rewound=rewound,
        published=published,
        written_since=sum(span.past - span.first for span in rewinding.spans),
        purged_since=sum(span.past - span.first for span in rewinding.spans if span.topic == PURGED),
    )


@asynccontextmanager
async def _console(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    conn = await asyncpg.connect(dsn, server_settings={"application_name": "cohortstream-console", "jit": "off"})
    try:
        yield conn
    finally:
        conn.terminate()


async def _nobody_at_work(conn: asyncpg.Connection[Any]) -> None:
    rows = await conn.fetch(CONNECTED)
    for _ in range(LOOKS_AGAIN):
        if not rows:
            return
        await asyncio.sleep(LOOK_AGAIN_S)
        rows = await conn.fetch(CONNECTED)
    if rows:
        found = ", ".join(f"{row['name'].removeprefix('cohortstream-')} ({row['connections']})" for row in rows)
        raise _running(f"services are connected to the ledgers: {found}")


def _running(message: str) -> Exception:
    return reject(
        code="SITE_RUNNING",
        message=message,
        where="the site",
        rule="no consumer and no worker runs while ledgers are put back",
        fix="stop `cohortstream up`, and every `consume` and `work` on every host; then restore again",
    )


async def _losable(conn: asyncpg.Connection[Any], names: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name in names:
        tables = {table.name for table in await dump.tables_of(conn, name)}
        counts = {
            table: await conn.fetchval(f"select count(*) from {schema_of(name)}.{table}")  # noqa: S608  constants
            for table in LOSABLE
            if table in tables
        }
        if any(counts.values()):
            found[name] = counts
    return found


def _not_empty(losable: Mapping[str, Mapping[str, int]]) -> Exception:
    said = "; ".join(
        f"{name}: " + ", ".join(f"{count:,} {table}" for table, count in counts.items() if count)
        for name, counts in losable.items()
    )
    return reject(
        code="LEDGER_NOT_EMPTY",
        message=f"ledgers hold what the backup would replace ({said})",
        where="ledger.dsn",
        rule="a restore replaces nothing unasked",
        fix="give --replace: what is there is renamed to <service>_before_<time>, not dropped",
    )


async def _stage(dsn: str, schema: str, services: Services, name: str, manifest: Manifest, folder: Path) -> None:
    """Make the schema as the backup had it, fill it, and bring it to this version. A service that the backup does not
    have gets an empty one: it too must not use a number of a former life."""
    from alembic.util import CommandError

    versions = services[name].migrations
    kept = manifest.services.get(name)
    if kept is not None:
        revisions = Revisions(ledger=kept.ledger_revision, service=kept.service_revision)
        try:
            await dump.make_like(dsn=dsn, schema=schema, versions=versions, revisions=revisions)
        except CommandError:
            raise reject(
                code="BACKUP_NEWER",
                message=f"the ledger of {name} is of a version that is not known here",
                where=str(folder),
                rule="a backup is restored by the version that made it or a later one",
                fix=f"install the version named in its manifest ({manifest.made_by}) or a later one",
            ) from None
        await _load(dsn, schema, name, kept, folder)
    await migrate(dsn=dsn, service=schema, versions=versions)


async def _load(dsn: str, schema: str, name: str, kept: LedgerKept, folder: Path) -> None:
    tables = {table.name: table for table in kept.tables}
    async with _console(dsn) as conn, conn.transaction():
        await dump.empty_out(conn, schema)
        for table in await dump.load_order(conn, schema, list(tables)):
            source = bundle.pieces(folder / bundle.table_path(name, table))
            rows = await dump.copy_in(conn, schema, Table(name=table, columns=tables[table].columns), source)
            if rows != tables[table].rows:
                raise RuntimeError(f"{name}.{table}: {rows} rows went in, {tables[table].rows} were kept")
        await dump.go_on_counting(conn, schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rewinding:
    """`spans`: what was written to the log after the backup. In another Kafka that is all there is in it."""

    spans: tuple[Span, ...]
    begins: Offsets
    another_log: bool


async def _rewinding(log: Log, manifest: Manifest, settings: Settings) -> _Rewinding:
    from chassis.messaging.topics import apply_topics

    names = [topic.name for topic in TOPICS]
    begins, ends = await log.span(names)
    if {tp.topic for tp in ends} != set(names):
        await apply_topics(settings.kafka)
        begins, ends = await log.span(names)
    then = {(at.topic, at.partition): at.offset for at in manifest.log.ends}
    # offsets mean nothing in another cluster, nor in topics that were made anew
    shorter = any(end < then.get((tp.topic, tp.partition), 0) for tp, end in ends.items())
    gone = then.keys() - {(tp.topic, tp.partition) for tp in ends}
    another = await log.cluster() != manifest.log.cluster or shorter or bool(gone)
    first = {} if another else then
    spans = tuple(
        Span(topic=tp.topic, partition=tp.partition, first=first.get((tp.topic, tp.partition), 0), past=end)
        for tp, end in sorted(ends.items())
    )
    return _Rewinding(spans=tuple(span for span in spans if span.first < span.past), begins=begins, another_log=another)


async def _begin_life(
    dsn: str, schema: str, number: int, spans: Sequence[Span], services: Sequence[str], *, another_log: bool
) -> None:
    conn = await connect(dsn, schema)
    try:
        async with conn.transaction():
            tx = Tx(conn=conn, service=schema)
            await incarnation.raise_to(tx, number)
            await incarnation.rewind(tx, spans, incarnation=number, services=services, another_log=another_log)
    finally:
        conn.terminate()


async def _rewind_groups(
    log: Log, manifest: Manifest, services: Services, every: Sequence[str], rewinding: _Rewinding
) -> dict[str, int]:
    """Set every group back to where it was; in another Kafka, and where it had not been yet, to the beginning."""
    from chassis.messaging.consumer import group_of
    from chassis.messaging.positions import GroupBusy

    rewound = {}
    for name in every:
        kept = manifest.services.get(name)
        then = {} if kept is None or rewinding.another_log else {(p.topic, p.partition): p.offset for p in kept.settled}
        topics = topics_of(services[name])
        offsets = {
            tp: max(begin, then.get((tp.topic, tp.partition), 0))
            for tp, begin in rewinding.begins.items()
            if tp.topic in topics
        }
        try:
            await log.commit(group_of(name), offsets)
        except GroupBusy:
            raise _running(f"the consumer group {group_of(name)} has members") from None
        rewound[name] = len(offsets)
    return rewound


def _records(folder: Path) -> Iterator[Logged]:
    from chassis.messaging.positions import Logged

    for line in bundle.lines(folder / bundle.RECORDS):
        yield Logged(
            topic=line["topic"],
            partition=line["partition"],
            offset=line["offset"],
            key=_bytes(line["key"]),
            headers=tuple((name, _bytes(value) or b"") for name, value in line["headers"]),
            value=_bytes(line["value"]),
        )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


async def _swap(conn: asyncpg.Connection[Any], staged: Mapping[str, str], stamp: str) -> tuple[str, ...]:
    """The one step that shows: all ledgers at once. Returns the names of those set aside."""
    aside = []
    async with conn.transaction():
        await _nobody_at_work(conn)
        there = await dump.services_in(conn)
        losable = await _losable(conn, there)
        for name in there:
            if name in losable:
                former = schema_of(f"{name}_before_{stamp}")
                await conn.execute(f"alter schema {schema_of(name)} rename to {former}")
                aside.append(former)
            else:
                await conn.execute(f"drop schema {schema_of(name)} cascade")
        for name, schema in staged.items():
            await conn.execute(f"alter schema {schema} rename to {schema_of(name)}")
    return tuple(aside)


def put_secret_back(folder: Path, manifest: Manifest, target: Path | None) -> bool:
    """Write the backup's site secret where the site looks for it. True when it was written now.

    Raises Rejected SECRET_DIFFERS when another one lies there: sample keys are made with it.
    """
    if bundle.SECRET not in manifest.files or target is None:
        return False
    secret = (folder / bundle.SECRET).read_bytes()
    if target.exists():
        if target.read_bytes().strip() == secret.strip():
            return False
        raise reject(
            code="SECRET_DIFFERS",
            message="the site has another secret than the one the backup was made with",
            where=str(target),
            rule="sample keys are made with the secret: the ledgers fit the one that they were made with",
            fix="move that file away, then restore again: the backup's is put in its place",
        )
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(secret)
    return True
