"""A worker process for the cache's tests: asks for a reference, says what it does, waits for a line before it pulls.

argv: store folder, cache folder, reference name, file that each pulled object is noted in, limit in bytes
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from chassis.reference.cache import ReferenceCache
from chassis.storage.file import FileStore


def say(word: str) -> None:
    print(word, flush=True)


class Slow(FileStore):
    """Notes each object that is fetched; before the first it waits for its parent."""

    def __init__(self, *, root: Path, log: Path) -> None:
        super().__init__(root=root)
        self._log = log
        self._waited = False

    async def get_file(self, uri_or_key: str, path: Path, **options: Any) -> None:
        if not self._waited:
            self._waited = True
            say("pulling")
            await asyncio.to_thread(sys.stdin.readline)
        with self._log.open("a") as log:
            log.write(f"{uri_or_key}\n")
        await super().get_file(uri_or_key, path, **options)


async def main() -> None:
    folder, root, name, log, limit = sys.argv[1:]
    with ReferenceCache(root=Path(root), limit_bytes=int(limit)) as cache:
        say("asking")
        local = await cache.local(Slow(root=Path(folder), log=Path(log)), name)
        say(f"has {local.fasta.stat().st_size}")
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main())
