"""One S3 request: its deadline, its retries, and what its errors mean.

aiobotocore's own read timeout does not cover a write whose peer goes silent, so each request runs under a deadline of
its own, from the bytes that it moves. botocore's retries are off: there is one retry strategy, here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from chassis.errors import Rejected, reject
from chassis.storage.store import Archived, ObjectMissing, StoreUnavailable

T = TypeVar("T")

MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404", "MethodNotAllowed", "405"})
"""405 is the answer for a version that is a delete marker."""
ARCHIVED = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})
PRECONDITION = frozenset({"PreconditionFailed", "412"})
BUSY_CODES = frozenset(
    {
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "Throttling",
        "ThrottlingException",
        "OperationAborted",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "BadDigest",
    }
)
"""Worth another try: the store is busy, or the bytes were damaged on their way."""
BUSY_STATUS = frozenset({429, 500, 502, 503, 504})
CREDENTIALS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})
CONNECTION = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    ResponseParserError,
    aiohttp.ClientError,
    ConnectionError,
    TimeoutError,
)

GRANTS = {
    "head_object": "s3:GetObject and s3:ListBucket",
    "get_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "copy_object": "s3:PutObject, s3:PutObjectTagging, s3:GetObject and s3:GetObjectTagging",
    "upload_part_copy": "s3:PutObject and s3:GetObject",
    "create_multipart_upload": "s3:PutObject and s3:PutObjectTagging",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "put_object": "s3:PutObject and s3:PutObjectTagging",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "list_parts": "s3:ListMultipartUploadParts",
    "delete_object": "s3:DeleteObject and s3:DeleteObjectVersion",
    "restore_object": "s3:RestoreObject",
}
"""What an operation needs in the bucket's policy; others are named as their operation is."""


class Precondition(Exception):
    """If-None-Match or If-Match did not hold."""


class UploadGone(Exception):
    """The multipart upload is not there: completed by a request whose answer was lost, or aborted."""


class Calls:
    """Requests to one bucket. `patience_s`: how long a request may take besides moving its bytes; `slowest`: bytes per
    second below which the peer counts as silent; `attempts`: tries of one request in all."""

    def __init__(
        self, *, client: Any, bucket: str, attempts: int, patience_s: float, slowest: float, backoff_s: float
    ) -> None:
        self.client = client
        self.bucket = bucket
        self.attempts = attempts
        self.patience_s = patience_s
        self._slowest = slowest
        self._backoff_s = backoff_s

    async def call(self, operation: str, *, uri: str, size: int = 0, **parameters: Any) -> dict[str, Any]:
        """Run one operation to its end. `size`: bytes of the body. Raises ObjectMissing, Archived, Precondition,
        UploadGone, StoreUnavailable, Rejected (ACCESS_DENIED, BUCKET_MISSING), or botocore's error for the rest."""

        async def once() -> dict[str, Any]:
            async with asyncio.timeout(self.deadline_s(size)):
                answer: dict[str, Any] = await getattr(self.client, operation)(Bucket=self.bucket, **parameters)
                return answer

        return await self.retrying(once, operation=operation, uri=uri)

    async def retrying(self, once: Callable[[], Awaitable[T]], *, operation: str, uri: str) -> T:
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(self.attempts),
                wait=wait_random_exponential(multiplier=self._backoff_s, max=20),
                retry=retry_if_exception(worth_another_try),
                reraise=True,
            ):
                with attempt:
                    return await once()
        except (boto.BotoCoreError, boto.ClientError, *CONNECTION) as error:
            raise self.meaning(error, operation=operation, uri=uri) from error
        raise AssertionError("tenacity either returns or raises")

    def deadline_s(self, size: int) -> float:
        return self.patience_s + size / self._slowest

    def meaning(self, error: Exception, *, operation: str, uri: str) -> Exception:
        """What the caller should hear of this error."""
        if worth_another_try(error):
            return StoreUnavailable(operation, uri=uri, said=_said(error))
        if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
            return _denied(operation, uri, "no credentials were found", "set store.access_key and store.secret_key")
        if not isinstance(error, boto.ClientError):
            return error
        unknown: Exception = error
        code = code_of(error)
        if code in MISSING:
            return ObjectMissing(uri)
        if code in ARCHIVED:
            return Archived(uri)
        if code in PRECONDITION:
            return Precondition(uri)
        if code == "NoSuchUpload":
            return UploadGone(uri)
        if code == "NoSuchBucket":
            return reject(
                code="BUCKET_MISSING",
                message="the bucket is not there",
                where=uri,
                rule="the setting store.base names a bucket that exists",
                fix="make the bucket or correct store.base",
            )
        if code in CREDENTIALS:
            return _denied(operation, uri, f"the credentials are refused ({code})", "correct or renew the store's keys")
        if status_of(error) in {401, 403}:
            grant = GRANTS.get(operation, f"s3:{operation.title().replace('_', '')}")
            return _denied(operation, uri, f"the grant {grant} is missing ({code})", f"grant {grant} on the bucket")
        return unknown


def code_of(error: Exception) -> str:
    """S3's error code, "" for errors that are not an answer of the store."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


def status_of(error: boto.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def worth_another_try(error: BaseException) -> bool:
    if isinstance(error, boto.ClientError):
        return code_of(error) in BUSY_CODES or status_of(error) in BUSY_STATUS
    return isinstance(error, CONNECTION)


def _said(error: Exception) -> str:
    if isinstance(error, boto.ClientError):
        return f"{status_of(error)} {code_of(error)}"
    return "no answer within the deadline" if isinstance(error, TimeoutError) else type(error).__name__


def _denied(operation: str, uri: str, message: str, fix: str) -> Rejected:
    return reject(
        code="ACCESS_DENIED",
        message=f"{operation}: {message}",
        where=uri,
        rule="the service's credentials may list, read, write, tag and delete objects in the bucket",
        fix=fix,
    )
