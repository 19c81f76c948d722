"""`s3://`: AWS and compatible stores. The sum of each object is kept as its metadata `sha256`, its tags as S3 tags."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from botocore import exceptions as boto

from chassis.errors import reject
from chassis.storage import s3_copy, s3_probe, s3_stub
from chassis.storage.s3_calls import Calls, Precondition, UploadGone, code_of
from chassis.storage.s3_objects import S3Objects
from chassis.storage.s3_upload import MIB, Content, Uploads, Written, version_in
from chassis.storage.store import (
    ARCHIVED_CLASSES,
    Archived,
    ObjectMissing,
    RestoreTier,
    Stored,
    StoreUnavailable,
    TierProbe,
    UnfinishedUpload,
    checked_tags,
    content_changed,
    exists_with_other_content,
)
from chassis.storage.stub import Stub, is_stub
from chassis.storage.sums import sum_of

ATTEMPTS = 7
"""Tries of one request: with waits that double from BACKOFF_S, about half a minute of a busy store is borne."""
BACKOFF_S = 0.25
PATIENCE_S = 30.0
SLOWEST = 1.0 * MIB
"""Bytes per second; a peer slower than this counts as silent."""


class S3Store(S3Objects):
    """`client` is an aiobotocore S3 client with its own retries off, owned by whoever opened it (see open.py)."""

    def __init__(
        self,
        *,
        client: Any,
        bucket: str,
        prefix: str = "",
        part_size: int = 16 * MIB,
        multipart_from: int = 16 * MIB,
        parallel: int = 4,
        attempts: int = ATTEMPTS,
        patience_s: float = PATIENCE_S,
        slowest: float = SLOWEST,
        backoff_s: float = BACKOFF_S,
        copy_limit: int = s3_copy.COPY_LIMIT,
    ) -> None:
        calls = Calls(
            client=client, bucket=bucket, attempts=attempts, patience_s=patience_s, slowest=slowest, backoff_s=backoff_s
        )
        super().__init__(calls=calls, prefix=prefix)
        self._multipart_from = multipart_from
        self._copy_limit = copy_limit
        self._capabilities: frozenset[str] = frozenset()
        self._uploads = Uploads(calls=calls, part_size=part_size, parallel=parallel)

    @property
    def capabilities(self) -> frozenset[str]:
        return self._capabilities

    async def probe(self) -> frozenset[str]:
        self._capabilities = await s3_probe.capabilities(self._calls, base=self._base, prefix=self._prefix)
        self._uploads.summing = "checksums" in self._capabilities
        self._uploads.conditional = "conditional-put" in self._capabilities
        self._uploads.replacing = "conditional-replace" in self._capabilities
        return self._capabilities

    async def probe_tiers(self) -> TierProbe:
        return await s3_probe.tiers(self._calls, base=self._base, prefix=self._prefix)

    async def put_file(
        self, key: str, path: Path, *, sha256: str | None = None, tags: Mapping[str, str], if_absent: bool = False
    ) -> Stored:
        """Without `sha256` a large file is read twice: its sum travels ahead of its bytes."""
        size = (await asyncio.to_thread(path.stat)).st_size
        if size < self._multipart_from:
            body = await asyncio.to_thread(path.read_bytes)
            return await self._put_whole(key, body, sha256=sha256, tags=tags, if_absent=if_absent)
        total, size = (sha256, size) if sha256 is not None else await asyncio.to_thread(sum_of, path)
        content = self._content(key, sha256=total, size=size, tags=tags)
        try:
            if if_absent:
                await self._refuse_taken(content)
            written = await self._uploads.in_parts(content, path, if_absent=if_absent)
        except Precondition:
            return await self._as_there(content)
        except UploadGone:
            return await self._as_completed(content)
        return await self._settled(content, written)

    async def put_bytes(self, key: str, data: bytes, *, tags: Mapping[str, str], if_absent: bool = False) -> Stored:
        return await self._put_whole(key, data, sha256=None, tags=tags, if_absent=if_absent)

    async def _put_whole(
        self, key: str, body: bytes, *, sha256: str | None, tags: Mapping[str, str], if_absent: bool
    ) -> Stored:
        total = hashlib.sha256(body).hexdigest()
        if sha256 is not None and sha256 != total:
            raise content_changed(self.uri(key), expected=sha256, found=total)
        content = self._content(key, sha256=total, size=len(body), tags=tags)
        try:
            if if_absent and not self._uploads.conditional:
                await self._refuse_taken(content)
            written = await self._uploads.whole(content, body, if_absent=if_absent)
        except Precondition:
            return await self._as_there(content)
        return await self._settled(content, written)

    def _content(self, key: str, *, sha256: str, size: int, tags: Mapping[str, str]) -> Content:
        uri = self.uri(key)
        return Content(key=self._prefix + key, uri=uri, sha256=sha256, size=size, tags=checked_tags(tags))

    async def _refuse_taken(self, content: Content) -> None:
        """Saves sending a large object in vain; and is all there is where the store knows no conditional write (two
        writers at the same instant are not told apart there)."""
        if await self.head(content.uri) is not None:
            raise Precondition(content.uri)

    async def _settled(self, content: Content, written: Written) -> Stored:
        version = written.version
        if written.resumed:
            source = await self._raw_head(content.uri, version)
            if source.get("Metadata", {}) == content.metadata:
                await self.write_tags(content.uri, content.tags, version=version)
            else:
                # begun for other content, so with another sum; the bytes are ours, what is kept with them is set right
                version = (await self._copied(content, source, source.get("StorageClass", "STANDARD"))).version
        if not written.summed:
            await self._read_back(content, version)
        return self._stored(content, version)

    async def _as_there(self, content: Content) -> Stored:
        """A write that must happen once found an object: ours if the sums agree, as when an answer was lost."""
        facts = await self.head(content.uri)
        if facts is None:
            raise StoreUnavailable("write", uri=content.uri, said="refused as taken, yet nothing is there")
        found = facts.sha256 or await self._sum(content.uri, facts.version)
        if found != content.sha256:
            raise exists_with_other_content(content.uri, expected=content.sha256, found=found)
        if not self._uploads.summing and facts.readable():
            await self._read_back(content, facts.version)
        return self._stored(content, facts.version)

    async def _as_completed(self, content: Content) -> Stored:
        """The upload is gone: completed by a request whose answer was lost, or by another writer of the same bytes."""
        facts = await self.head(content.uri)
        if facts is None or facts.sha256 != content.sha256:
            raise StoreUnavailable(
                "complete_multipart_upload", uri=content.uri, said="the upload was aborted meanwhile"
            )
        await self._read_back(content, facts.version)
        return self._stored(content, facts.version)

    async def _read_back(self, content: Content, version: str | None) -> None:
        found = await self._sum(content.uri, version)
        if found != content.sha256:
            await self.delete(content.uri, version=version)
            raise StoreUnavailable("write", uri=content.uri, said="other bytes when read back")

    def _stored(self, content: Content, version: str | None) -> Stored:
        key = self.key_of(content.uri)
        return Stored(uri=content.uri, key=key, sha256=content.sha256, size=content.size, version=version)

    async def set_tier(self, uri_or_key: str, storage_class: str, *, version: str | None = None) -> Stored:
        """Where the store does not compute the copy's sum, the bytes are read: the copy's, or, as an archived copy
        cannot be read, the source's just before."""
        key = self.key_of(uri_or_key)
        source = await self._raw_head(key, None)
        if is_stub(source.get("Metadata", {})):
            raise Archived(self.uri(key))
        current = version_in(source)
        if version is not None and version != current:
            # copying an older version would bring back what was replaced
            raise ObjectMissing(self.uri(key))
        found = source.get("Metadata", {}).get("sha256") or await self._sum(key, current)
        tags = await self.read_tags(key, version=current)
        content = self._content(key, sha256=found, size=source["ContentLength"], tags=tags)
        if source.get("StorageClass", "STANDARD") == storage_class:
            return self._stored(content, current)
        small = content.size <= self._copy_limit
        summing = self._uploads.summing and (small or "ChecksumSHA256" in source)
        if not summing and storage_class in ARCHIVED_CLASSES and await self._sum(key, current) != found:
            raise content_changed(content.uri, expected=found, found="damaged in the store")
        copied = await self._copied(content, source, storage_class, keep=True)
        after = await self.head(key, version=copied.version)
        if (
            after is None
            or (after.sha256, after.size, after.storage_class) != (found, content.size, storage_class)
            or (summing and not copied.summed)
        ):
            raise StoreUnavailable("copy_object", uri=content.uri, said="a copy that is not what was asked for")
        if not summing and storage_class not in ARCHIVED_CLASSES and await self._sum(key, copied.version) != found:
            raise StoreUnavailable("copy_object", uri=content.uri, said="other bytes when read back")
        await self._drop_former(content, current, copied.version)
        return self._stored(content, copied.version)

    async def _copied(
        self, content: Content, source: dict[str, Any], storage_class: str, *, keep: bool = False
    ) -> s3_copy.Copied:
        copied = await s3_copy.onto_itself(
            self._uploads, content, source=source, storage_class=storage_class, copy_limit=self._copy_limit
        )
        if not keep:
            await self._drop_former(content, version_in(source), copied.version)
        return copied

    async def _drop_former(self, content: Content, former: str | None, version: str | None) -> None:
        if former is not None and former != version:
            await self._on(content.uri, "delete_object", former)

    async def request_restore(self, uri_or_key: str, *, days: int, tier: RestoreTier = "Standard") -> None:
        facts = await self.head(uri_or_key)
        if facts is None:
            raise ObjectMissing(self.uri(self.key_of(uri_or_key)))
        if facts.storage_class == "DEEP_ARCHIVE" and tier == "Expedited":
            raise reject(
                code="RESTORE_TIER",
                message="Deep Archive has no expedited restore",
                where=facts.uri,
                rule="objects in Deep Archive are restored by Standard (12 hours) or Bulk (48 hours)",
                fix="ask for Standard or Bulk",
            )
        wish = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
        try:
            await self._on(facts.uri, "restore_object", facts.version, RestoreRequest=wish)
        except Archived:
            # S3's answer for an object that is not archived: nothing to restore
            return
        except boto.ClientError as error:
            if code_of(error) != "RestoreAlreadyInProgress":
                raise

    async def leave_stub(
        self, uri_or_key: str, *, stub: Stub, version: str | None, tags: Mapping[str, str] | None = None
    ) -> Stored:
        return await s3_stub.leave(self, uri_or_key, stub=stub, version=version, tags=tags)

    async def fill_stub(self, uri_or_key: str, path: Path, *, sha256: str) -> Stored:
        return await s3_stub.fill(self, uri_or_key, path, sha256=sha256)

    async def write_stub(
        self, key: str, stub: Stub, *, tags: Mapping[str, str], over: Mapping[str, Any] | None
    ) -> str | None:
        """One PUT over the object whose HeadObject answer is `over`; None: where nothing lies. Returns the version.
        Raises Precondition where the store tells that something else lies there."""
        once: dict[str, str] = {}
        if over is not None and self._uploads.replacing:
            once = {"IfMatch": over["ETag"]}
        elif over is None and self._uploads.conditional:
            once = {"IfNoneMatch": "*"}
        answer = await self._on(
            key, "put_object", None, Body=stub.body, Metadata=stub.metadata, Tagging=urlencode(tags), **once
        )
        former = None if over is None else version_in(dict(over))
        if former is not None and former != version_in(answer):
            await self._on(key, "delete_object", former)
        return version_in(answer)

    async def write_filled(
        self, key: str, path: Path, *, sha256: str, cold: str, tags: Mapping[str, str], over: Mapping[str, Any]
    ) -> Stored:
        """The content over its stub. Raises Precondition as `write_stub` does."""
        size = (await asyncio.to_thread(path.stat)).st_size
        content = replace(
            self._content(key, sha256=sha256, size=size, tags=tags), cold=cold, replaces=str(over["ETag"])
        )
        if size < self._multipart_from:
            body = await asyncio.to_thread(path.read_bytes)
            if (found := hashlib.sha256(body).hexdigest()) != sha256:
                raise content_changed(content.uri, expected=sha256, found=found)
            written = await self._uploads.whole(content, body, if_absent=False)
        else:
            written = await self._uploads.in_parts(content, path, if_absent=False)
        stored = await self._settled(content, written)
        await self._drop_former(content, version_in(dict(over)), stored.version)
        return stored

    async def abort(self, upload: UnfinishedUpload) -> None:
        uri = self.uri(upload.key)
        await self._uploads.abort(key=self._prefix + upload.key, uri=uri, upload=upload.upload_id)
