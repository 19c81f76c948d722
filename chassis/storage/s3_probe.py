"""What this S3 really does: compatible stores differ, and some accept a condition or a sum and ignore it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any
from urllib.parse import urlencode

from botocore import exceptions as boto

from chassis.errors import Rejected
from chassis.storage.s3_calls import PRECONDITION, Calls, code_of, status_of
from chassis.storage.s3_upload import version_in
from chassis.storage.store import StoreUnavailable, TierProbe, tags_of

WRONG_SUM = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""The SHA-256 of nothing that anyone has found."""

WRONG_ETAG = f'"{"0" * 32}"'
BAD_SUM = frozenset({"BadDigest", "InvalidRequest", "InvalidDigest", "XAmzContentChecksumMismatch"})
TAGGING = urlencode(tags_of(kind="log", stage="probe", subject="probe", retain="scratch"))


async def capabilities(calls: Calls, *, base: str, prefix: str) -> frozenset[str]:
    """Write a few bytes, each time with something the store should refuse or keep; nothing stays."""
    trial = _Trial(calls, key=f"{prefix}working/probe/{uuid.uuid4().hex}", uri=f"{base}/working/probe")
    seen: set[str] = set()
    try:
        if await trial.put():
            seen.add("versions")
        if await trial.refused(PRECONDITION, IfNoneMatch="*"):
            seen.add("conditional-put")
        if await trial.refused(PRECONDITION, IfMatch=WRONG_ETAG):
            seen.add("conditional-replace")
        if await trial.refused(BAD_SUM, ChecksumSHA256=WRONG_SUM):
            seen.add("checksums")
        if await trial.keeps_class("STANDARD_IA"):
            seen |= {"tiers", "restore"}
    finally:
        await trial.remove()
    return frozenset(seen)


CLASSES = ("STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")


async def tiers(calls: Calls, *, base: str, prefix: str) -> TierProbe:
    """Each class with a few bytes of its own: some stores refuse a class, others take it and keep STANDARD."""
    kept: set[str] = set()
    restores = False
    for storage_class in CLASSES:
        trial = _Trial(calls, key=f"{prefix}working/probe/{uuid.uuid4().hex}", uri=f"{base}/working/probe")
        try:
            if await trial.keeps_class(storage_class):
                kept.add(storage_class)
                if storage_class == "GLACIER":
                    restores = await trial.restores()
        finally:
            await trial.remove()
    return TierProbe(classes=frozenset(kept), restores=restores)


class _Trial:
    def __init__(self, calls: Calls, *, key: str, uri: str) -> None:
        self._calls = calls
        self._key = key
        self._uri = uri
        self._versions: list[str | None] = []

    async def put(self, **parameters: Any) -> str | None:
        answer = await self._calls.call(
            "put_object",
            uri=self._uri,
            Key=self._key,
            Body=b"probe",
            Tagging=TAGGING,
            **parameters,
        )
        self._versions.append(version_in(answer))
        return self._versions[-1]

    async def refused(self, codes: frozenset[str], **parameters: Any) -> bool:
        """One of `codes` is a refusal for the right reason; a store that does not know the header answers otherwise."""

        async def once() -> bool:
            try:
                async with asyncio.timeout(self._calls.patience_s):
                    answer = await self._calls.client.put_object(
                        Bucket=self._calls.bucket, Key=self._key, Body=b"probe", Tagging=TAGGING, **parameters
                    )
            except boto.ClientError as error:
                if code_of(error) in codes:
                    return True
                if status_of(error) in {400, 501}:
                    return False
                raise
            self._versions.append(version_in(answer))
            return False

        return await self._calls.retrying(once, operation="put_object", uri=self._uri)

    async def keeps_class(self, storage_class: str) -> bool:
        try:
            await self.put(StorageClass=storage_class)
        except boto.ClientError:
            return False
        answer = await self._calls.call("head_object", uri=self._uri, Key=self._key)
        return bool(answer.get("StorageClass") == storage_class)

    async def restores(self) -> bool:
        wish = {"Days": 1, "GlacierJobParameters": {"Tier": "Bulk"}}
        try:
            await self._calls.call("restore_object", uri=self._uri, Key=self._key, RestoreRequest=wish)
        except (boto.ClientError, StoreUnavailable):
            return False
        return True

    async def remove(self) -> None:
        for version in dict.fromkeys(self._versions):
            named: dict[str, Any] = {"VersionId": version} if version else {}
            try:
                await self._calls.call("delete_object", uri=self._uri, Key=self._key, **named)
            except Rejected as error:
                # a policy may let a service write and not delete; the few bytes are tagged as scratch
                if error.rejection.code != "ACCESS_DENIED":
                    raise
