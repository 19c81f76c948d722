"""Stubs on every store: an object that lies in a cold place reads as archived, and comes back under its own name."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import Rejected
from chassis.storage.manifests import read_manifest, write_manifest
from chassis.storage.s3 import S3Store
from chassis.storage.s3_calls import Calls
from chassis.storage.store import Archived, ObjectMissing, Store, Stored, Unsupported, tags_of
from chassis.storage.stub import STUB_LIMIT, Stub
from tests.chassis.storage.conftest import PART, new_bucket, s3_store

TAGS = tags_of(kind="cram", stage="align", subject="run-1")
KEY = "working/align/t/1-1/s.cram"
READS = b"reads" * 1000


def stub_of(stored: Stored, place: str = "file:///cold/archive/x/1-1") -> Stub:
    return Stub(sha256=stored.sha256, size=stored.size, place=place)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "back"
    path.write_bytes(READS)
    return path


async def test_a_stub_says_what_it_stands_for_and_reads_as_archived(store: Store, tmp_path: Path) -> None:
    stored = await store.put_bytes(KEY, READS, tags=TAGS)
    stub = stub_of(stored)
    left = await store.leave_stub(stored.uri, stub=stub, version=stored.version)
    facts = await store.head(KEY)
    assert facts is not None
    assert (facts.storage_class, facts.sha256, facts.size) == ("COLD", stored.sha256, stored.size)
    assert (facts.cold, facts.version, facts.readable()) == (stub.place, left.version, False)
    assert await store.read_tags(KEY) == TAGS
    for read in (
        store.get_bytes(KEY, limit=10**6),
        store.get_file(KEY, tmp_path / "x"),
        store.get_file(KEY, tmp_path / "x", sha256=stored.sha256, size=stored.size),
        store.read_range(KEY, 0, 4),
        # beyond the end of the stub itself
        store.read_range(KEY, STUB_LIMIT, 4),
    ):
        with pytest.raises(Archived):
            await read
    assert not (tmp_path / "x").exists()
    with pytest.raises((Archived, Unsupported)):
        await store.set_tier(KEY, "GLACIER")
    assert [facts.key async for facts in store.list("")] == [KEY]
    if stored.version is not None:
        assert await store.head(KEY, version=stored.version) is None, "what it replaced is gone"
    assert await store.leave_stub(KEY, stub=stub, version=stored.version) == left, "asked again it is there already"


async def test_it_is_filled_again_with_its_content_and_nothing_else(store: Store, path: Path) -> None:
    stored = await store.put_bytes(KEY, READS, tags=TAGS)
    stub = stub_of(stored)
    await store.leave_stub(KEY, stub=stub, version=stored.version)
    damaged = path.with_name("damaged")
    damaged.write_bytes(READS[:-1] + b"x")
    with pytest.raises(Rejected) as refused:
        await store.fill_stub(KEY, damaged, sha256=stored.sha256)
    assert refused.value.rejection.code == "CONTENT_CHANGED"
    with pytest.raises(Archived):
        await store.get_bytes(KEY, limit=10**6)

    filled = await store.fill_stub(KEY, path, sha256=stored.sha256)
    facts = await store.head(KEY)
    assert facts is not None
    assert (facts.storage_class, facts.cold, facts.version) == ("COLD", stub.place, filled.version)
    assert facts.readable()
    assert await store.get_bytes(KEY, limit=10**6, sha256=stored.sha256) == READS
    assert await store.read_tags(KEY) == TAGS
    assert await store.fill_stub(KEY, path, sha256=stored.sha256) == filled, "asked again it is filled already"
    await store.leave_stub(KEY, stub=stub, version=filled.version)
    with pytest.raises(Archived):
        await store.get_bytes(KEY, limit=10**6)


async def test_only_the_version_seen_is_replaced(store: Store, path: Path) -> None:
    stored = await store.put_bytes(KEY, READS, tags=TAGS)
    other = await store.put_bytes(KEY, b"came again", tags=TAGS)
    with pytest.raises((ObjectMissing, Rejected)):
        await store.leave_stub(KEY, stub=stub_of(stored), version=stored.version)
    assert await store.get_bytes(KEY, limit=100) == b"came again"
    with pytest.raises(ObjectMissing):
        await store.fill_stub(KEY, path, sha256=stored.sha256)
    await store.delete(KEY, version=other.version)


async def test_where_nothing_lies_a_stub_is_left_only_when_that_is_meant(store: Store, path: Path) -> None:
    sha = hashlib.sha256(READS).hexdigest()
    stub = Stub(sha256=sha, size=len(READS), place="file:///cold/archive/x/1-1")
    for call in (
        store.leave_stub(KEY, stub=stub, version=None),
        store.leave_stub(KEY, stub=stub, version="7"),
        store.fill_stub(KEY, path, sha256=sha),
    ):
        with pytest.raises(ObjectMissing):
            await call
    await store.leave_stub(KEY, stub=stub, version=None, tags=TAGS)
    with pytest.raises(Archived):
        await store.get_bytes(KEY, limit=10)
    other = replace(stub, place="file:///cold/archive/x/1-2")
    with pytest.raises(ObjectMissing):
        await store.leave_stub(KEY, stub=other, version=None, tags=TAGS)


async def test_a_stub_makes_way_for_one_of_a_newer_copy(store: Store) -> None:
    stored = await store.put_bytes(KEY, READS, tags=TAGS)
    first = await store.leave_stub(KEY, stub=stub_of(stored), version=stored.version)
    newer = stub_of(stored, "file:///cold/archive/x/1-2")
    await store.leave_stub(KEY, stub=newer, version=first.version)
    facts = await store.head(KEY)
    assert facts is not None
    assert facts.cold == newer.place


async def test_a_write_that_happens_once_knows_its_content_in_a_stub(store: Store) -> None:
    """A task that runs again writes its outputs once more: what it wrote before may be cold by then."""
    ref = await write_manifest(store, None, [{"a": 1}])
    facts = await store.head(ref.uri)
    assert facts is not None
    stub = Stub(sha256=ref.sha256, size=facts.size, place="file:///cold/archive/x/1-1")
    await store.leave_stub(ref.uri, stub=stub, version=facts.version)
    assert await write_manifest(store, None, [{"a": 1}]) == ref
    with pytest.raises(Archived):
        await read_manifest(store, ref)


async def test_a_large_object_is_filled_in_parts(store: Store, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(hashlib.sha256(b"x").digest() * (PART // 32 + 1))
    stored = await store.put_file(KEY, large, tags=TAGS)
    await store.leave_stub(KEY, stub=stub_of(stored), version=stored.version)
    await store.fill_stub(KEY, large, sha256=stored.sha256)
    facts = await store.head(KEY)
    assert facts is not None
    assert (facts.size, facts.cold is None, facts.readable()) == (stored.size, False, True)
    await store.get_file(KEY, tmp_path / "back", sha256=stored.sha256, size=stored.size)


async def test_a_zombie_whose_stub_was_replaced_meanwhile_fills_nothing(
    client: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket without versions: it looked, stood still, and wakes when the object is purged."""
    store: S3Store = s3_store(client, await new_bucket(client, versions=False))
    await store.probe()
    stored = await store.put_bytes(KEY, READS, tags=TAGS)
    await store.leave_stub(KEY, stub=stub_of(stored), version=None)
    call = Calls.call

    async def late(self: Calls, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation == "put_object":
            await call(self, "delete_object", uri=KEY, Key=parameters["Key"])
        return await call(self, operation, **parameters)

    monkeypatch.setattr(Calls, "call", late)
    with pytest.raises(ObjectMissing):
        await store.fill_stub(KEY, path, sha256=stored.sha256)
    assert await store.head(KEY) is None
