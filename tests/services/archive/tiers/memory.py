"""A store in memory that can stand still before any of its steps, as a worker does that is stopped there.

It honours no condition and keeps no versions unless told: between a look and the write after it, others may come. A
condition is on the bytes, as an ETag is, so that it does not tell the same content written twice apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from chassis.errors import reject
from chassis.storage.store import Archived, ObjectFacts, ObjectMissing, RestoreState, Store, Stored
from chassis.storage.stub import COLD, Stub
from services.archive.tiers.places import Places

Pause = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Held:
    body: bytes
    version: str
    cold: str | None = None
    stub: Stub | None = None


@dataclass
class MemoryStore:
    base: str
    versions: bool
    conditional: bool
    objects: dict[str, Held] = field(default_factory=dict)
    written: int = 0
    pause: Pause | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset({"versions"} if self.versions else ())

    def through(self, pause: Pause) -> MemoryStore:
        """The same objects, through the hands of one worker."""
        return _Through(self, pause)

    async def _step(self) -> None:
        if self.pause is not None:
            await self.pause()

    def key_of(self, uri: str) -> str:
        return uri.removeprefix(f"{self.base}/")

    def _other(self, uri: str, seen: Held | None) -> bool:
        """Whether the store tells that something else lies there by now."""
        there = self.objects.get(self.key_of(uri))
        if self.versions:
            return there is not seen
        return self.conditional and (there and there.body) != (seen and seen.body)

    def _put(self, uri: str, held: Held) -> Stored:
        self.objects[self.key_of(uri)] = held
        key = self.key_of(uri)
        sha, size = hashlib.sha256(held.body).hexdigest(), len(held.body)
        if held.stub is not None:
            sha, size = held.stub.sha256, held.stub.size
        return Stored(uri=f"{self.base}/{key}", key=key, sha256=sha, size=size, version=self._told(held))

    def _told(self, held: Held) -> str | None:
        return held.version if self.versions else None

    def _new(self) -> str:
        self.written += 1
        return f"v{self.written}"

    async def head(self, uri: str, *, version: str | None = None) -> ObjectFacts | None:
        await self._step()
        held = self.objects.get(self.key_of(uri))
        if held is None or (version is not None and held.version != version):
            return None
        sha, size = hashlib.sha256(held.body).hexdigest(), len(held.body)
        if held.stub is not None:
            sha, size = held.stub.sha256, held.stub.size
        return ObjectFacts(
            uri=f"{self.base}/{self.key_of(uri)}",
            key=self.key_of(uri),
            size=size,
            modified=datetime.now(UTC),
            storage_class=COLD if held.cold else "STANDARD",
            sha256=sha,
            version=self._told(held),
            restore=RestoreState(ongoing=False) if held.cold and held.stub is None else None,
            cold=held.cold,
        )

    def _content(self, uri: str) -> bytes:
        held = self.objects.get(self.key_of(uri))
        if held is None:
            raise ObjectMissing(uri)
        if held.stub is not None:
            raise Archived(uri)
        return held.body

    async def get_file(self, uri: str, path: Path, *, sha256: str | None = None, size: int | None = None) -> None:
        await self._step()
        path.write_bytes(self._content(uri))

    async def read_range(self, uri: str, start: int, length: int) -> bytes:
        await self._step()
        return self._content(uri)[start : start + length]

    async def read_tags(self, uri: str, *, version: str | None = None) -> dict[str, str]:
        if self.key_of(uri) not in self.objects:
            raise ObjectMissing(uri)
        return {}

    async def list(self, prefix: str) -> AsyncIterator[ObjectFacts]:
        for key in sorted(self.objects):
            if key.startswith(f"{prefix}/"):
                found = await self.head(f"{self.base}/{key}")
                if found is not None:
                    yield found

    async def put_file(self, key: str, path: Path, *, sha256: str | None = None, tags: Mapping[str, str]) -> Stored:
        await self._step()
        body = path.read_bytes()
        if sha256 is not None and hashlib.sha256(body).hexdigest() != sha256:
            raise reject(code="CONTENT_CHANGED", message="x", where=key, rule="x", fix="x")
        return self._put(key, Held(body=body, version=self._new()))

    async def delete(self, uri: str, *, version: str | None = None) -> bool:
        await self._step()
        held = self.objects.get(self.key_of(uri))
        if held is None or (version is not None and held.version != version):
            return False
        await self._step()
        if self.versions and self._other(uri, held):
            return False
        return self.objects.pop(self.key_of(uri), None) is not None

    async def leave_stub(
        self, uri: str, *, stub: Stub, version: str | None, tags: Mapping[str, str] | None = None
    ) -> Stored:
        await self._step()
        held = self.objects.get(self.key_of(uri))
        if held is not None and held.stub is not None and held.cold == stub.place:
            return self._put(uri, held)
        if (held is None) != (tags is not None) or (held and version is not None and held.version != version):
            raise ObjectMissing(uri)
        await self._step()
        if self._other(uri, held):
            raise ObjectMissing(uri)
        return self._put(uri, Held(body=stub.body, version=self._new(), cold=stub.place, stub=stub))

    async def fill_stub(self, uri: str, path: Path, *, sha256: str) -> Stored:
        await self._step()
        held = self.objects.get(self.key_of(uri))
        if held is None or held.cold is None:
            raise ObjectMissing(uri)
        if held.stub is None:
            return self._put(uri, held)
        body = path.read_bytes()
        if hashlib.sha256(body).hexdigest() != sha256:
            raise reject(code="CONTENT_CHANGED", message="x", where=uri, rule="x", fix="x")
        await self._step()
        if self._other(uri, held):
            raise ObjectMissing(uri)
        return self._put(uri, Held(body=body, version=self._new(), cold=held.cold))


class _Through(MemoryStore):
    def __init__(self, behind: MemoryStore, pause: Pause) -> None:
        super().__init__(
            base=behind.base,
            versions=behind.versions,
            conditional=behind.conditional,
            objects=behind.objects,
            pause=pause,
        )
        self._behind = behind

    def _new(self) -> str:
        return self._behind._new()


class MemoryPlaces(Places):
    """Always there, always the same."""

    def __init__(self, *, store: MemoryStore, cold: MemoryStore | None) -> None:
        super().__init__(store=as_store(store), settings=None, place_id=None)
        self._hot, self._cold = store, cold

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[Store]:
        yield as_store(self._cold or self._hot)

    @asynccontextmanager
    async def holding(self, uri: str) -> AsyncIterator[Store]:
        mine = uri.startswith(f"{self._hot.base}/") or self._cold is None
        yield as_store(self._hot if mine else cast(Any, self._cold))

    async def still(self, place: Store) -> None:
        return


def as_store(store: MemoryStore) -> Store:
    return cast(Store, store)
