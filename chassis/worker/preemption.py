"""A notice that this host will soon be taken away, besides SIGTERM: a file that the host's own agent makes.

Node agents of clouds, a Slurm prolog or an operator can each write a file; which one is a setting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""A spot notice comes 120 s ahead: a second's delay costs nothing."""


async def watch_notice(path: Path, stop: Callable[[], None]) -> None:
    """Call `stop` once the file is there. What it holds does not matter."""
    while not await asyncio.to_thread(path.exists):  # noqa: ASYNC110  a file of another process has no event
        await asyncio.sleep(LOOK_SECONDS)
    log.warning("this host is about to go: no more claims")
    stop()
