"""The bench: a real ledger, a folder as store, a clock that the test turns."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.migrate import migrate
from chassis.settings import IngestSettings, Settings, SiteSettings, StoreSettings
from chassis.storage.file import FileStore
from services.ingest.identity import Identity
from services.ingest.main import MIGRATIONS
from services.ingest.watcher import Watch
from tests.services.ingest.bench import SECRET, SETTLE, Bench, RunFolder, TurnedClock, rules

EMPTY = """
truncate task, attempt, inbox, outbox, withdrawn, audit, run, run_copy, run_sample, sample, library, lane
restart identity cascade
"""


@pytest.fixture(scope="session")
async def migrated(postgres_dsn: str) -> AsyncIterator[str]:
    """The DSN of a database with ingest's schema, one for all tests: emptying it is quicker than migrating anew."""
    name = f"ingest_{secrets.token_hex(6)}"
    await _admin(postgres_dsn, f"create database {name}")
    dsn = urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))
    await migrate(dsn=dsn, service="ingest", versions=MIGRATIONS)
    yield dsn
    await _admin(postgres_dsn, f"drop database {name} with (force)")


@pytest.fixture
async def ledger(migrated: str) -> AsyncIterator[Ledger]:
    async with open_ledger(dsn=migrated, service="ingest", pool_size=8) as opened:
        async with opened.connection() as conn:
            await conn.execute(EMPTY)
        yield opened


async def _admin(dsn: str, statement: str) -> None:
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(statement)
    finally:
        await admin.close()


@pytest.fixture
def bench(ledger: Ledger, tmp_path: Path) -> Bench:
    root = tmp_path / "runs"
    root.mkdir()
    (tmp_path / "scratch").mkdir()
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_bytes(SECRET)
    settings = Settings(
        state_dir=tmp_path / "state",
        store=StoreSettings(base=f"file://{tmp_path}/store"),
        ingest=IngestSettings(roots=(root,), settle_seconds=SETTLE.total_seconds()),
        site=SiteSettings(secret_file=secret),
    )
    clock = TurnedClock()
    watch = Watch(
        ledger=ledger,
        store=FileStore(root=tmp_path / "store"),
        roots=(root,),
        rules=rules(),
        identity=Identity(secret=SECRET),
        clock=clock,
    )
    return Bench(ledger=ledger, watch=watch, clock=clock, settings=settings, scratch=tmp_path / "scratch")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(root=tmp_path / "runs")
