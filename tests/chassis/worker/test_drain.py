"""A worker that is told to stop finishes the chunk in hand or drops it; the next one goes on from there."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from chassis.ledger.ledger import Ledger
from tests.conftest import until
from tests.support import tiny
from tests.support.site import Site, sample_key, state_of, task_row
from tests.support.working import enqueue, journal_of, worker_of


async def test_sigterm_finishes_the_chunk_and_the_next_worker_starts_after_it(
    site: Site, ledger: Ledger, tmp_path: Path
) -> None:
    gates, journal = tmp_path / "gates", tmp_path / "journal"
    gates.mkdir()
    (gates / "chunk-0").touch()
    task = tiny.steps_task(sample_key(), chunks=3, gates=str(gates), journal=str(journal))
    await enqueue(ledger, task)
    process = await site.start("work", tiny.BUILDER)
    await until(lambda: _started(journal, "chunk-1"))

    process.signal(signal.SIGTERM)
    (gates / "chunk-1").touch()
    assert await process.ended() == 0

    row = await task_row(ledger, task.key)
    assert (row["state"], row["preemptions"], row["losses"]) == ("ready", 1, 0)
    assert set(row["checkpoint"]) == {"chunk-0", "chunk-1"}
    (gates / "chunk-2").touch()
    async with worker_of(site, ledger):
        await until(lambda: _done(ledger, task.key))
    assert [(chunk, attempt) for word, chunk, attempt in journal_of(journal) if word == "start"] == [
        ("chunk-0", "1-1"),
        ("chunk-1", "1-1"),
        ("chunk-2", "1-2"),
    ]


async def test_a_chunk_that_takes_longer_than_the_drain_is_dropped(site: Site, ledger: Ledger, tmp_path: Path) -> None:
    site.drain_seconds = 0.3
    gates, journal = tmp_path / "gates", tmp_path / "journal"
    gates.mkdir()
    (gates / "chunk-0").touch()
    task = tiny.steps_task(sample_key(), chunks=2, gates=str(gates), journal=str(journal))
    await enqueue(ledger, task)
    async with worker_of(site, ledger) as (worker, running):
        await until(lambda: _started(journal, "chunk-1"))
        worker.stop()
        async with asyncio.timeout(10):
            await running
    row = await task_row(ledger, task.key)
    assert (row["state"], row["preemptions"], row["crashes"]) == ("ready", 1, 0)
    assert set(row["checkpoint"]) == {"chunk-0"}


async def _started(journal: Path, chunk: str) -> bool:
    return any(word == "start" and name == chunk for word, name, _ in journal_of(journal))


async def _done(ledger: Ledger, key: str) -> bool:
    return await state_of(ledger, key) == "done"
