"""A worker in the test's own process: its children are real, its ledger may be any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import NewTask
from chassis.service import build
from chassis.worker.worker import Work, Worker
from tests.support import tiny
from tests.support.site import Site


async def enqueue(ledger: Ledger, *tasks: NewTask) -> None:
    async with ledger.transaction() as tx:
        await queue.enqueue(tx, tasks)


@asynccontextmanager
async def worker_of(
    site: Site,
    ledger: Ledger,
    *,
    builder: str = tiny.BUILDER,
    slots: int = 1,
    host: str = "",
    until_empty: bool = False,
) -> AsyncIterator[tuple[Worker, asyncio.Task[None]]]:
    """The worker and the task that runs it; stopped and awaited at the end."""
    settings = site.settings
    work = Work(
        service=build(builder, settings),
        builder=builder,
        settings=settings,
        pools=("default",),
        slots=slots,
        host=host,
        until_empty=until_empty,
    )
    worker = Worker(work=work, ledger=ledger)
    running = asyncio.create_task(worker.run())
    try:
        yield worker, running
    finally:
        worker.stop()
        async with asyncio.timeout(30):
            await asyncio.wait({running})


def journal_of(path: Path) -> list[tuple[str, str, str]]:
    """(start or end, chunk, attempt) for each line."""
    if not path.exists():
        return []
    return [(a, b, c) for a, b, c in (line.split() for line in path.read_text(encoding="utf-8").splitlines())]


def alive(pid: int) -> bool:
    """Is the process there, and more than a zombie that waits for its parent?"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
