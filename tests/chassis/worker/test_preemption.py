"""A notice file means what SIGTERM means: no more claims."""

from __future__ import annotations

import asyncio
from pathlib import Path

from chassis.worker.preemption import watch_notice


async def test_the_worker_is_stopped_when_the_notice_appears(tmp_path: Path) -> None:
    notice = tmp_path / "notice"
    stopped = asyncio.Event()
    watching = asyncio.create_task(watch_notice(notice, stopped.set))
    await asyncio.sleep(0)
    assert not stopped.is_set()
    notice.touch()
    async with asyncio.timeout(10):
        await stopped.wait()
        await watching
