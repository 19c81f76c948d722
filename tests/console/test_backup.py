"""Backup and restore on real ledgers and real Kafka: what goes out comes in again, or nothing changes."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from chassis.errors import Rejected
from chassis.ledger import outbox, queue
from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.migrate import migrate
from chassis.ledger.tasks import NewTask
from chassis.messaging.consumer import group_of
from chassis.messaging.positions import open_log
from chassis.storage import open_store
from console.backup import bundle
from console.backup.bundle import Manifest
from console.backup.restore import Restored, restore
from console.backup.take import take
from console.site import migrate_ledgers
from console.supervisor import SERVICES
from contracts.events import SampleTagRequested, SampleWithdrawn
from contracts.topics import TOPICS
from tests.conftest import until
from tests.console.conftest import Command
from tests.support import tiny
from tests.support.consuming import relaying
from tests.support.messages import tag
from tests.support.site import Site, sample_key

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("tiny_begins_now")]

TABLES = """
select table_schema || '.' || table_name as name from information_schema.tables
where table_schema = any($1::text[]) and table_type = 'BASE TABLE'
"""
HELD = """
insert into quarantine (topic, partition, "offset", headers, body, code, rejection, received_at)
values ('run.completed', 0, 7, '[]', '\\x00ff', 'ENVELOPE', '{"code": "ENVELOPE"}', now()) returning id
"""
LEARN_RUN = """
insert into ingest.run (run, root, folder, state, since, created_at, seen)
values ('r1', '/r', E'back\\\\slash\\ttab\\nline', 'copying', now(), now(), '{"a b": [1, 2, 3]}')
"""
RENAMED_OR_NEW = {"incarnation", "rewound"}


async def rows_of(database: str, *services: str) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    conn = await asyncpg.connect(database)
    try:
        names = [row["name"] for row in await conn.fetch(TABLES, list(services))]
        return {
            name: sorted(str(row["row"]) for row in await conn.fetch(f"select t::text as row from {name} t"))
            for name in names
        }
    finally:
        await conn.close()


async def schemas(database: str) -> set[str]:
    conn = await asyncpg.connect(database)
    try:
        rows = await conn.fetch("select nspname from pg_namespace where nspname !~ '^(pg_|information|public)'")
        return {row["nspname"] for row in rows}
    finally:
        await conn.close()


@asynccontextmanager
async def tiny_ledger(site: Site) -> AsyncIterator[Ledger]:
    await migrate(dsn=site.database, service=tiny.NAME, versions=tiny.VERSIONS)
    async with open_ledger(dsn=site.database, service=tiny.NAME) as ledger:
        yield ledger


async def taken(site: Site, name: str = "backup") -> Manifest:
    return await take(site.settings, site.folder / name, services={tiny.NAME: tiny.build(site.settings)})


async def restored(site: Site, *, replace: bool = False) -> Restored:
    settings = site.settings
    async with open_store(settings.store) as store:
        return await restore(
            settings,
            site.folder / "backup",
            services={tiny.NAME: tiny.build(settings)},
            store=store,
            replace=replace,
        )


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Another manifest that is whole in itself."""
    path = folder / bundle.MANIFEST
    inner = json.loads(path.read_text())["manifest"]
    change(inner)
    text = json.dumps(inner, sort_keys=True, separators=(",", ":"))
    path.write_text(json.dumps({"manifest": inner, "sha256": hashlib.sha256(text.encode()).hexdigest()}))


@pytest.fixture
async def six(site: Site) -> None:
    """The services' ledgers, and groups that have settled what other tests published."""
    await migrate_ledgers(site.settings, SERVICES)
    async with open_log(site.settings.kafka) as log:
        _, ends = await log.span([topic.name for topic in TOPICS])
        for service in SERVICES:
            await log.commit(group_of(service), ends)


