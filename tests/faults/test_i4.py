"""I4 is seen to be broken when it is: each breach is made behind the archive's back, and named with its artifact."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from chassis.ledger.ledger import Ledger
from chassis.storage.store import tags_of
from deploy.embedded.stack import Endpoints
from tests.faults.cold import Cold, cold_archive
from tests.faults.i4 import broken_by
from tests.faults.test_archive import PURGE_FASTQ
from tests.services.archive.yard import Journey, hold, real_journey


@pytest.fixture
async def cold(
    endpoints: Endpoints, database: str, tmp_path: Path, ledger_for: Callable[..., Awaitable[Ledger]]
) -> AsyncIterator[Cold]:
    async with cold_archive(
        endpoints=endpoints, database=database, folder=tmp_path, ledger_for=ledger_for, policies=PURGE_FASTQ
    ) as opened:
        yield opened


@pytest.fixture
async def purged(cold: Cold, tmp_path: Path) -> Journey:
    """Both FASTQs are purged, as it should be."""
    yard = cold.yard
    told = await real_journey(yard, tmp_path)
    await yard.hear(*told.facts)
    await yard.sweep()
    await yard.work()
    await yard.sweep()
    await yard.pass_grace()
    await yard.work()
    return told


async def broken(cold: Cold) -> list[str]:
    found, _ = await broken_by(cold.ledger, cold.yard.store, None)
    return found


NOT_BEFORE = """
update outbox set body = convert_to(replace(convert_from(body, 'UTF8'), '"not_before":"20', '"not_before":"21'), 'UTF8')
where topic = 'artifact.condemned'
"""
ANOTHER = """
update outbox set body = convert_to((convert_from(body, 'UTF8')::jsonb || '{"version": "other"}')::text, 'UTF8')
where topic = 'artifact.purged'
"""


TABLES = ("artifact", "cram", "lane", "outbox")
TAMPERED = (
    ("update cram set checked = null, compared = '{}'", "no verified CRAM that is kept has read group", 2),
    ("update cram set compared = array[compared[1]]", "no verified CRAM that is kept has read group", 2),
    ("delete from lane", "a FASTQ of no lane was purged", 2),
    ("delete from outbox where topic = 'artifact.condemned'", "was purged without being condemned to that", 2),
    (NOT_BEFORE, "was purged before its grace period was over", 2),
    (ANOTHER, "version other was purged", 2),
    ("delete from outbox where topic = 'artifact.purged'", "it is purged and nobody was told", 2),
    ("update artifact set kind = 'gvcf' where kind = 'fastq'", "nothing that is kept replaces a gvcf", 2),
    ("update artifact set tier = 'GLACIER' where kind = 'cram'", "it lies in STANDARD, last told was GLACIER", 1),
    ("update artifact set state = 'missing' where kind = 'cram'", "the store has it not", 1),
)
"""A statement, what must be found then, and of how many artifacts."""


async def test_a_ledger_that_says_otherwise_is_found_out(cold: Cold, purged: Journey) -> None:
    assert await broken(cold) == []
    async with cold.ledger.connection() as conn:
        await conn.execute("create schema aside")
        for table in TABLES:
            await conn.execute(f"create table aside.{table} as table {table}")
    for statement, how, count in TAMPERED:
        async with cold.ledger.connection() as conn:
            await conn.execute(statement)
        found = await broken(cold)
        assert len([one for one in found if how in one]) == count, (statement, found)
        assert all(one.startswith("I4 broken by ") for one in found)
        async with cold.ledger.connection() as conn:
            for table in TABLES:
                await conn.execute(f"truncate {table}")
                await conn.execute(f"insert into {table} table aside.{table}")


async def test_a_hold_that_was_ignored_is_found_out(cold: Cold, purged: Journey) -> None:
    """As if it had been placed before the act, and nobody had heeded it."""
    await cold.yard.hear(hold(purged.r1))
    async with cold.ledger.connection() as conn:
        await conn.execute("update hold set placed_at = placed_at - interval '1 hour'")
    assert await broken(cold) == [f"I4 broken by {purged.r1.id}: it was purged though tester held it"]


async def test_a_store_that_lost_or_changed_something_is_found_out(cold: Cold, purged: Journey) -> None:
    store = cold.yard.store
    await store.delete(purged.report.uri, version=purged.report.version)
    await store.put_bytes(
        store.key_of(purged.cram.uri), b"other", tags=tags_of(kind="cram", stage="align", subject="x")
    )
    await store.delete(purged.cram.uri, version=purged.cram.version)
    found = "\n".join(await broken(cold))
    assert f"{purged.report.id}: version {purged.report.version} is not at its newest place" in found
    assert f"{purged.cram.id}: version {purged.cram.version} is not at its newest place" in found
    assert found.count("no verified CRAM that is kept has read group") == 2


async def test_a_deletion_that_names_no_version_is_found_out(cold: Cold, purged: Journey) -> None:
    calls = cold.yard.store._calls  # type: ignore[attr-defined]
    key = purged.gvcf.uri.removeprefix(f"s3://{calls.bucket}/")
    await calls.call("delete_object", uri=purged.gvcf.uri, Key=key)
    assert f"I4 broken by {key}: it was deleted without naming the version" in await broken(cold)
