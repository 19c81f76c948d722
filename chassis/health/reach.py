"""Whether the store can be reached, asked at a worker's start without loading what talks to it: its children do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote, urlsplit

from chassis.settings import StoreSettings

ASK_SECONDS = 5.0


class StoreReached:
    """Asked until it is reached, and no longer: later trouble is met by the attempts, which try again."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._trouble: str | None = "not asked yet"

    def why_not(self) -> str | None:
        return self._trouble

    async def asking(self) -> None:
        while (trouble := await _trouble(self._settings)) is not None:
            self._trouble = trouble
            await asyncio.sleep(ASK_SECONDS)
        self._trouble = None


async def _trouble(settings: StoreSettings) -> str | None:
    if settings.base.startswith("file://"):
        folder = Path(unquote(settings.base.removeprefix("file://")))
        # the first to open a store makes its folder: a mount that is missing lacks the parent too
        there = await asyncio.to_thread(lambda: folder.is_dir() or folder.parent.is_dir())
        return None if there else "its folder is not there"
    if settings.endpoint is None:
        return None  # AWS may be behind a proxy that only its client knows
    parts = urlsplit(settings.endpoint)
    try:
        async with asyncio.timeout(ASK_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or _port(parts.scheme))
    except (OSError, TimeoutError) as error:
        return f"its endpoint does not answer ({type(error).__name__})"
    writer.close()
    return None


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
