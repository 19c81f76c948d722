"""The page over planted ledgers: one database for the module's tests, since reading changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.settings import LedgerSettings, PageSettings, Settings, load
from console import commands_out
from console.page.app import build
from console.site import migrate_ledgers
from console.supervisor import SERVICES
from contracts.events import Command
from tests.console.page.asgi import Browser
from tests.console.page.planting import plant
from tests.support.databases import empty_database

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
async def planted(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    async with empty_database(postgres_dsn) as dsn:
        folder: Path = tmp_path_factory.mktemp("page")
        (folder / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
        settings = load(None, environ={}).model_copy(
            update={
                "state_dir": folder / "state",
                "ledger": LedgerSettings(dsn=SecretStr(dsn)),
                "page": PageSettings(token_file=folder / "token", refresh_seconds=0.01),
            }
        )
        await migrate_ledgers(settings, SERVICES)
        await plant().write(dsn)
        yield settings


Open = Callable[..., Browser]


@pytest.fixture
async def open_page(planted: Settings) -> AsyncIterator[Open]:
    """`open_page(token=False)`: a browser on an application of its own."""
    apps = []

    def make(*, token: bool = True, settings: Settings = planted) -> Browser:
        if not token:
            page = settings.page.model_copy(update={"token_file": None})
            settings = settings.model_copy(update={"page": page})
        app = build(settings)
        apps.append(app)
        return Browser(app)

    yield make
    await asyncio.gather(*(app.state.site.ledgers.close() for app in apps))


@pytest.fixture
async def signed_in(open_page: Open) -> Browser:
    browser = open_page()
    answer = await browser.sign_in("alice", TOKEN)
    assert answer.status == 303, answer.words
    return browser


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    """Commands that would go to Kafka; no service notes them."""
    found: list[Command] = []

    async def publish(settings: Settings, *commands: Command) -> None:
        found.extend(commands)

    async def noted(*args: object, **kwargs: object) -> bool:
        return False

    monkeypatch.setattr(commands_out, "publish", publish)
    monkeypatch.setattr(commands_out, "noted", noted)
    return found
