"""The child lives no longer than its worker, and its worker's heartbeat does not depend on it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from chassis.ledger.ledger import Ledger
from tests.conftest import until
from tests.support import tiny
from tests.support.site import Site, sample_key, state_of
from tests.support.working import alive, enqueue


async def written(path: Path) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").endswith("\n")


def pids_in(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text(encoding="utf-8").split()]


async def test_child_and_tools_vanish_with_a_killed_worker(site: Site, ledger: Ledger, tmp_path: Path) -> None:
    """Also when the child stands still at that moment."""
    gates = tmp_path / "gates"
    gates.mkdir()
    files = [tmp_path / "pids-0", tmp_path / "pids-1"]
    await enqueue(ledger, *(tiny.steps_task(sample_key(), gates=str(gates), pids=str(file)) for file in files))
    process = await site.start("work", tiny.BUILDER, slots=2)
    for file in files:
        await until(lambda file=file: written(file))
    pids = [pid for file in files for pid in pids_in(file)]
    assert all(alive(pid) for pid in pids)
    os.kill(pids_in(files[0])[0], signal.SIGSTOP)

    process.signal(signal.SIGKILL)

    await until(lambda: _none_of(pids), seconds=5)


async def _none_of(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


async def _done(ledger: Ledger, key: str) -> bool:
    return await state_of(ledger, key) == "done"
