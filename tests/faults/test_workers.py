"""Faults of workers: killed, stopped, racing. The processes are real and really struck."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.ledger.ledger import Ledger
from chassis.storage import open_store
from chassis.worker.sweeper import sweep_orphans
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import at_epoch, in_state, none_of, said, started, struck, written
from tests.support import tiny
from tests.support.site import Site, sample_key, state_of, task_row
from tests.support.working import alive, enqueue, journal_of, worker_of


async def test_fault_01_a_worker_killed_in_the_middle_costs_one_chunk(
    site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    site.lease_seconds = 2.0
    journal = tmp_path / "journal"
    task = tiny.steps_task(sample_key(), chunks=4, gates=str(gates), journal=str(journal))
    await enqueue(ledger, task)
    for open_gate in ("chunk-0", "chunk-1"):
        (gates / open_gate).touch()
    worker = await site.start("work", tiny.BUILDER)
    await until(lambda: started(journal, "chunk-2"))

    worker.signal(signal.SIGKILL)
    await worker.ended()

    for open_gate in ("chunk-2", "chunk-3"):
        (gates / open_gate).touch()
    async with worker_of(site, ledger):
        counts = await settled(task.key)
    runs = Counter(chunk for word, chunk, _ in journal_of(journal) if word == "start")
    assert runs == {"chunk-0": 1, "chunk-1": 1, "chunk-2": 2, "chunk-3": 1}, "redone work is one chunk"
    row = await task_row(ledger, task.key)
    assert (row["losses"], row["crashes"], row["epoch"]) == (1, 0, 2)
    assert counts.results == {task.key: 1}


async def test_fault_02_what_was_uploaded_and_never_committed_is_redone_and_swept(
    site: Site, ledger: Ledger, announced: None, settled: Settled
) -> None:
    """The child stands still just after its upload; then the worker is killed, and the child goes with it."""
    site.lease_seconds = 2.0
    task = tiny.steps_task(sample_key(), chunks=1)
    await enqueue(ledger, task)
    worker = await site.start("work", tiny.BUILDER, fault="after-upload=SIGSTOP")
    await until(lambda: struck(site))

    worker.signal(signal.SIGKILL)
    await worker.ended()

    async with worker_of(site, ledger):
        await settled(task.key)
    row = await task_row(ledger, task.key)
    async with open_store(site.settings.store) as store:
        removed = await sweep_orphans(ledger, store, older_than=timedelta(seconds=-5))
        left = [facts.uri async for facts in store.list("working")]
    assert [key.split("/")[3] for key in removed] == ["1-1"]
    assert left == list(row["result"]["uris"].values())


@pytest.mark.usefixtures("tiny_begins_now")
async def test_fault_03_a_worker_killed_after_the_commit_has_told_its_event(
    site: Site, ledger: Ledger, settled: Settled
) -> None:
    task = tiny.steps_task(sample_key(), chunks=1)
    await enqueue(ledger, task)
    worker = await site.start("work", tiny.BUILDER, fault="after-commit=SIGKILL")
    assert await worker.ended() == -signal.SIGKILL
    assert await state_of(ledger, task.key) == "done"
    async with ledger.connection() as conn:
        assert await conn.fetchval("select count(*) from outbox") == 1

    await site.start("consume", tiny.BUILDER)

    counts = await settled(task.key)
    assert counts.published == {task.subject: 1}


async def test_fault_06_a_worker_that_slept_through_its_lease_changes_nothing(
    site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    site.lease_seconds = 2.0
    pids = tmp_path / "pids"
    task = tiny.steps_task(sample_key(), chunks=2, gates=str(gates), pids=str(pids))
    await enqueue(ledger, task)
    zombie = await site.start("work", tiny.BUILDER)
    await until(lambda: written(pids))
    children = [int(pid) for pid in pids.read_text(encoding="utf-8").split()]

    zombie.signal(signal.SIGSTOP)
    async with worker_of(site, ledger, host="another"):
        await until(lambda: at_epoch(ledger, task.key, 2))
        for gate in ("chunk-0", "chunk-1"):
            (gates / gate).touch()
        await until(lambda: in_state(ledger, task.key, "done"))
    before = dict(await task_row(ledger, task.key))
    assert alive(children[0]), "its child went on meanwhile, under its own prefix"
    zombie.signal(signal.SIGCONT)

    await until(lambda: none_of(children))
    await until(lambda: said(zombie, "the result is thrown away"))
    counts = await settled(task.key)
    assert dict(await task_row(ledger, task.key)) == before
    assert all("/1-2/" in uri for uri in before["result"]["uris"].values())
    assert counts.results == {task.key: 1}


async def test_fault_13_workers_that_race_give_each_task_one_epoch(
    site: Site, ledger: Ledger, announced: None, settled: Settled, tmp_path: Path
) -> None:
    journals = tmp_path / "journals"
    journals.mkdir()
    tasks = [tiny.steps_task(sample, chunks=1, journal=str(journals / sample)) for sample in _samples(6)]
    for _ in range(2):
        await site.start("work", tiny.BUILDER, slots=2)
    await enqueue(ledger, *tasks)
    counts = await settled(*(task.key for task in tasks))
    for task in tasks:
        assert (await task_row(ledger, task.key))["epoch"] == 1
        assert [word for word, _, _ in journal_of(journals / task.subject)] == ["start", "end"]
    assert counts.results == {task.key: 1 for task in tasks}


def _samples(count: int) -> list[str]:
    return [sample_key() for _ in range(count)]
