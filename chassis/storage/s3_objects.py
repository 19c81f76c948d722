"""What can be read, listed, tagged and deleted in an S3 bucket; s3.py adds what writes objects."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from chassis.storage import keys, uris
from chassis.storage.s3_calls import Calls
from chassis.storage.s3_read import Reading
from chassis.storage.s3_upload import version_in
from chassis.storage.store import (
    ObjectFacts,
    ObjectMissing,
    RestoreState,
    UnfinishedUpload,
    checked_tags,
    content_changed,
    too_large,
)
from chassis.storage.stub import COLD, MARK, STANDS_FOR, is_stub

_RESTORE = re.compile(r'ongoing-request="(?P<ongoing>true|false)"(?:.*expiry-date="(?P<expires>[^"]+)")?')


class S3Objects:
    """Objects below `prefix` of the bucket that `calls` talk to. Errors as the Store protocol states them."""

    def __init__(self, *, calls: Calls, prefix: str) -> None:
        folder = keys.checked_prefix(prefix)
        self._calls = calls
        self._prefix = f"{folder}/" if folder else ""
        self._base = f"s3://{calls.bucket}" + (f"/{folder}" if folder else "")

    @property
    def base(self) -> str:
        return self._base

    def uri(self, key: str) -> str:
        return uris.uri_of(self._base, key)

    def key_of(self, uri_or_key: str) -> str:
        return uris.key_in(self._base, uri_or_key)

    def _reading(
        self, uri_or_key: str, *, version: str | None = None, start: int = 0, length: int | None = None
    ) -> Reading:
        key = self.key_of(uri_or_key)
        return Reading(
            calls=self._calls,
            key=self._prefix + key,
            uri=self.uri(key),
            version=version,
            start=start,
            length=length,
        )

    async def get_file(
        self, uri_or_key: str, path: Path, *, sha256: str | None = None, size: int | None = None
    ) -> None:
        uri = self.uri(self.key_of(uri_or_key))
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            for last in (False, True):
                expected, found = await self._fetch(uri, temporary, sha256=sha256, size=size)
                if expected is None or expected == found:
                    break
                if last:
                    # twice the same wrong sum is no damage on the way
                    raise content_changed(uri, expected=expected, found=found)
            await asyncio.to_thread(temporary.replace, path)
        finally:
            temporary.unlink(missing_ok=True)

    async def _fetch(self, uri: str, path: Path, *, sha256: str | None, size: int | None) -> tuple[str | None, str]:
        reading = self._reading(uri)
        if size is not None:
            await reading.open()
            if reading.size != size:
                raise content_changed(uri, expected=f"{size} bytes", found=f"{reading.size} bytes")
        digest = hashlib.sha256()
        with await asyncio.to_thread(path.open, "wb") as out:

            def take(block: bytes) -> None:
                out.write(block)
                digest.update(block)

            async with contextlib.aclosing(reading.blocks()) as stream:
                async for block in stream:
                    await asyncio.to_thread(take, block)
        return sha256 or reading.sha256, digest.hexdigest()

    async def get_bytes(self, uri_or_key: str, *, limit: int, sha256: str | None = None) -> bytes:
        reading = self._reading(uri_or_key)
        uri = self.uri(self.key_of(uri_or_key))
        body = bytearray()
        async with contextlib.aclosing(reading.blocks()) as stream:
            async for block in stream:
                if reading.size is not None and reading.size > limit:
                    raise too_large(uri, size=reading.size, limit=limit)
                body += block
        found = hashlib.sha256(body).hexdigest()
        expected = sha256 or reading.sha256
        if expected is not None and found != expected:
            raise content_changed(uri, expected=expected, found=found)
        return bytes(body)

    async def read_range(self, uri_or_key: str, start: int, length: int) -> bytes:
        if start < 0 or length < 0:
            raise ValueError("a range starts at 0 or later and has no negative length")
        if length == 0:
            return b""
        body = bytearray()
        reading = self._reading(uri_or_key, start=start, length=length)
        async with contextlib.aclosing(reading.blocks()) as stream:
            async for block in stream:
                body += block
        return bytes(body)

    async def head(self, uri_or_key: str, *, version: str | None = None) -> ObjectFacts | None:
        key = self.key_of(uri_or_key)
        try:
            answer = await self._raw_head(key, version)
        except ObjectMissing:
            return None
        metadata = answer.get("Metadata", {})
        facts = ObjectFacts(
            uri=self.uri(key),
            key=key,
            size=answer["ContentLength"],
            modified=answer["LastModified"],
            storage_class=answer.get("StorageClass", "STANDARD"),
            sha256=metadata.get("sha256"),
            version=version_in(answer),
            restore=_restore(answer.get("Restore")),
            cold=metadata.get(MARK),
        )
        if facts.cold is None:
            return facts
        if is_stub(metadata):
            return replace(facts, storage_class=COLD, size=int(metadata[STANDS_FOR]), restore=None)
        return replace(facts, storage_class=COLD, restore=RestoreState(ongoing=False))

    async def raw(self, uri_or_key: str) -> dict[str, Any] | None:
        """HeadObject's own answer for the current version; None where nothing lies."""
        try:
            return await self._raw_head(uri_or_key, None)
        except ObjectMissing:
            return None

    async def _raw_head(self, uri_or_key: str, version: str | None) -> dict[str, Any]:
        return await self._on(uri_or_key, "head_object", version, ChecksumMode="ENABLED")

    async def _on(self, uri_or_key: str, operation: str, version: str | None, **parameters: Any) -> dict[str, Any]:
        key = self.key_of(uri_or_key)
        named: dict[str, Any] = {"VersionId": version} if version else {}
        return await self._calls.call(operation, uri=self.uri(key), Key=self._prefix + key, **named, **parameters)

    async def list(self, prefix: str) -> AsyncIterator[ObjectFacts]:
        folder = keys.checked_prefix(prefix)
        below = self._prefix + (f"{folder}/" if folder else "")
        more: dict[str, Any] = {}
        while True:
            answer = await self._calls.call("list_objects_v2", uri=f"{self._base}/{folder}", Prefix=below, **more)
            for entry in answer.get("Contents", []):
                # as it is: what others put into the bucket is listed too, so that the inventory can show it
                key = entry["Key"].removeprefix(self._prefix)
                yield ObjectFacts(
                    uri=f"{self._base}/{key}",
                    key=key,
                    size=entry["Size"],
                    modified=entry["LastModified"],
                    storage_class=entry.get("StorageClass", "STANDARD"),
                )
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def _sum(self, uri: str, version: str | None) -> str:
        digest = hashlib.sha256()
        async with contextlib.aclosing(self._reading(uri, version=version).blocks()) as stream:
            async for block in stream:
                digest.update(block)
        return digest.hexdigest()

    async def delete(self, uri_or_key: str, *, version: str | None = None) -> bool:
        facts = await self.head(uri_or_key, version=version)
        if facts is None:
            return False
        await self._on(uri_or_key, "delete_object", facts.version)
        return True

    async def read_tags(self, uri_or_key: str, *, version: str | None = None) -> dict[str, str]:
        answer = await self._on(uri_or_key, "get_object_tagging", version)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    async def write_tags(self, uri_or_key: str, tags: Mapping[str, str], *, version: str | None = None) -> None:
        named = [{"Key": name, "Value": value} for name, value in checked_tags(tags).items()]
        await self._on(uri_or_key, "put_object_tagging", version, Tagging={"TagSet": named})

    async def unfinished_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        folder = keys.checked_prefix(prefix)
        below = self._prefix + (f"{folder}/" if folder else "")
        more: dict[str, Any] = {}
        while True:
            answer = await self._calls.call(
                "list_multipart_uploads", uri=f"{self._base}/{folder}", Prefix=below, **more
            )
            for upload in answer.get("Uploads", []):
                key = upload["Key"].removeprefix(self._prefix)
                yield UnfinishedUpload(key=key, upload_id=upload["UploadId"], started=upload["Initiated"])
            if not answer.get("IsTruncated"):
                return
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def _restore(header: str | None) -> RestoreState | None:
    """From `x-amz-restore`, e.g. `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`."""
    found = _RESTORE.search(header) if header else None
    if found is None:
        return None
    expires = parsedate_to_datetime(found["expires"]).astimezone(UTC) if found["expires"] else None
    return RestoreState(ongoing=found["ongoing"] == "true", expires=expires)
