"""The bucket's policy: a document as S3 itself takes it, from what each account may reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deploy.access.model import Reach

VERSION = "2012-10-17"
READ = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging")
WRITE = (
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionTagging",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
DELETE = ("s3:DeleteObject", "s3:DeleteObjectVersion")
RESTORE = ("s3:RestoreObject",)
LIST = ("s3:ListBucket",)
UPLOADS = ("s3:ListBucketMultipartUploads",)
"""Knows no condition on a prefix: whoever writes sees the names of unfinished uploads, and what they hold not."""


def bucket_policy(
    *, bucket: str, prefix: str, reaches: Mapping[str, Reach], principal: Callable[[str], str]
) -> dict[str, Any]:
    """The policy of a bucket whose keys begin with `prefix` ("" or `site/`). `principal` names an account as the store
    does: its access key where the store keeps its accounts itself, the ARN of a user or role in AWS.

    Whoever is not named has nothing, but the bucket's owner.
    """
    statements: list[dict[str, Any]] = []
    for account, reach in reaches.items():
        who = {"AWS": [principal(account)]}

        def objects(actions: Sequence[str], places: Iterable[str], who: dict[str, list[str]] = who) -> dict[str, Any]:
            return {
                "Effect": "Allow",
                "Principal": who,
                "Action": list(actions),
                "Resource": [f"arn:aws:s3:::{bucket}/{below(prefix, place)}*" for place in places],
            }

        statements += [objects(READ, reach.read), objects(WRITE, reach.write), objects(DELETE, reach.delete)]
        if "" in reach.delete:  # who moves everything to where it is cheap must be able to bring it back
            statements.append(objects(RESTORE, reach.delete))
        whole = {"Effect": "Allow", "Principal": who, "Resource": [f"arn:aws:s3:::{bucket}"]}
        patterns = [f"{below(prefix, place)}*" for place in reach.listed]
        # a listing of the whole bucket names no prefix, which no pattern matches
        limited = {} if "*" in patterns else {"Condition": {"StringLike": {"s3:prefix": patterns}}}
        statements.append({**whole, "Action": list(LIST), **limited})
        statements.append({**whole, "Action": list(UPLOADS)})
    return {"Version": VERSION, "Statement": statements}


def below(prefix: str, place: str) -> str:
    """How the keys of a folder begin; "" is the whole store."""
    return f"{prefix}{place}/" if place else prefix
