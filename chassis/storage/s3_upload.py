"""Uploading to S3 so that it can be cut anywhere: parts that lie there with the same bytes are not sent again.

The file is hashed while it is sent, and an upload is completed only when the whole is what it was to be: a file that is
truncated or changes meanwhile never becomes an object.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from chassis.storage.s3_calls import Calls, Precondition, UploadGone
from chassis.storage.store import content_changed
from chassis.storage.stub import MARK

MOST_PARTS = 10_000
"""S3's limit of parts of one upload."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an object is to be. `tags` and `sha256` are kept with it, and `cold`, where its copy lies (see stub.py)."""

    key: str
    uri: str
    sha256: str
    size: int
    tags: Mapping[str, str]
    cold: str | None = None
    replaces: str | None = None
    """The ETag of what it may replace; None: anything."""

    @property
    def metadata(self) -> dict[str, str]:
        return {"sha256": self.sha256} | ({MARK: self.cold} if self.cold else {})

    @property
    def attributes(self) -> dict[str, Any]:
        return {"Metadata": self.metadata, "Tagging": urlencode(self.tags)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An accepted write. `summed`: the store itself computed the sum of what it holds and it is ours. `resumed`: the
    upload was begun earlier, maybe with other tags."""

    version: str | None
    summed: bool = False
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    etag: str
    size: int
    checksum: str | None


@dataclass(slots=True)
class _Progress:
    """Filled while the file is read. `digests` are the parts' SHA-256, for the sum of sums that S3 computes too."""

    whole: Any = field(default_factory=hashlib.sha256)
    size: int = 0
    digests: list[bytes] = field(default_factory=list)
    etags: dict[int, str] = field(default_factory=dict)


class Uploads:
    """`part_size` bytes, S3's least is 5 MiB; `parallel` parts are in flight (and in memory) at a time. `summing`: the
    store checks SHA-256 sums that come with a request. `conditional`: it honours If-None-Match."""

    def __init__(
        self, *, calls: Calls, part_size: int, parallel: int, summing: bool = False, conditional: bool = False
    ) -> None:
        self.calls = calls
        self.part_size = part_size
        self.parallel = parallel
        self.summing = summing
        self.conditional = conditional
        self.replacing = False
        """Whether the store honours If-Match on a write."""

    async def whole(self, content: Content, body: bytes, *, if_absent: bool) -> Written:
        """One PUT. Raises Precondition when the object is there already and `if_absent`."""
        sent = {"ChecksumSHA256": _text(bytes.fromhex(content.sha256))} if self.summing else {}
        answer = await self.calls.call(
            "put_object",
            uri=content.uri,
            size=len(body),
            Key=content.key,
            Body=body,
            ContentLength=len(body),
            **content.attributes,
            **sent,
            **self._once(content, if_absent),
        )
        summed = self.summing and answer.get("ChecksumSHA256") == sent["ChecksumSHA256"]
        return Written(version=version_in(answer), summed=summed)

    async def in_parts(self, content: Content, path: Path, *, if_absent: bool) -> Written:
        """A multipart upload, taken up where an earlier one stopped. After StoreUnavailable or a cancellation its parts
        stay for the next try. Raises Rejected CONTENT_CHANGED, Precondition, UploadGone; the parts are gone then."""
        upload = await self._unfinished(content)
        resumed = upload is not None
        there = await self._parts(content, upload) if upload is not None else {}
        if upload is None:
            upload = await self._begin(content)
        progress = await self._send(content, path, upload, there)
        found = progress.whole.hexdigest()
        if (found, progress.size) != (content.sha256, content.size):
            await self.abort(key=content.key, uri=content.uri, upload=upload)
            raise content_changed(content.uri, expected=content.sha256, found=found)
        try:
            answer = await self.calls.call(
                "complete_multipart_upload",
                uri=content.uri,
                size=content.size,
                Key=content.key,
                UploadId=upload,
                MultipartUpload={"Parts": self._named(progress)},
                **self._once(content, if_absent),
            )
        except Precondition:
            await self.abort(key=content.key, uri=content.uri, upload=upload)
            raise
        summed = self.summing and answer.get("ChecksumSHA256") == sum_of_sums(progress.digests)
        return Written(version=version_in(answer), summed=summed, resumed=resumed)

    async def abort(self, *, key: str, uri: str, upload: str) -> None:
        try:
            await self.calls.call("abort_multipart_upload", uri=uri, Key=key, UploadId=upload)
        except UploadGone:
            return

    def size_of_parts(self, size: int) -> int:
        """The part size that an object of `size` bytes is sent with, whoever sends it."""
        least = -(-size // MOST_PARTS)
        return max(self.part_size, -(-least // MIB) * MIB)

    async def _begin(self, content: Content) -> str:
        summed: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"} if self.summing else {}
        answer = await self.calls.call(
            "create_multipart_upload", uri=content.uri, Key=content.key, **content.attributes, **summed
        )
        return str(answer["UploadId"])

    async def _unfinished(self, content: Content) -> str | None:
        answer = await self.calls.call("list_multipart_uploads", uri=content.uri, Prefix=content.key)
        ours = [upload for upload in answer.get("Uploads", []) if upload["Key"] == content.key]
        return str(max(ours, key=lambda upload: upload["Initiated"])["UploadId"]) if ours else None

    async def _parts(self, content: Content, upload: str) -> dict[int, _Part]:
        parts: dict[int, _Part] = {}
        marker = 0
        while True:
            answer = await self.calls.call(
                "list_parts", uri=content.uri, Key=content.key, UploadId=upload, PartNumberMarker=marker
            )
            for part in answer.get("Parts", []):
                parts[part["PartNumber"]] = _Part(
                    etag=part["ETag"].strip('"'), size=part["Size"], checksum=part.get("ChecksumSHA256")
                )
            if not answer.get("IsTruncated"):
                return parts
            marker = int(answer["NextPartNumberMarker"])

    async def _send(self, content: Content, path: Path, upload: str, there: Mapping[int, _Part]) -> _Progress:
        progress = _Progress()
        room = asyncio.Semaphore(self.parallel)
        part_size = self.size_of_parts(content.size)
        with await asyncio.to_thread(path.open, "rb") as source:
            try:
                async with asyncio.TaskGroup() as sending:
                    number = 0
                    while True:
                        await room.acquire()
                        body = await asyncio.to_thread(_next_part, source, part_size, progress)
                        if not body:
                            break
                        number += 1
                        known = there.get(number)
                        if known is not None and _same(known, body, progress.digests[-1]):
                            progress.etags[number] = known.etag
                            room.release()
                            continue
                        sending.create_task(self._send_part(content, upload, number, body, progress, room))
                        del body
            except ExceptionGroup as errors:
                # the parts fail alike; the first says it
                raise errors.exceptions[0] from None
        return progress

    async def _send_part(
        self, content: Content, upload: str, number: int, body: bytes, progress: _Progress, room: asyncio.Semaphore
    ) -> None:
        summed = {"ChecksumSHA256": _text(progress.digests[number - 1])} if self.summing else {}
        answer = await self.calls.call(
            "upload_part",
            uri=content.uri,
            size=len(body),
            Key=content.key,
            UploadId=upload,
            PartNumber=number,
            Body=body,
            ContentLength=len(body),
            **summed,
        )
        progress.etags[number] = answer["ETag"].strip('"')
        room.release()

    def _named(self, progress: _Progress) -> list[dict[str, Any]]:
        return [
            {"PartNumber": number, "ETag": progress.etags[number]}
            | ({"ChecksumSHA256": _text(digest)} if self.summing else {})
            for number, digest in enumerate(progress.digests, start=1)
        ]

    def _once(self, content: Content, if_absent: bool) -> dict[str, str]:
        if content.replaces is not None and self.replacing:
            return {"IfMatch": content.replaces}
        return {"IfNoneMatch": "*"} if if_absent and self.conditional else {}


def version_in(answer: Mapping[str, Any]) -> str | None:
    """S3 names the version of objects in unversioned buckets "null" in some answers."""
    version = answer.get("VersionId")
    return None if version in (None, "null") else str(version)


def sum_of_sums(digests: list[bytes]) -> str:
    """S3's composite checksum: the SHA-256 of the parts' SHA-256s, and their number."""
    return f"{_text(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def _next_part(source: BinaryIO, size: int, progress: _Progress) -> bytes:
    body = source.read(size)
    if body:
        progress.whole.update(body)
        progress.size += len(body)
        progress.digests.append(hashlib.sha256(body).digest())
    return body


def _same(known: _Part, body: bytes, digest: bytes) -> bool:
    if known.size != len(body):
        return False
    if known.checksum is not None:
        return known.checksum == _text(digest)
    return known.etag == hashlib.md5(body, usedforsecurity=False).hexdigest()


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