@pytest.mark.usefixtures("six")
async def test_what_goes_out_comes_in_again(site: Site, cohortstream: Command) -> None:
    """All six ledgers, by the command."""
    async with open_ledger(dsn=site.database, service="ingest") as ledger, ledger.transaction() as tx:
        await tx.conn.execute(LEARN_RUN)
        await queue.enqueue(tx, [NewTask(key="t", kind="check", subject="r1", payload={"name": 'quote " and \\ '})])
        await outbox.add(tx, SampleWithdrawn(sample=sample_key(), service="ingest"))
        await tx.conn.execute(HELD)
    before = await rows_of(site.database, *SERVICES)

    backup = await asyncio.to_thread(cohortstream, "backup", "--config", site.config, "kept", "--json")
    assert backup.code == 0, backup.err
    assert backup.document["rows"]["ingest"] >= 4
    assert backup.document["holds_secret"] is False
    folder = Path(backup.document["backup"])
    assert {path.stat().st_mode & 0o77 for path in folder.rglob("*")} == {0}, "for its owner's eyes"
    assert (folder / "cohortstream.toml").read_bytes() == site.config.read_bytes()
    whole = await asyncio.to_thread(cohortstream, "backup", "--verify", folder, "--config", site.config)
    assert (whole.code, "is whole: 6 ledgers" in whole.out) == (0, True)

    conn = await asyncpg.connect(site.database)
    for service in SERVICES:
        await conn.execute(f"drop schema {service} cascade")
    put_back = await asyncio.to_thread(cohortstream, "restore", folder, "--config", site.config, "--json")
    assert put_back.code == 0, put_back.err
    assert put_back.document["incarnation"] == 2
    after = await rows_of(site.database, *SERVICES)
    assert after.keys() == before.keys()
    for name in before:
        if name.partition(".")[2] not in RENAMED_OR_NEW:
            assert after[name] == before[name], name
    assert {row["number"] for s in SERVICES for row in await conn.fetch(f"select number from {s}.incarnation")} == {2}
    await conn.execute("set search_path to ingest")
    await conn.execute("update quarantine set topic = 'other'")
    assert await conn.fetchval(HELD) == 2, "numbers go on behind those that came in"
    await conn.close()


async def test_the_ledgers_and_the_log_are_those_of_one_moment(site: Site, endpoints: Any) -> None:
    """While events are told and relayed: what lies in the log before the cut is what the ledger has told, no more and
    no less; all else that it knows waits in its outbox."""
    knows = "insert into seen (sample, times) values ($1, 1)"
    stop = asyncio.Event()

    async def tell(ledger: Ledger) -> None:
        while not stop.is_set():
            sample = sample_key()
            async with ledger.transaction() as tx:
                await outbox.add(tx, SampleWithdrawn(sample=sample, service=tiny.NAME))
                await tx.conn.execute(knows, sample)

    async with tiny_ledger(site) as ledger:
        async with open_log(site.settings.kafka) as log:
            _, begin = await log.span([SampleWithdrawn.TYPE])
        async with relaying(ledger, endpoints.kafka_bootstrap):
            telling = [asyncio.create_task(tell(ledger)) for _ in range(3)]
            await until(lambda: _more_written(site, begin))
            manifests = [await taken(site, f"backup{number}") for number in range(3)]
            stop.set()
            await asyncio.gather(*telling)

    for number, manifest in enumerate(manifests):
        folder = site.folder / f"backup{number}"
        known = {line.split("\t")[0] for line in copied(folder, "seen")}
        waits = {bytes.fromhex(line.split("\t")[3].removeprefix("\\\\x")).decode() for line in copied(folder, "outbox")}
        (end,) = (at.offset for at in manifest.log.ends if at.topic == SampleWithdrawn.TYPE)
        first = begin[TopicPartition(SampleWithdrawn.TYPE, 0)]
        async with open_log(site.settings.kafka) as log:
            await log.span([SampleWithdrawn.TYPE])
            told = {
                (record.key or b"").decode()
                async for record in log.records(TopicPartition(SampleWithdrawn.TYPE, 0), first, end)
            }
        assert told
        assert told <= known, "a fact before the cut that the ledger does not know"
        assert known - told <= waits, "a fact that is neither before the cut nor in the outbox"


async def _more_written(site: Site, begin: Mapping[TopicPartition, int]) -> bool:
    async with open_log(site.settings.kafka) as log:
        _, end = await log.span([SampleWithdrawn.TYPE])
    return end != begin


def copied(folder: Path, table: str) -> list[str]:
    return gzip.decompress((folder / bundle.table_path(tiny.NAME, table)).read_bytes()).decode().splitlines()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


