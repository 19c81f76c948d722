"""Faults of a worker's host: its disk is full, its memory is short, a task brings it down."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.ledger.ledger import Ledger
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import done_soon, in_state, lapse, said
from tests.support import tiny
from tests.support.site import Process, Site, sample_key, task_row
from tests.support.working import enqueue, worker_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte; where none may be mounted, a folder with a device that is always full."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode != 0:
        (folder / "tiny").mkdir()
        (folder / "disk").symlink_to("/dev/full")
        yield folder
        return
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_fault_31_a_full_disk_fails_cleanly_and_another_host_takes_the_task(
    site: Site, ledger: Ledger, announced: None, settled: Settled, small_disk: Path
) -> None:
    """The crash budget is not touched, what was finished stays, and the full host claims no more for a while."""
    task = tiny.steps_task(sample_key(), chunks=2, large_mb=2)
    await enqueue(ledger, task)
    worker = await site.beside("full", worker={"scratch": str(small_disk)}).start("work", tiny.BUILDER, host="full")
    await until(lambda: said(worker, "the disk of this host is full"))

    row = await task_row(ledger, task.key)
    assert (row["state"], row["retries"], row["crashes"], row["losses"]) == ("ready", 1, 0, 0)
    assert row["reason"] == "disk full on full: OSError: No space left on device"
    assert set(row["checkpoint"]) == {"chunk-0"}
    assert [path for path in small_disk.rglob("*") if path.is_file() and not path.is_symlink()] == []

    async with worker_of(site, ledger, host="roomy"):
        await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["host"], row["epoch"]) == ("roomy", 2), "no third attempt was made in between"
    assert [uri.split("/")[-2] for uri in row["result"]["uris"].values()] == ["1-1", "1-2"]


async def test_fault_32_out_of_memory_is_tried_again_with_more(
    site: Site, ledger: Ledger, announced: None, settled: Settled
) -> None:
    """The child runs under its memory class as a limit, and asks for more than the first."""
    task = tiny.steps_task(sample_key(), chunks=1, needs_mb=2500)
    await enqueue(ledger, task)
    async with worker_of(site, ledger):
        await until(lambda: done_soon(ledger, task.key))
    await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["memory_class"], row["crashes"], row["epoch"]) == ("medium", 1, 2)


async def test_fault_32_a_child_that_the_kernel_kills_ends_after_the_last_class(
    site: Site, ledger: Ledger, announced: None, settled: Settled
) -> None:
    site.worker = {"memory_mb": 65_536}
    hungry = replace(tiny.steps_task(sample_key(), end="killed"), memory_class="large")
    other = tiny.steps_task(sample_key(), chunks=1)
    await enqueue(ledger, hungry)
    async with worker_of(site, ledger):
        await until(lambda: done_soon(ledger, hungry.key, "failed"))
        await enqueue(ledger, other)
        await settled(other.key)
    row = await task_row(ledger, hungry.key)
    assert (row["memory_class"], row["crashes"], row["epoch"]) == ("huge", 1, 2)
    assert row["error"]["code"] == "BUDGET_SPENT"
    assert "budget of memory" in row["error"]["message"] and "137" in row["error"]["message"]


async def test_fault_33_a_task_that_kills_every_worker_stops_and_the_others_go_on(
    site: Site, ledger: Ledger, announced: None, settled: Settled
) -> None:
    killer = replace(tiny.steps_task(sample_key(), end="kill-worker"), priority=1.0)
    others = [tiny.steps_task(sample_key(), chunks=1) for _ in range(2)]
    await enqueue(ledger, killer)
    hosts = ("one", "two", "three", "four")
    workers = [await site.start("work", tiny.BUILDER, host=host) for host in hosts]
    for lost in range(1, 4):
        await until(lambda lost=lost: _dead(workers, lost))
        await lapse(ledger)
    await until(lambda: in_state(ledger, killer.key, "failed"))

    await enqueue(ledger, *others)
    await settled(*(task.key for task in others))
    row = await task_row(ledger, killer.key)
    assert (row["losses"], row["crashes"], len(set(row["loss_hosts"]))) == (3, 0, 3)
    assert row["error"]["code"] == "BUDGET_SPENT"
    assert await _dead(workers, 3), "the fourth lives"


async def _dead(workers: list[Process], count: int) -> bool:
    return sum(worker.process.returncode is not None for worker in workers) == count
