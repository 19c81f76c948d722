"""Reading an S3 object as a stream that outlives cut connections: each new request asks for what is still missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from botocore import exceptions as boto

from chassis.storage.s3_calls import CONNECTION, Calls, Precondition, code_of
from chassis.storage.store import Archived, StoreUnavailable, content_changed
from chassis.storage.stub import is_stub
from chassis.storage.sums import BLOCK

CUTS_PER_BYTES = 64 << 20
"""One more cut is borne per so many bytes of the object: a link that breaks every few minutes still gets it through."""


class Reading:
    """One object, or `length` bytes of it from `start`. After the first block: `size` of the whole object, `sha256` as
    kept with it (None for objects that others wrote)."""

    def __init__(
        self, *, calls: Calls, key: str, uri: str, version: str | None = None, start: int = 0, length: int | None = None
    ) -> None:
        self._calls = calls
        self._parameters: dict[str, Any] = {"Key": key} | ({"VersionId": version} if version else {})
        self._uri = uri
        self._start = start
        self._length = length
        self.size: int | None = None
        self.sha256: str | None = None
        self._etag: str | None = None

    async def open(self) -> None:
        """Learn size and sum, read nothing. Raises ObjectMissing, Archived."""
        answer = await self._calls.call("head_object", uri=self._uri, **self._parameters)
        if is_stub(answer.get("Metadata", {})):
            raise Archived(self._uri)
        self._learn(int(answer["ContentLength"]), answer)

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order. Raises ObjectMissing, Archived, StoreUnavailable, and Rejected CONTENT_CHANGED when the
        object is replaced between two requests."""
        done = 0
        cuts = 0
        while True:
            try:
                async with contextlib.aclosing(self._request(done)) as stream:
                    async for block in stream:
                        done += len(block)
                        yield block
                if self.size is None or done >= self._wanted(self.size):
                    return
                said = "fewer bytes than promised"
            except CONNECTION as error:
                said = type(error).__name__
            cuts += 1
            if cuts >= self._calls.attempts + (self.size or 0) // CUTS_PER_BYTES:
                raise StoreUnavailable("get_object", uri=self._uri, said=said)

    async def _request(self, done: int) -> AsyncGenerator[bytes, None]:
        parameters = dict(self._parameters)
        first = self._start + done
        if first or self._length is not None:
            last = "" if self._length is None else str(self._start + self._length - 1)
            parameters["Range"] = f"bytes={first}-{last}"
        if self._etag is not None:
            parameters["IfMatch"] = self._etag
        try:
            answer = await self._calls.call("get_object", uri=self._uri, **parameters)
        except Precondition:
            # taken away again in the middle of a read: then it is archived, and no fault
            await self.open()
            raise content_changed(self._uri, expected="one object", found="replaced while it was read") from None
        except boto.ClientError as error:
            if code_of(error) in {"InvalidRange", "416"}:
                # a stub is shorter than what it stands for
                await self.open()
                self.size = 0
                return
            raise
        if is_stub(answer.get("Metadata", {})):
            answer["Body"].close()
            raise Archived(self._uri)
        total = int(str(answer.get("ContentRange", "/")).rpartition("/")[2] or answer["ContentLength"])
        self._learn(total, answer)
        async with answer["Body"] as body:
            while True:
                async with asyncio.timeout(self._calls.deadline_s(BLOCK)):
                    block = await body.read(BLOCK)
                if not block:
                    return
                yield block

    def _learn(self, size: int, answer: dict[str, Any]) -> None:
        self.size = size
        self.sha256 = answer.get("Metadata", {}).get("sha256")
        self._etag = answer.get("ETag", self._etag)

    def _wanted(self, size: int) -> int:
        rest = max(0, size - self._start)
        return rest if self._length is None else min(rest, self._length)