TASK = bundle.table_path(tiny.NAME, "task")
DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a table with a flipped bit": ("BACKUP_INVALID", lambda f: flip(f / TASK)),
    "a table cut short": ("BACKUP_INVALID", lambda f: (f / TASK).write_bytes((f / TASK).read_bytes()[:-4]) and None),
    "a table missing": ("BACKUP_INVALID", lambda f: (f / TASK).unlink()),
    "a table that is a link": ("BACKUP_INVALID", lambda f: linked(f / TASK)),
    "a backup never finished": ("BACKUP_INVALID", lambda f: (f / bundle.MANIFEST).unlink()),
    "a manifest that was edited": (
        "BACKUP_INVALID",
        lambda f: (f / bundle.MANIFEST).write_text((f / bundle.MANIFEST).read_text().replace("tiny", "tini")) and None,
    ),
    "a manifest that is no JSON": ("BACKUP_INVALID", lambda f: (f / bundle.MANIFEST).write_text("{") and None),
    "a file outside the folder": (
        "BACKUP_INVALID",
        lambda f: rewritten(f, lambda m: m["files"].update({"../x": {"sha256": "0" * 64, "size": 0}})),
    ),
    "a table that is not among the files": ("BACKUP_INVALID", lambda f: rewritten(f, lambda m: m["files"].pop(TASK))),
    "another format": ("BACKUP_FORMAT", lambda f: rewritten(f, lambda m: m.update(format=2))),
    "a ledger of a later version": (
        "BACKUP_NEWER",
        lambda f: rewritten(f, lambda m: m["services"]["tiny"].update(ledger_revision="9999")),
    ),
    "a service that is not installed": (
        "SERVICE_UNKNOWN",
        lambda f: rewritten(f, lambda m: m["services"].update(others={**m["services"]["tiny"], "tables": []})),
    ),
}


@pytest.fixture
async def kept(site: Site) -> Path:
    """A backup of tiny with a task, beside the ledger that it is of."""
    async with tiny_ledger(site) as ledger, ledger.transaction() as tx:
        await queue.enqueue(tx, [NewTask(key="t", kind="steps", subject="s")])
    await taken(site)
    return site.folder / "backup"


async def test_a_backup_that_is_not_sound_is_refused_and_nothing_changes(site: Site, kept: Path) -> None:
    before = await rows_of(site.database, tiny.NAME)
    for what, (code, damage) in DAMAGE.items():
        spare = site.folder / "spare"
        shutil.copytree(kept, spare)
        damage(kept)
        with pytest.raises(Rejected) as refused:
            await restored(site, replace=True)
        assert refused.value.rejection.code == code, what
        assert refused.value.rejection.fix
        assert await schemas(site.database) == {tiny.NAME}, what
        assert await rows_of(site.database, tiny.NAME) == before, what
        shutil.rmtree(kept)
        spare.rename(kept)


async def test_a_restore_replaces_nothing_unasked_and_drops_nothing(site: Site, kept: Path) -> None:
    async with tiny_ledger(site) as ledger:
        async with ledger.transaction() as tx:
            await queue.enqueue(tx, [NewTask(key="newer", kind="steps", subject="s")])
        with pytest.raises(Rejected) as running:
            await restored(site, replace=True)
    assert running.value.rejection.code == "SITE_RUNNING"
    assert "tiny" in running.value.rejection.message
    with pytest.raises(Rejected) as refused:
        await restored(site)
    assert refused.value.rejection.code == "LEDGER_NOT_EMPTY"
    assert "tiny: 2 task" in refused.value.rejection.message

    (aside,) = (await restored(site, replace=True)).aside
    assert await schemas(site.database) == {tiny.NAME, aside}
    conn = await asyncpg.connect(site.database)
    assert {row["key"] for row in await conn.fetch(f"select key from {aside}.task")} == {"t", "newer"}
    assert {row["key"] for row in await conn.fetch("select key from tiny.task")} == {"t"}
    await conn.close()


async def test_numbers_go_up_whatever_is_left_to_tell_them(site: Site, kept: Path) -> None:
    """From the ledgers, from the attempts in the store, and from the numbers taken there."""
    assert (await restored(site, replace=True)).incarnation == 2
    conn = await asyncpg.connect(site.database)
    await conn.execute("drop schema tiny cascade")
    assert (await restored(site)).incarnation == 3, "nothing but the number taken in the store was left to tell"
    attempt = site.folder / "store/working/tiny/t/8-1/out"
    attempt.parent.mkdir(parents=True)
    attempt.write_text("x")
    await conn.execute("drop schema tiny cascade")
    assert (await restored(site)).incarnation == 9
    release = site.folder / "store/released/c/1/12-1/panel.vcf.gz"
    release.parent.mkdir(parents=True)
    release.write_text("x")
    assert (await restored(site, replace=True)).incarnation == 13
    shutil.rmtree(site.folder / "store")
    assert (await restored(site, replace=True)).incarnation == 14, "the ledger in the database told it"
    await conn.close()


async def test_groups_are_rewound_to_where_they_were(site: Site) -> None:
    tp = TopicPartition(SampleTagRequested.TYPE, 0)
    group = group_of(tiny.NAME)
    await site.publish(*(tag(sample_key()) for _ in range(4)))
    async with open_log(site.settings.kafka) as log:
        _, ends = await log.span([tp.topic])
        await log.commit(group, {tp: ends[tp] - 3})
        async with tiny_ledger(site):
            pass
        await taken(site)
        await site.publish(tag(sample_key()))
        await log.commit(group, {tp: ends[tp] + 1})
        done = await restored(site)
        assert (await log.committed(group))[tp] == ends[tp] - 3
    assert (done.another_log, done.written_since) == (False, 1)
    conn = await asyncpg.connect(site.database)
    (row,) = await conn.fetch("select first, past, caught_up from tiny.rewound where topic = $1", tp.topic)
    assert tuple(row) == (ends[tp], ends[tp] + 1, False)
    await conn.close()


