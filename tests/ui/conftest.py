"""The page as a process of its own over planted ledgers and the session's Kafka, and a Chromium that looks at it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, Page, Request, async_playwright

from chassis.settings import load
from console.site import migrate_ledgers
from console.supervisor import SERVICES
from deploy.embedded.stack import Endpoints
from tests.console.page.planting import plant
from tests.support.databases import empty_database

TOKEN = "a-token-that-nobody-guesses"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
START_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Served:
    address: str
    dsn: str

    async def tell(self, statement: str, *arguments: object) -> None:
        """What a service would write."""
        conn = await asyncpg.connect(self.dsn)
        try:
            await conn.execute(statement, *arguments)
        finally:
            await conn.close()


@pytest.fixture(scope="session")
async def served(topics: None, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    async with empty_database(endpoints.postgres_dsn) as dsn:
        config = folder / "cohortstream.toml"
        config.write_text(
            f'state_dir = "{folder / "state"}"\n'
            f'[ledger]\ndsn = "{dsn}"\n[kafka]\nbootstrap = "{endpoints.kafka_bootstrap}"\n'
            f'[page]\nport = 0\nrefresh_seconds = 0.5\ntoken_file = "{folder / "token"}"\n',
            encoding="utf-8",
        )
        await migrate_ledgers(load(config, environ={}), SERVICES)
        await plant().write(dsn)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "console.app", "--config", str(config), "console"),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                said = (await process.stdout.readline()).decode()
                address = said.split()[-1]
                await _answers(address)
            yield Served(address=address, dsn=dsn)
        finally:
            process.terminate()
            await process.wait()


async def _answers(address: str) -> None:
    host, _, port = address.removeprefix("http://").rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium, else the one that playwright has installed."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    async with async_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.fail("no Chromium: `apt-get install chromium`, or `.venv/bin/playwright install chromium`")
        # root may not have a sandbox of its own; only our own page is looked at
        flags = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        await browser.close()


@dataclass
class Looked:
    """A page with what went wrong on it and where its requests went."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


Look = Callable[..., Awaitable[Looked]]


@pytest.fixture
async def look(chromium: Browser, served: Served) -> AsyncIterator[Look]:
    """`await look("/pools", theme="dark", width=400)`: a page in a context of its own."""
    async with AsyncExitStack() as stack:

        async def open_(path: str, *, theme: str = "light", width: int = 1280, sign_in: bool = False) -> Looked:
            scheme = "dark" if theme == "dark" else "light"
            context = await chromium.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 860}, base_url=served.address
            )
            stack.push_async_callback(context.close)
            page = await context.new_page()
            looked = Looked(page)
            page.on("console", lambda m: looked.wrong.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: looked.wrong.append(str(error)))

            def asked(request: Request) -> None:
                if not request.url.startswith((f"{served.address}/", "data:")):
                    looked.elsewhere.append(request.url)

            page.on("request", asked)
            if sign_in:
                await page.goto("/sign-in")
                await page.get_by_label("Your name").fill("alice")
                await page.get_by_label("Token").fill(TOKEN)
                await page.get_by_role("button", name="Sign in").click()
            await page.goto(path)
            return looked

        yield open_


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: the folder that SHOTS names, else a temporary one."""
    folder = Path(os.environ["SHOTS"]) if os.environ.get("SHOTS") else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
