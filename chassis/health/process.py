"""A process's health while it runs: its report, its HTTP probes, and what it asks its ledger."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from chassis.health import report
from chassis.health.endpoint import Page, serving
from chassis.health.pulse import Beat, Pulse
from chassis.ledger.ledger import Ledger
from chassis.settings import HealthSettings
from chassis.telemetry.instruments import build_info, disk_room, process_well
from chassis.telemetry.setup import release

log = logging.getLogger(__name__)

STARTING = "start"
"""A need that is met once the process does what it is for; `Pulse.over` says so."""
BEATS_PER_QUESTION = 2
ANSWER_SECONDS = 5.0
"""A ledger that takes longer to say `1` is of no use."""
STALE_SECONDS = 30.0
"""An answer of the ledger's that is so much older than the next was due is not believed."""
ASK = "select 1"
TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@asynccontextmanager
async def attended(
    *,
    service: str,
    role: str,
    state_dir: Path,
    settings: HealthSettings,
    metrics: Page | None = None,
    scratch: Path | None = None,
) -> AsyncIterator[Pulse]:
    """This process's pulse; its report is written, its probes are answered and its metrics shown until the end."""
    pulse = Pulse()
    pulse.require(STARTING, lambda: "the process still starts")
    who = report.identity(service=service, role=role)
    folder = state_dir / report.FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    report.tidy(folder)
    build_info(service=service, role=role, version=release())
    folders = {"state": state_dir} if scratch is None else {"state": state_dir, "scratch": scratch}
    async with AsyncExitStack() as leaving:
        address = None
        if settings.port is not None:
            address = await leaving.enter_async_context(
                serving(pulse.vitals, bind=settings.bind, port=settings.port, metrics=metrics)
            )
        since = time.time()

        def say() -> None:
            vitals = pulse.vitals()
            process_well(service=service, role=role, live=vitals.live, ready=vitals.ready)
            disk_room(service=service, role=role, folders=folders)
            try:
                report.write(folder, who, vitals, since=since, address=address)
            except OSError as error:
                log.warning("no health report can be written", extra={"error": type(error).__name__})

        async def reporting() -> None:
            while True:
                await asyncio.sleep(settings.beat_seconds)
                say()

        say()
        leaving.callback(report.forget, folder, who)
        await leaving.enter_async_context(beside(reporting()))
        yield pulse


@asynccontextmanager
async def beside(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these until left. One that fails stops to beat, and that shows."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class LedgerAnswers:
    """Whether the ledger answers, asked now and then, so that a probe costs it nothing."""

    def __init__(self, ledger: Ledger, *, beat_s: float) -> None:
        self._ledger = ledger
        self._every_s = BEATS_PER_QUESTION * beat_s
        self._asked: float | None = None
        self._trouble: str | None = "not asked yet"

    def why_not(self) -> str | None:
        if self._asked is not None and time.monotonic() - self._asked > self._every_s + STALE_SECONDS:
            return "has not answered for long"
        return self._trouble

    async def asking(self, beat: Beat) -> None:
        """Ask for ever."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS), self._ledger.connection() as conn:
                    await conn.fetchval(ASK)
                self._trouble = None
            except TROUBLE as error:
                self._trouble = f"does not answer ({type(error).__name__})"
            self._asked = time.monotonic()
            beat()
            await asyncio.sleep(self._every_s)
