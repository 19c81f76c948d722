"""What counts as a full disk, and what a worker does that cannot even make an attempt's folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import ToolFailed
from chassis.ledger.ledger import Ledger
from chassis.worker.disk import is_full
from tests.conftest import until
from tests.support import tiny
from tests.support.site import Site, sample_key, task_row
from tests.support.working import enqueue, worker_of

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_found_at_the_bottom_of_an_error() -> None:
    wrapped = RuntimeError("sorting failed")
    wrapped.__cause__ = FULL
    tool = ToolFailed(tool="samtools", status=1, said="[E::bgzf_flush] File write failed: No space left on device")
    for error in (FULL, OSError(errno.EDQUOT, "quota"), wrapped, ExceptionGroup("parts", [ValueError(), FULL]), tool):
        assert is_full(error)
    for error in (ValueError(), PermissionError(errno.EACCES, "no"), ToolFailed(tool="x", status=1, said="bad input")):
        assert not is_full(error)


async def test_a_worker_without_room_for_a_folder_gives_the_task_back_and_rests(
    site: Site, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    site.worker = {"scratch": str(scratch)}
    make = Path.mkdir

    def without_room(path: Path, *arguments: Any, **options: Any) -> None:
        if path.is_relative_to(scratch):
            raise FULL
        make(path, *arguments, **options)

    task = tiny.steps_task(sample_key(), chunks=1)
    await enqueue(ledger, task)
    with monkeypatch.context() as full:
        full.setattr(Path, "mkdir", without_room)
        async with worker_of(site, ledger, host="full"):
            await until(lambda: _given_back(ledger, task.key))
            async with worker_of(site, ledger, host="as full"):
                await until(lambda: _given_back(ledger, task.key, times=2))
    row = await task_row(ledger, task.key)
    assert (row["state"], row["retries"], row["crashes"], row["losses"]) == ("ready", 2, 0, 0)
    assert row["reason"] == "disk full on as full: No space left on device"


async def _given_back(ledger: Ledger, key: str, *, times: int = 1) -> bool:
    return bool((await task_row(ledger, key))["retries"] >= times)
