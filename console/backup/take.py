"""Taking a backup while the site runs: all ledgers as they were at one moment, and where the log stood then.

The moment: every outbox is locked for some milliseconds, the snapshot begins, the log's ends are read, the locks go. So
what lies in the log before these ends is known to the ledgers, and what they have not told yet is in their outboxes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from chassis.errors import reject
from chassis.ledger import dump
from chassis.ledger.ledger import schema_of
from console.backup import bundle
from console.backup.bundle import LedgerKept, LogKept, Manifest, Position, TableKept, Writing
from contracts.topics import TOPICS

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from chassis.messaging.positions import Log, Offsets
    from chassis.service import Service
    from chassis.settings import Settings

Say = Callable[[str], None]
Services = Mapping[str, "Service"]
"""By name: every service of the site, as it is built here."""

LOCK_TRIES = 20
_TOPIC_NAMES = tuple(topic.name for topic in TOPICS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """The ledgers' snapshot, open in `conn`, and the log's ends at that moment."""

    conn: asyncpg.Connection[Any]
    ends: Offsets


async def take(
    settings: Settings,
    target: Path,
    *,
    services: Services,
    config: Path | None = None,
    with_secret: bool = True,
    say: Say = lambda _sentence: None,
) -> Manifest:
    """Write a backup of the site to the folder `target`, which must not be there.

    Raises Rejected: BACKUP_EXISTS, BACKUP_EMPTY without any ledger, SERVICE_UNKNOWN for a ledger of a service that is
    not among `services`; and what asyncpg and aiokafka raise when they cannot reach their servers.
    """
    if target.exists():
        raise bundle.exists(target)
    writing = Writing(target)
    writing.begin()
    try:
        manifest = await _write(writing, settings, services, config=config, with_secret=with_secret, say=say)
        writing.finish(manifest)
    except BaseException:
        shutil.rmtree(writing.folder, ignore_errors=True)
        raise
    return manifest


async def _write(
    writing: Writing, settings: Settings, services: Services, *, config: Path | None, with_secret: bool, say: Say
) -> Manifest:
    from chassis.messaging.consumer import group_of
    from chassis.messaging.positions import open_log

    dsn = settings.ledger.url()
    if config is not None:
        writing.plain(bundle.CONFIG, config.read_bytes())
    secret = settings.site.secret_file
    if with_secret and secret is not None and secret.is_file():
        writing.plain(bundle.SECRET, secret.read_bytes())
    async with AsyncExitStack() as leaving:
        log = await leaving.enter_async_context(open_log(settings.kafka))
        names = await _ledgers(dsn, services)
        # read before the snapshot: behind what the ledgers know they cost a duplicate, ahead of it an event
        await log.span(_TOPIC_NAMES)
        settled = {name: await log.committed(group_of(name)) for name in names}
        moment = await leaving.enter_async_context(_one_moment(dsn, names, log))
        conn = moment.conn
        made_at = await conn.fetchval(f"select {schema_of(names[0])}.ledger_now()")
        kept = {}
        for name in names:
            kept[name] = await _ledger(writing, conn, name, settled[name])
            say(f"{name}: {len(kept[name].tables)} tables, {kept[name].rows:,} rows")
        postgres = str(await conn.fetchval("show server_version"))
        # the snapshot is not needed any more, and a queue suffers from an old one
        await conn.execute("rollback")
        records = await _records(writing, log, moment.ends, settled, {name: services[name] for name in names})
        say(f"log: {records:,} events that were not settled by all yet")
        cluster = await log.cluster()
    return Manifest(
        format=bundle.FORMAT,
        made_by=f"cohortstream {metadata.version('cohortstream')}",
        made_at=made_at,
        postgres=postgres,
        store=settings.store.base,
        services=kept,
        log=LogKept(cluster=cluster, ends=_positions(moment.ends), records=records),
        files=writing.files,
    )


async def _ledgers(dsn: str, services: Services) -> tuple[str, ...]:
    conn = await asyncpg.connect(dsn)
    try:
        names = await dump.services_in(conn)
    finally:
        await conn.close()
    if not names:
        raise reject(
            code="BACKUP_EMPTY",
            message="the database holds no ledger",
            where="ledger.dsn",
            rule="a backup is taken of a site that has been up once",
            fix="check that the configuration is that of the site",
        )
    for name in names:
        if name not in services:
            raise service_unknown(name)
    return names


@asynccontextmanager
async def _one_moment(dsn: str, names: Sequence[str], log: Log) -> AsyncIterator[_Moment]:
    settings = {"application_name": "cohortstream-console", "jit": "off"}
    holder = await asyncpg.connect(dsn, server_settings=settings)
    conn = await asyncpg.connect(dsn, server_settings=settings)
    try:
        holding = await _held(holder, names)
        try:
            await conn.execute("begin isolation level repeatable read read only")
            await conn.fetchval("select 1")  # the snapshot is that of the first query
            async with asyncio.timeout(10):
                _, ends = await log.span(_TOPIC_NAMES)
        finally:
            await holding.rollback()
        yield _Moment(conn=conn, ends=ends)
    finally:
        holder.terminate()
        conn.terminate()


async def _held(holder: asyncpg.Connection[Any], names: Sequence[str]) -> Any:
    """A transaction that holds every outbox still. A transaction of a service may last: waited for in turns, so that
    the others do not stand in a queue behind us meanwhile."""
    for left in range(LOCK_TRIES, 0, -1):
        holding = holder.transaction()
        await holding.start()
        try:
            await dump.hold_still(holder, names)
        except asyncpg.LockNotAvailableError:
            await holding.rollback()
            if left == 1:
                raise
            await asyncio.sleep(0.5)
        else:
            return holding
    raise AssertionError("unreachable")


async def _ledger(writing: Writing, conn: asyncpg.Connection[Any], name: str, settled: Offsets) -> LedgerKept:
    tables = []
    for table in await dump.tables_of(conn, name):
        with writing.compressed(bundle.table_path(name, table.name)) as out:

            async def sink(piece: bytes, out: Any = out) -> None:
                await asyncio.to_thread(out.write, piece)

            rows = await dump.copy_out(conn, name, table, sink)
        tables.append(TableKept(name=table.name, columns=table.columns, rows=rows))
    revisions = await dump.revisions_of(conn, name)
    number = await conn.fetchval(f"select number from {schema_of(name)}.incarnation")  # noqa: S608  a checked name
    return LedgerKept(
        ledger_revision=revisions.ledger,
        service_revision=revisions.service,
        incarnation=number,
        tables=tuple(tables),
        settled=_positions(settled),
    )


async def _records(
    writing: Writing, log: Log, ends: Offsets, settled: Mapping[str, Offsets], services: Services
) -> int:
    """Keep what some service had still to settle: on another Kafka it would be lost with the log."""
    begins, _ = await log.span(_TOPIC_NAMES)
    count = 0
    with writing.compressed(bundle.RECORDS) as out:
        for tp, end in sorted(ends.items()):
            first = min(
                (settled[name].get(tp, 0) for name, service in services.items() if tp.topic in topics_of(service)),
                default=end,
            )
            first = max(first, begins.get(tp, end))
            if first >= end:
                continue
            async for record in log.records(tp, first, end):
                line = {
                    "topic": record.topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    "key": _text(record.key),
                    "headers": [[name, _text(value)] for name, value in record.headers],
                    "value": _text(record.value),
                }
                out.write(json.dumps(line).encode() + b"\n")
                count += 1
    return count


def topics_of(service: Service) -> tuple[str, ...]:
    from chassis.messaging.common import with_common

    return with_common(service).subscriptions.topics


def service_unknown(name: str) -> Exception:
    return reject(
        code="SERVICE_UNKNOWN",
        message=f"there is a ledger of {name}, a service that is not installed here",
        where=name,
        rule="backup and restore know every service whose ledger they touch",
        fix=f"install cohortstream[{name}] here, or drop that schema if nobody needs it",
    )


def name_for(moment: datetime | None = None) -> str:
    """What a backup is called when nobody names it."""
    return f"cohortstream-backup-{moment or datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def _positions(offsets: Mapping[TopicPartition, int]) -> tuple[Position, ...]:
    return tuple(
        Position(topic=tp.topic, partition=tp.partition, offset=offset) for tp, offset in sorted(offsets.items())
    )


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()
