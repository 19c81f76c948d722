"""Spot machines: with a notice they hand over, without one they are a loss and nothing worse."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from chassis.ledger.ledger import Ledger
from chassis.telemetry.spans import read_spans
from chassis.worker.attempt import HOST_GOES, TOLD_TO_STOP
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import lapse, started
from tests.support import tiny
from tests.support.site import Site, sample_key, task_row
from tests.support.working import enqueue, journal_of, worker_of

NOTICE_SECONDS = 120.0
NO_WAIT = 60.0
"""A lease that no test waits for: who goes on within it was let in."""


@pytest.mark.parametrize("notice", ["SIGTERM", "file"])
async def test_fault_10_a_noticed_worker_finishes_its_chunk_and_the_next_goes_on_at_once(
    notice: str, site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    file, journal = tmp_path / "notice", tmp_path / "journal"
    site.lease_seconds, site.worker = NO_WAIT, {"notice_file": str(file)}
    task = tiny.steps_task(sample_key(), chunks=3, gates=str(gates), journal=str(journal))
    other = tiny.steps_task(sample_key(), chunks=1)
    await enqueue(ledger, task)
    (gates / "chunk-0").touch()
    worker = await site.start("work", tiny.BUILDER)
    await until(lambda: started(journal, "chunk-1"))

    match notice:
        case "SIGTERM":
            worker.signal(signal.SIGTERM)
        case _:
            file.touch()
            await until(lambda: _heard(worker.log))
    await enqueue(ledger, other)
    (gates / "chunk-1").touch()
    assert await worker.ended(seconds=NOTICE_SECONDS) == 0

    row = await task_row(ledger, task.key)
    assert (row["state"], row["preemptions"], row["losses"], row["crashes"]) == ("ready", 1, 0, 0)
    assert set(row["checkpoint"]) == {"chunk-0", "chunk-1"}
    assert (await task_row(ledger, other.key))["epoch"] == 0, "it claimed no more"
    (span,) = [span for span in read_spans(site.folder) if span.name == "tiny steps"]
    assert span.attributes["cohortstream.ending"] == "preemption"
    assert span.attributes["cohortstream.reason"] == {"SIGTERM": TOLD_TO_STOP, "file": HOST_GOES}[notice]
    file.unlink(missing_ok=True)
    (gates / "chunk-2").touch()
    async with worker_of(site, ledger):
        await settled(task.key, other.key)
    assert [(chunk, attempt) for word, chunk, attempt in journal_of(journal) if word == "start"] == [
        ("chunk-0", "1-1"),
        ("chunk-1", "1-1"),
        ("chunk-2", "1-2"),
    ]


async def test_fault_10_a_chunk_that_takes_longer_than_the_drain_is_dropped(
    site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    site.lease_seconds, site.drain_seconds = NO_WAIT, 0.3
    journal = tmp_path / "journal"
    task = tiny.steps_task(sample_key(), chunks=2, gates=str(gates), journal=str(journal))
    await enqueue(ledger, task)
    (gates / "chunk-0").touch()
    worker = await site.start("work", tiny.BUILDER)
    await until(lambda: started(journal, "chunk-1"))

    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0

    row = await task_row(ledger, task.key)
    assert (row["state"], row["preemptions"], row["crashes"]) == ("ready", 1, 0)
    assert set(row["checkpoint"]) == {"chunk-0"}
    (gates / "chunk-1").touch()
    async with worker_of(site, ledger):
        await settled(task.key)
    assert not await started(journal, "chunk-0", times=2)


async def test_fault_11_hosts_that_vanish_are_losses_and_no_crashes(
    site: Site, ledger: Ledger, announced: None, settled: Settled, gates: Path, tmp_path: Path
) -> None:
    """More often than a task may crash, and twice on one of the hosts: it is lost on two."""
    site.lease_seconds = 2.0
    journal = tmp_path / "journal"
    task = tiny.steps_task(sample_key(), chunks=2, gates=str(gates), journal=str(journal))
    await enqueue(ledger, task)
    (gates / "chunk-0").touch()
    for number, host in enumerate(("one", "other", "one"), start=1):
        worker = await site.start("work", tiny.BUILDER, host=host)
        await until(lambda number=number: started(journal, "chunk-1", times=number))
        worker.signal(signal.SIGKILL)
        await worker.ended()
        await lapse(ledger)

    async with worker_of(site, ledger):
        await until(lambda: started(journal, "chunk-1", times=4))
        assert sorted((await task_row(ledger, task.key))["loss_hosts"]) == ["one", "other"]
        (gates / "chunk-1").touch()
        await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["losses"], row["crashes"], row["preemptions"], row["epoch"]) == (3, 0, 0, 4)
    assert not await started(journal, "chunk-0", times=2), "what was finished stays"


async def _heard(log: Path) -> bool:
    return "no more claims" in log.read_text(encoding="utf-8")