async def test_in_another_kafka_what_was_under_way_is_published_again(site: Site) -> None:
    """The backup's offsets mean nothing there: groups read from the beginning, and what lay between is not lost."""
    tp = TopicPartition(SampleTagRequested.TYPE, 0)
    group = group_of(tiny.NAME)
    under_way = [tag(sample_key()) for _ in range(2)]
    async with open_log(site.settings.kafka) as log:
        _, ends = await log.span([tp.topic])
        await log.commit(group, {tp: ends[tp]})
        await site.publish(*under_way)
        async with tiny_ledger(site) as ledger, ledger.transaction() as tx:
            await tx.conn.execute(HELD)
        assert (await taken(site)).log.records == 2
        rewritten(site.folder / "backup", lambda m: m["log"].update(cluster="another"))

        done = await restored(site, replace=True)

        assert (done.another_log, done.published) == (True, 2)
        begins, after = await log.span([tp.topic])
        assert (await log.committed(group))[tp] == begins[tp]
        records = [record async for record in log.records(tp, ends[tp], after[tp])]
    ids = [dict(record.headers)["ce_id"].decode() for record in records]
    assert ids == [str(event.event_id) for event in under_way] * 2
    conn = await asyncpg.connect(site.database)
    past = await conn.fetchval("select past from tiny.rewound where topic = $1", tp.topic)
    assert past == ends[tp] + 2, "what was published again is of this life"
    assert await conn.fetchval('select "offset" from tiny.quarantine') < 0, "its place is free for an event of this log"
    await conn.close()


@pytest.mark.usefixtures("six")
async def test_the_secret_is_kept_and_never_mixed_up(site: Site, cohortstream: Command) -> None:
    secret = site.folder / "site-secret"
    secret.write_text("s" * 64)
    config = ("--config", site.config)

    without = await asyncio.to_thread(cohortstream, "backup", "bare", "--without-secret", *config)
    assert (without.code, (site.folder / "bare/site-secret").exists()) == (0, False)
    backup = await asyncio.to_thread(cohortstream, "backup", "full", *config)
    assert "It holds the site secret" in backup.out
    assert (site.folder / "full/site-secret").stat().st_mode & 0o777 == 0o600
    again = await asyncio.to_thread(cohortstream, "backup", "full", *config)
    assert (again.code, "BACKUP_EXISTS" in again.paragraph) == (3, True)
    (site.folder / "many").mkdir()
    fresh = await asyncio.to_thread(cohortstream, "backup", "many", "--json", *config)
    assert Path(fresh.document["backup"]).parent == site.folder / "many"

    secret.write_text("t" * 64)
    other = await asyncio.to_thread(cohortstream, "restore", "full", *config)
    assert (other.code, "SECRET_DIFFERS" in other.paragraph) == (3, True)
    secret.unlink()
    put_back = await asyncio.to_thread(cohortstream, "restore", "full", *config)
    assert put_back.code == 0, put_back.err
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("s" * 64, 0o600)
    assert "life number 2" in put_back.out


async def test_a_backup_that_fails_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with tiny_ledger(site):
        pass

    async def fails(*_: Any) -> int:
        raise ConnectionResetError("the server went away")

    with monkeypatch.context() as patched:
        patched.setattr("chassis.ledger.dump.copy_out", fails)
        with pytest.raises(ConnectionResetError):
            await taken(site)
    assert not list(site.folder.glob("backup*"))
    await taken(site)


async def test_a_restore_that_fails_leaves_what_was_there(
    site: Site, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await rows_of(site.database, tiny.NAME)

    async def fails(*_: Any) -> int:
        raise ConnectionResetError("the server went away")

    monkeypatch.setattr("console.backup.restore._swap", fails)
    with pytest.raises(ConnectionResetError):
        await restored(site, replace=True)
    assert await schemas(site.database) == {tiny.NAME}
    assert await rows_of(site.database, tiny.NAME) == before


async def test_an_empty_database_has_no_backup(site: Site, cohortstream: Command) -> None:
    ran = await asyncio.to_thread(cohortstream, "backup", "--config", site.config)
    assert (ran.code, "BACKUP_EMPTY" in ran.paragraph) == (3, True)
