"""Copying an S3 object onto itself: the only way to change its storage class or the sum kept with it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from chassis.storage.s3_calls import Precondition
from chassis.storage.s3_upload import Content, Uploads, version_in
from chassis.storage.store import content_changed

COPY_LIMIT = 5 << 30
"""S3 copies at most 5 GiB in one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """`summed`: the store computed the copy's sum, and it is the one it should be."""

    version: str | None
    summed: bool


async def onto_itself(
    uploads: Uploads,
    content: Content,
    *,
    source: dict[str, Any],
    storage_class: str,
    copy_limit: int = COPY_LIMIT,
) -> Copied:
    """`source` is the answer of HeadObject (with ChecksumMode) for the version to be copied. Sum and tags become
    `content`'s. Raises Archived, and Rejected CONTENT_CHANGED when the object was replaced since."""
    named: dict[str, Any] = {"Bucket": uploads.calls.bucket, "Key": content.key}
    version = version_in(source)
    if version is not None:
        named["VersionId"] = version
    try:
        if content.size <= copy_limit:
            return await _at_once(uploads, content, named, source["ETag"], storage_class)
        return await _in_parts(uploads, content, named, source, storage_class)
    except Precondition:
        raise content_changed(content.uri, expected="one object", found="replaced while it was copied") from None


async def _at_once(uploads: Uploads, content: Content, named: dict[str, Any], etag: str, storage_class: str) -> Copied:
    answer = await uploads.calls.call(
        "copy_object",
        uri=content.uri,
        size=content.size,
        Key=content.key,
        CopySource=named,
        CopySourceIfMatch=etag,
        StorageClass=storage_class,
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        **content.attributes,
        **({"ChecksumAlgorithm": "SHA256"} if uploads.summing else {}),
    )
    found = answer.get("CopyObjectResult", {}).get("ChecksumSHA256")
    expected = base64.b64encode(bytes.fromhex(content.sha256)).decode()
    return Copied(version=version_in(answer), summed=uploads.summing and found == expected)


async def _in_parts(
    uploads: Uploads, content: Content, named: dict[str, Any], source: dict[str, Any], storage_class: str
) -> Copied:
    """With the part size of the upload, so that the sum of sums of copy and source can be compared."""
    summing: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"} if uploads.summing else {}
    begun = await uploads.calls.call(
        "create_multipart_upload",
        uri=content.uri,
        Key=content.key,
        StorageClass=storage_class,
        **content.attributes,
        **summing,
    )
    part_size = uploads.size_of_parts(content.size)
    parts: list[dict[str, Any]] = []
    for number, start in enumerate(range(0, content.size, part_size), start=1):
        end = min(start + part_size, content.size)
        answer = await uploads.calls.call(
            "upload_part_copy",
            uri=content.uri,
            size=end - start,
            Key=content.key,
            UploadId=begun["UploadId"],
            PartNumber=number,
            CopySource=named,
            CopySourceIfMatch=source["ETag"],
            CopySourceRange=f"bytes={start}-{end - 1}",
        )
        result = answer["CopyPartResult"]
        part = {"PartNumber": number, "ETag": result["ETag"]}
        if "ChecksumSHA256" in result:
            part["ChecksumSHA256"] = result["ChecksumSHA256"]
        parts.append(part)
    done = await uploads.calls.call(
        "complete_multipart_upload",
        uri=content.uri,
        size=content.size,
        Key=content.key,
        UploadId=begun["UploadId"],
        MultipartUpload={"Parts": parts},
    )
    found = done.get("ChecksumSHA256")
    return Copied(
        version=version_in(done),
        summed=uploads.summing and found is not None and found == source.get("ChecksumSHA256"),
    )
