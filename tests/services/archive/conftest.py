"""The archive on real Postgres and on the S3 server that models Glacier; one prefix of the bucket for each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.ledger.ledger import Ledger
from chassis.settings import ArchiveSettings, LedgerSettings, Settings, StoreSettings, WorkerSettings
from chassis.storage import open_store
from chassis.storage.store import Store
from deploy.embedded.stack import Endpoints
from services.archive.main import build
from services.archive.policies import DEMO
from tests.services.archive.yard import Yard, open_yard


@pytest.fixture
def settings(endpoints: Endpoints, database: str, tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path / "state",
        ledger=LedgerSettings(dsn=SecretStr(database)),
        store=StoreSettings(
            base=f"s3://{endpoints.bucket}/t{secrets.token_hex(6)}",
            endpoint=endpoints.s3_endpoint,
            access_key=SecretStr(endpoints.s3_access_key),
            secret_key=SecretStr(endpoints.s3_secret_key),
        ),
        worker=WorkerSettings(lease_seconds=30),
        archive=ArchiveSettings(policies=DEMO, grace_seconds=0),
    )


@pytest.fixture
async def ledger(ledger_for: Callable[..., Awaitable[Ledger]], settings: Settings) -> Ledger:
    return await ledger_for("archive", versions=build(settings).migrations)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    async with open_store(settings.store) as opened:
        yield opened


@pytest.fixture
async def yard(ledger: Ledger, settings: Settings, store: Store, tmp_path: Path) -> AsyncIterator[Yard]:
    async with open_yard(ledger, settings, store, tmp_path, build) as opened:
        yield opened


@pytest.fixture
def with_policies(yard: Yard, tmp_path: Path) -> Callable[[str], Yard]:
    """The same yard under other policies."""

    def change(text: str) -> Yard:
        path = tmp_path / "policies.toml"
        path.write_text(text, encoding="utf-8")
        settings = yard.settings.model_copy(
            update={"archive": yard.settings.archive.model_copy(update={"policies": path})}
        )
        return Yard(ledger=yard.ledger, service=build(settings), settings=settings, store=yard.store, folder=tmp_path)

    return change
