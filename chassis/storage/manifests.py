"""Manifests: lists that grow with the cohort, in one object named by its content; an event holds its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.errors import reject
from chassis.storage import keys
from chassis.storage.store import Store, tags_of
from contracts.values import ManifestRef

MANIFEST_LIMIT = 512 << 20
"""Bytes of a manifest read into memory: a million entries of 500 bytes."""


def canonical(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """The one byte form of a list of JSON objects: sorted names, no spaces, UTF-8. NaN has no JSON form: ValueError."""
    return json.dumps(
        [dict(entry) for entry in entries],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    ).encode()


async def write_manifest(
    store: Store,
    key: str | None,
    entries: Sequence[Mapping[str, Any]],
    *,
    tags: Mapping[str, str] | None = None,
    stage: str = "chassis",
    subject: str = "manifest",
) -> ManifestRef:
    """Store the list once; the same list again is the same object. Without `key` it is named by its content, under
    working/manifests/. With `key` (a released panel's manifest), other content there is IDEMPOTENCY_CONFLICT."""
    body = canonical(entries)
    where = key or keys.manifest(sha256=hashlib.sha256(body).hexdigest())
    named = tags or tags_of(kind="manifest", stage=stage, subject=subject)
    stored = await store.put_bytes(where, body, tags=named, if_absent=True)
    return stored.manifest(entries=len(entries))


async def read_manifest(store: Store, ref: ManifestRef) -> list[dict[str, Any]]:
    """The list, verified against its hash and length. Raises Rejected CONTENT_CHANGED, URI_FORBIDDEN; ObjectMissing."""
    body = await store.get_bytes(ref.uri, limit=MANIFEST_LIMIT, sha256=ref.sha256)
    found = json.loads(body)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found) or len(found) != ref.entries:
        raise reject(
            code="CONTENT_CHANGED",
            message=f"not a list of {ref.entries} JSON objects",
            where=ref.uri,
            rule="a manifest is what its event named",
            fix="look at the event that named it",
        )
    return found
