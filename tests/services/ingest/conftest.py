"""The bench: a real ledger, a folder as store, a clock that the test turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.settings import IngestSettings, Settings, SiteSettings, StoreSettings
from chassis.storage.file import FileStore
from services.ingest.identity import Identity
from services.ingest.main import MIGRATIONS
from services.ingest.watcher import Watch
from tests.conftest import LedgerFor
from tests.services.ingest.bench import SECRET, SETTLE, Bench, RunFolder, TurnedClock, rules


@pytest.fixture
async def bench(ledger_for: LedgerFor, tmp_path: Path) -> Bench:
    root = tmp_path / "runs"
    root.mkdir()
    (tmp_path / "scratch").mkdir()
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_bytes(SECRET)
    ledger = await ledger_for("ingest", versions=MIGRATIONS)
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
