"""The stores that hold copies: the cold place, and the store itself for what had to get out of somebody's reach.

The cold place says who it is, in an object of its own: a folder on which nothing is mounted, or a bucket that took
another's name, does not, and is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

from chassis.errors import reject
from chassis.settings import StoreSettings
from chassis.storage import keys, open_store
from chassis.storage.file import FileStore
from chassis.storage.store import ObjectMissing, Store, StoreUnavailable, tags_of
from chassis.storage.sums import BLOCK

IDENTITY = keys.archived(name="cold-place.json")
TAGS = tags_of(kind="log", stage="archive", subject="cold-place", retain="hold")
IDENTITY_LIMIT = 4096
READ_AT_ONCE = 16 * BLOCK


class Places:
    """`settings`: of the cold place, None where there is none; `place_id`: what it said of itself when it was taken
    into use, None before that."""

    def __init__(self, *, store: Store, settings: StoreSettings | None, place_id: str | None) -> None:
        self._store = store
        self._settings = settings
        self._place_id = place_id

    @property
    def base(self) -> str | None:
        return None if self._settings is None else self._settings.base.rstrip("/")

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[Store]:
        """Where a copy can be put that lies apart: the cold place, else the store's own archive zone."""
        if self._settings is None:
            yield self._store
            return
        async with self.cold() as cold:
            yield cold

    @asynccontextmanager
    async def holding(self, uri: str) -> AsyncIterator[Store]:
        """The store that this URI is of. Raises Rejected COLD_PLACE_UNKNOWN for a place that is not configured."""
        if uri.startswith(f"{self._store.base}/"):
            yield self._store
            return
        if self.base is None or not uri.startswith(f"{self.base}/"):
            raise reject(
                code="COLD_PLACE_UNKNOWN",
                message="the copy lies in a cold place that the configuration does not name",
                where=uri,
                rule="as long as copies lie in a cold place, [cold] names it",
                fix="name it again, or copy the whole place to the new one under the old base",
            )
        async with self.cold() as cold:
            yield cold

    @asynccontextmanager
    async def cold(self) -> AsyncIterator[Store]:
        """Raises StoreUnavailable where it does not answer, or is not the place that it was."""
        async with opened(self._settings) as cold:
            await self.still(cold)
            yield cold

    async def still(self, place: Store) -> None:
        """What was written is there only if this is the place still: a mount may go in the middle of a write. Raises
        StoreUnavailable."""
        if place is self._store:
            return
        with said_by(place.base):
            said = await identity(place)
        if said is None or said != self._place_id:
            raise StoreUnavailable("open", uri=place.base, said="not the cold place that it was: is it mounted?")


@asynccontextmanager
async def opened(settings: StoreSettings | None, *, probe: bool = False) -> AsyncIterator[Store]:
    """A folder is never made: where it is missing, nothing is mounted there."""
    if settings is None:
        raise reject(
            code="CONFIG_VALUE",
            message="no cold place is named",
            where="cold.base",
            rule="copies need a place: a bucket, or a folder",
            fix="set [cold] base",
        )
    if settings.base.startswith("file://"):
        with said_by(settings.base):
            there = Path(unquote(settings.base.removeprefix("file://"))).is_dir()
        if not there:
            raise StoreUnavailable("open", uri=settings.base, said="the folder is not there: is it mounted?")
    async with open_store(settings, probe=probe) as store:
        yield store


@contextlib.contextmanager
def said_by(base: str) -> Iterator[None]:
    """A mount that fails (EIO, ESTALE) is a store that is away, not a fault of the task's."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable("use", uri=base, said=error.strerror or type(error).__name__) from error


async def identity(cold: Store) -> str | None:
    """What the place says of itself; None where it says nothing."""
    try:
        said = json.loads(await cold.get_bytes(IDENTITY, limit=IDENTITY_LIMIT))
    except ObjectMissing:
        return None
    return str(said["id"])


async def named(cold: Store) -> str:
    """The place's identity, given to it now if it has none yet."""
    known = await identity(cold)
    if known is not None:
        return known
    new = str(uuid.uuid4())
    said = {"id": new, "what": "the cold place of a cohortstream archive; without this object it is not used"}
    await cold.put_bytes(IDENTITY, json.dumps(said, indent=1).encode() + b"\n", tags=TAGS)
    return await identity(cold) or new


async def verified(store: Store, uri: str, *, sha256: str) -> bool:
    """Whether the object has this content, by reading it."""
    found = await store.head(uri)
    if found is None or not found.readable():
        return False
    digest = hashlib.sha256()
    for start in range(0, found.size, READ_AT_ONCE):
        try:
            digest.update(await store.read_range(uri, start, READ_AT_ONCE))
        except ObjectMissing:
            return False
    return digest.hexdigest() == sha256


async def at_hand(store: Store, uri: str, path: Path, *, sha256: str) -> Path:
    """A file with the object's content: where it lies, in a folder; else fetched to `path`, verified. Whoever stores it
    states its sum, so that a file in place is verified by its reading."""
    if isinstance(store, FileStore):
        found = await store.head(uri)
        if found is not None and found.readable():
            return store.path_of(uri)
    await store.get_file(uri, path, sha256=sha256)
    return path
