"""`file://`: a POSIX folder as a store, as laptops and Slurm clusters have. What it does to the disk: folder.py."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from chassis.storage import sidecar, uris
from chassis.storage.folder import Folder
from chassis.storage.sidecar import Sidecar
from chassis.storage.store import (
    ObjectFacts,
    ObjectMissing,
    RestoreTier,
    Stored,
    TierProbe,
    UnfinishedUpload,
    Unsupported,
    checked_tags,
    content_changed,
    too_large,
)
from chassis.storage.stub import Stub
from chassis.storage.sums import sum_of


class FileStore:
    """The base folder is made when it is not there. Blocking calls run in threads."""

    def __init__(self, *, root: Path) -> None:
        self._folder = Folder(root=root)

    @property
    def base(self) -> str:
        return self._folder.base

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset({"checksums", "conditional-put", "conditional-replace", "versions"})

    async def probe(self) -> frozenset[str]:
        """Nothing to find out, save that the folder can be written: raises Rejected ACCESS_DENIED."""
        await asyncio.to_thread(self._folder.probe)
        return self.capabilities

    async def probe_tiers(self) -> TierProbe:
        return TierProbe()

    def uri(self, key: str) -> str:
        return uris.uri_of(self._folder.base, key)

    def key_of(self, uri_or_key: str) -> str:
        return uris.key_in(self._folder.base, uri_or_key)

    def path_of(self, uri_or_key: str) -> Path:
        """Where the object lies, for tools that read it in place. Raises Rejected UNSAFE_PATH at a symbolic link."""
        return self._folder.path(self.key_of(uri_or_key))

    async def put_file(
        self, key: str, path: Path, *, sha256: str | None = None, tags: Mapping[str, str], if_absent: bool = False
    ) -> Stored:
        def put() -> Stored:
            with path.open("rb") as source:
                return self._folder.put(key, source, sha256=sha256, tags=tags, if_absent=if_absent)

        return await asyncio.to_thread(put)

    async def put_bytes(self, key: str, data: bytes, *, tags: Mapping[str, str], if_absent: bool = False) -> Stored:
        return await asyncio.to_thread(
            self._folder.put, key, io.BytesIO(data), sha256=None, tags=tags, if_absent=if_absent
        )

    async def get_file(
        self, uri_or_key: str, path: Path, *, sha256: str | None = None, size: int | None = None
    ) -> None:
        await asyncio.to_thread(self._folder.get_file, self.key_of(uri_or_key), path, sha256, size)

    async def get_bytes(self, uri_or_key: str, *, limit: int, sha256: str | None = None) -> bytes:
        key = self.key_of(uri_or_key)

        def get() -> bytes:
            with self._folder.open_content(key) as source:
                found = source.read(limit + 1)
                if len(found) > limit:
                    raise too_large(self.uri(key), size=os.fstat(source.fileno()).st_size, limit=limit)
            got = hashlib.sha256(found).hexdigest()
            if sha256 is not None and got != sha256:
                raise content_changed(self.uri(key), expected=sha256, found=got)
            return found

        return await asyncio.to_thread(get)

    async def read_range(self, uri_or_key: str, start: int, length: int) -> bytes:
        key = self.key_of(uri_or_key)

        def get() -> bytes:
            with self._folder.open_content(key) as source:
                source.seek(start)
                return source.read(length)

        return await asyncio.to_thread(get)

    async def head(self, uri_or_key: str, *, version: str | None = None) -> ObjectFacts | None:
        key = self.key_of(uri_or_key)

        def look() -> ObjectFacts | None:
            found = self._folder.facts(key)
            if found is None:
                return None
            status, facts = found
            if version is not None and (facts is None or facts.version != version):
                return None
            return self._folder.object_facts(key, status, facts)

        return await asyncio.to_thread(look)

    async def list(self, prefix: str) -> AsyncIterator[ObjectFacts]:
        waiting: deque[Path | ObjectFacts] = deque([self._folder.folder(prefix)])
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, ObjectFacts):
                yield entry
            else:
                waiting.extend(reversed(await asyncio.to_thread(self._folder.entries, entry)))

    async def delete(self, uri_or_key: str, *, version: str | None = None) -> bool:
        return await asyncio.to_thread(self._folder.delete, self.key_of(uri_or_key), version)

    async def read_tags(self, uri_or_key: str, *, version: str | None = None) -> dict[str, str]:
        key = self.key_of(uri_or_key)
        _, facts = await asyncio.to_thread(self._folder.named, key, version)
        return dict(facts.tags) if facts is not None else {}

    async def write_tags(self, uri_or_key: str, tags: Mapping[str, str], *, version: str | None = None) -> None:
        key = self.key_of(uri_or_key)
        kept = checked_tags(tags)

        def write() -> None:
            status, facts = self._folder.named(key, version)
            if facts is None:
                total, size = sum_of(self._folder.path(key))
                facts = Sidecar(sha256=total, size=size, version=uuid.uuid4().hex, tags={})
            sidecar.write(self._folder.path(key), status.st_ino, facts.model_copy(update={"tags": kept}))

        await asyncio.to_thread(write)

    async def set_tier(self, uri_or_key: str, storage_class: str, *, version: str | None = None) -> Stored:
        raise Unsupported(f"move objects to {storage_class}", backend="file")

    async def request_restore(self, uri_or_key: str, *, days: int, tier: RestoreTier = "Standard") -> None:
        raise Unsupported("restore objects", backend="file")

    async def leave_stub(
        self, uri_or_key: str, *, stub: Stub, version: str | None, tags: Mapping[str, str] | None = None
    ) -> Stored:
        return await asyncio.to_thread(self._leave_stub, self.key_of(uri_or_key), stub, version, tags)

    def _leave_stub(self, key: str, stub: Stub, version: str | None, tags: Mapping[str, str] | None) -> Stored:
        found = self._folder.facts(key)
        facts = None if found is None else found[1]
        if facts is not None and facts.stands_for is not None and facts.cold == stub.place:
            return Stored(uri=self.uri(key), key=key, sha256=stub.sha256, size=stub.size, version=facts.version)
        kept: Mapping[str, str]
        if tags is None:
            if facts is None or (version is not None and facts.version != version):
                raise ObjectMissing(self.uri(key))
            sha256 = facts.stands_for[0] if facts.stands_for else facts.sha256
            if sha256 != stub.sha256:
                raise content_changed(self.uri(key), expected=stub.sha256, found=sha256)
            kept, version = facts.tags, facts.version
        elif found is not None:
            raise ObjectMissing(self.uri(key))
        else:
            kept, version = tags, None
        return self._folder.exchange(
            key,
            io.BytesIO(stub.body),
            version=version,
            sha256=None,
            tags=kept,
            cold=stub.place,
            stands_for=(stub.sha256, stub.size),
        )

    async def fill_stub(self, uri_or_key: str, path: Path, *, sha256: str) -> Stored:
        key = self.key_of(uri_or_key)

        def fill() -> Stored:
            found = self._folder.facts(key)
            facts = None if found is None else found[1]
            if facts is None or facts.cold is None:
                raise ObjectMissing(self.uri(key))
            if facts.stands_for is None:
                if facts.sha256 != sha256:
                    raise ObjectMissing(self.uri(key))
                return self._folder.stored(key, facts)
            with path.open("rb") as source:
                return self._folder.exchange(
                    key, source, version=facts.version, sha256=sha256, tags=facts.tags, cold=facts.cold
                )

        return await asyncio.to_thread(fill)

    async def unfinished_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        for upload in await asyncio.to_thread(lambda: list(self._folder.unfinished(prefix))):
            yield upload

    async def abort(self, upload: UnfinishedUpload) -> None:
        await asyncio.to_thread(self._folder.abort, upload)
