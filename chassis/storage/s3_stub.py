"""Stubs in a bucket (see stub.py): one PUT over exactly what was seen there, where the store honours If-Match.

Where it does not, and the bucket keeps no versions, a look just before is all there is; that loses nothing, since what
a stub replaces lies in the cold place already, and what fills one does too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.storage.s3_calls import Precondition, UploadGone
from chassis.storage.s3_upload import version_in
from chassis.storage.store import ObjectMissing, Stored, StoreUnavailable, content_changed
from chassis.storage.stub import MARK, Stub, is_stub

if TYPE_CHECKING:
    from chassis.storage.s3 import S3Store


async def leave(
    store: S3Store, uri_or_key: str, *, stub: Stub, version: str | None, tags: Mapping[str, str] | None
) -> Stored:
    """As Store.leave_stub."""
    key = store.key_of(uri_or_key)
    there = await store.raw(key)
    if there is not None and _marks(there, stub.place):
        former = version if version != version_in(there) else None
        if former is not None:
            # an earlier attempt came so far
            await store.delete(key, version=former)
        return _stored(store, key, stub, version_in(there))
    if tags is None:
        if there is None or (version is not None and version_in(there) != version):
            raise ObjectMissing(store.uri(key))
        found = there.get("Metadata", {}).get("sha256")
        if found != stub.sha256:
            raise content_changed(store.uri(key), expected=stub.sha256, found=str(found))
        tags = await store.read_tags(key, version=version_in(there))
    elif there is not None:
        raise ObjectMissing(store.uri(key))
    try:
        return _stored(store, key, stub, await store.write_stub(key, stub, tags=tags, over=there))
    except (Precondition, ObjectMissing):
        # ours, when its answer was lost and the request was sent again
        now = await store.raw(key)
        if now is not None and _marks(now, stub.place):
            return _stored(store, key, stub, version_in(now))
        raise ObjectMissing(store.uri(key)) from None


async def fill(store: S3Store, uri_or_key: str, path: Path, *, sha256: str) -> Stored:
    """As Store.fill_stub."""
    key = store.key_of(uri_or_key)
    there = await store.raw(key)
    filled = await _filled(store, key, there, sha256)
    if filled is not None:
        return filled
    if there is None or not is_stub(there.get("Metadata", {})):
        raise ObjectMissing(store.uri(key))
    tags = await store.read_tags(key, version=version_in(there))
    cold = there["Metadata"][MARK]
    try:
        return await store.write_filled(key, path, sha256=sha256, cold=cold, tags=tags, over=there)
    except UploadGone as error:
        raise StoreUnavailable("write", uri=store.uri(key), said="the upload was aborted meanwhile") from error
    except (Precondition, ObjectMissing):
        filled = await _filled(store, key, await store.raw(key), sha256)
        if filled is None:
            raise ObjectMissing(store.uri(key)) from None
        return filled


async def _filled(store: S3Store, key: str, there: Mapping[str, Any] | None, sha256: str) -> Stored | None:
    metadata = {} if there is None else there.get("Metadata", {})
    if there is None or MARK not in metadata or is_stub(metadata) or metadata.get("sha256") != sha256:
        return None
    size = there["ContentLength"]
    return Stored(uri=store.uri(key), key=key, sha256=sha256, size=size, version=version_in(there))


def _marks(there: Mapping[str, Any], place: str) -> bool:
    metadata = there.get("Metadata", {})
    return is_stub(metadata) and metadata.get(MARK) == place


def _stored(store: S3Store, key: str, stub: Stub, version: str | None) -> Stored:
    return Stored(uri=store.uri(key), key=key, sha256=stub.sha256, size=stub.size, version=version)
