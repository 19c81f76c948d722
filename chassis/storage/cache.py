"""Objects that many tasks of one host read, fetched once: verified, by content, least recently used goes first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from pathlib import Path

from chassis.storage.store import Store
from contracts.values import Artifact


class ObjectCache:
    """A folder of objects by their SHA-256. A task gets a hard link of its own, so that nothing it reads can be evicted
    under it. Any number of processes may share the folder."""

    def __init__(self, *, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit = limit_bytes

    async def link(self, store: Store, artifact: Artifact, target: Path) -> Path:
        """Make `target` the artifact's content. Raises what `Store.get_file` raises."""
        await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
        kept = self._root / artifact.id
        if not await asyncio.to_thread(_link, kept, target):
            fresh = self._root / f".{artifact.id}.{uuid.uuid4().hex}"
            try:
                await store.get_file(artifact.uri, fresh, sha256=artifact.id, size=artifact.size)
                await asyncio.to_thread(os.replace, fresh, kept)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    await asyncio.to_thread(fresh.unlink)
            await asyncio.to_thread(self._evict)
            if not await asyncio.to_thread(_link, kept, target):
                await store.get_file(artifact.uri, target, sha256=artifact.id, size=artifact.size)
        return target

    def _evict(self) -> None:
        """Remove the least recently linked until the folder is within its limit."""
        entries = []
        for path in self._root.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                entries.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._limit:
                return
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            total -= size


def _link(kept: Path, target: Path) -> bool:
    try:
        os.utime(kept)
        os.link(kept, target)
    except FileNotFoundError:
        return False
    return True
