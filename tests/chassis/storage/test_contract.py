"""What every store does, whatever stands behind it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.storage.manifests import read_manifest, write_manifest
from chassis.storage.store import ObjectMissing, Store, tags_of
from contracts.values import Artifact, ArtifactKind

TAGS = tags_of(kind="log", stage="align", subject="run-1")
KEY = "working/align/task-1/1-1/x.bam"


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Two parts and a bit, no two blocks alike."""
    path = tmp_path / "large.bam"
    with path.open("wb") as out:
        for number in range(11):
            out.write(hashlib.sha256(bytes([number])).digest() * (1 << 15))
        out.write(b"end")
    return path


async def test_bytes_come_back_with_their_sum_and_size(store: Store) -> None:
    stored = await store.put_bytes(KEY, b"reads", tags=TAGS)
    assert (stored.sha256, stored.size, stored.key) == (sha(b"reads"), 5, KEY)
    assert stored.uri == store.uri(KEY) == f"{store.base}/{KEY}"
    assert await store.get_bytes(stored.uri, limit=10) == b"reads"
    assert await store.get_bytes(KEY, limit=5, sha256=stored.sha256) == b"reads"
    assert isinstance(stored.artifact(ArtifactKind.log), Artifact)


async def test_an_empty_object_is_an_object(store: Store, tmp_path: Path) -> None:
    await store.put_bytes(KEY, b"", tags=TAGS)
    assert await store.get_bytes(KEY, limit=0) == b""
    await store.get_file(KEY, tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""
    assert await store.read_range(KEY, 0, 10) == b""


async def test_a_large_file_comes_back_as_it_was(store: Store, large: Path, tmp_path: Path) -> None:
    stored = await store.put_file(KEY, large, tags=TAGS)
    assert (stored.sha256, stored.size) == (sha(large.read_bytes()), large.stat().st_size)
    target = tmp_path / "deep" / "back.bam"
    await store.get_file(stored.uri, target, sha256=stored.sha256, size=stored.size)
    assert target.read_bytes() == large.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["back.bam"]
    assert [upload async for upload in store.unfinished_uploads("")] == []


async def test_head_tells_what_was_written_and_tags_stay(store: Store) -> None:
    stored = await store.put_bytes(KEY, b"reads", tags=TAGS)
    facts = await store.head(stored.uri)
    assert facts is not None
    assert (facts.key, facts.size, facts.sha256, facts.storage_class) == (KEY, 5, sha(b"reads"), "STANDARD")
    assert facts.version == stored.version
    assert facts.readable()
    assert facts.modified.tzinfo is not None
    assert await store.read_tags(KEY) == TAGS
    held = {**TAGS, "retain": "hold"}
    await store.write_tags(KEY, held)
    assert await store.read_tags(KEY) == held
    again = await store.head(KEY)
    assert again is not None
    assert again.sha256 == sha(b"reads")


async def test_what_is_not_there_is_missing(store: Store, tmp_path: Path) -> None:
    assert await store.head(KEY) is None
    assert await store.delete(KEY) is False
    with pytest.raises(ObjectMissing):
        await store.get_bytes(KEY, limit=1)
    with pytest.raises(ObjectMissing):
        await store.get_file(KEY, tmp_path / "x")
    with pytest.raises(ObjectMissing):
        await store.read_range(KEY, 0, 1)
    with pytest.raises(ObjectMissing):
        await store.read_tags(KEY)
    assert list(tmp_path.glob("x*")) == []


async def test_tags_are_not_forgotten(store: Store) -> None:
    with pytest.raises(ValueError, match="retain"):
        await store.put_bytes(KEY, b"x", tags={"kind": "log", "stage": "align", "subject": "run-1"})
    assert await store.head(KEY) is None


async def test_a_write_that_happens_once(store: Store, large: Path) -> None:
    first = await store.put_bytes(KEY, b"one", tags=TAGS, if_absent=True)
    again = await store.put_bytes(KEY, b"one", tags=TAGS, if_absent=True)
    assert again == first
    with pytest.raises(Rejected) as refused:
        await store.put_bytes(KEY, b"two", tags=TAGS, if_absent=True)
    assert refused.value.rejection.code == "IDEMPOTENCY_CONFLICT"
    with pytest.raises(Rejected) as refused:
        await store.put_file(KEY, large, tags=TAGS, if_absent=True)
    assert refused.value.rejection.code == "IDEMPOTENCY_CONFLICT"
    assert await store.get_bytes(KEY, limit=10) == b"one"
    whole = await store.put_file("working/large", large, tags=TAGS, if_absent=True)
    assert await store.put_file("working/large", large, tags=TAGS, if_absent=True) == whole


async def test_of_racing_writers_exactly_one_wins(store: Store) -> None:
    async def write(number: int) -> bytes | None:
        body = f"writer {number}".encode()
        try:
            await store.put_bytes(KEY, body, tags=TAGS, if_absent=True)
        except Rejected as refused:
            assert refused.rejection.code == "IDEMPOTENCY_CONFLICT"
            return None
        return body

    winners = [body for body in await asyncio.gather(*(write(number) for number in range(8))) if body is not None]
    assert winners == [await store.get_bytes(KEY, limit=20)]


async def test_without_that_a_write_replaces(store: Store) -> None:
    await store.put_bytes(KEY, b"one", tags=TAGS)
    second = await store.put_bytes(KEY, b"other", tags={**TAGS, "retain": "scratch"})
    facts = await store.head(KEY)
    assert facts is not None
    assert (facts.sha256, facts.version) == (second.sha256, second.version)
    assert (await store.read_tags(KEY))["retain"] == "scratch"


async def test_a_file_that_is_not_what_it_should_be_is_not_stored(store: Store, large: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"truncat")
    for path in (small, large):
        with pytest.raises(Rejected) as refused:
            await store.put_file(KEY, path, sha256=sha(b"truncated"), tags=TAGS)
        assert refused.value.rejection.code == "CONTENT_CHANGED"
        assert await store.head(KEY) is None
        assert [upload async for upload in store.unfinished_uploads("")] == []


async def test_content_that_is_not_what_was_named_is_refused(store: Store, tmp_path: Path) -> None:
    stored = await store.put_bytes(KEY, b"reads", tags=TAGS)
    target = tmp_path / "got"
    for wrong in ({"sha256": sha(b"other")}, {"sha256": stored.sha256, "size": 6}):
        with pytest.raises(Rejected) as refused:
            await store.get_file(KEY, target, **wrong)  # type: ignore[arg-type]
        assert refused.value.rejection.code == "CONTENT_CHANGED"
        assert not target.exists()
    with pytest.raises(Rejected) as refused:
        await store.get_bytes(KEY, limit=10, sha256=sha(b"other"))
    assert refused.value.rejection.code == "CONTENT_CHANGED"
    assert list(tmp_path.glob(".got*")) == []


async def test_memory_has_a_limit(store: Store) -> None:
    await store.put_bytes(KEY, b"reads", tags=TAGS)
    with pytest.raises(Rejected) as refused:
        await store.get_bytes(KEY, limit=4)
    assert refused.value.rejection.code == "OBJECT_TOO_LARGE"


async def test_ranges(store: Store) -> None:
    await store.put_bytes(KEY, b"0123456789", tags=TAGS)
    assert await store.read_range(KEY, 2, 3) == b"234"
    assert await store.read_range(store.uri(KEY), 8, 100) == b"89"
    assert await store.read_range(KEY, 10, 5) == b""
    assert await store.read_range(KEY, 3, 0) == b""


async def test_a_listing_is_of_a_folder_in_key_order(store: Store) -> None:
    keys = ["released/c/1/a", "released/c/1-b/x", "released/c/10/a", "released/c/1/B", "released/c/1/a-b/z"]
    for key in keys:
        await store.put_bytes(key, key.encode(), tags=TAGS)
    found = [facts async for facts in store.list("released/c/1")]
    assert [facts.key for facts in found] == ["released/c/1/B", "released/c/1/a", "released/c/1/a-b/z"]
    assert [facts.key async for facts in store.list("")] == sorted(keys)
    assert [facts.key async for facts in store.list("released/")] == sorted(keys)
    assert [facts.key async for facts in store.list("released/none")] == []
    assert {facts.uri: facts.size for facts in found} == {store.uri(f.key): len(f.key) for f in found}


async def test_delete_is_of_the_version_named(store: Store) -> None:
    stored = await store.put_bytes(KEY, b"one", tags=TAGS)
    if "versions" in store.capabilities:
        assert stored.version is not None
        assert await store.delete(KEY, version="other") is False
        assert await store.head(KEY, version="other") is None
        newer = await store.put_bytes(KEY, b"two", tags=TAGS)
        await store.delete(KEY, version=stored.version)
        assert await store.get_bytes(KEY, limit=5) == b"two"
        stored = newer
    assert await store.delete(stored.uri, version=stored.version) is True
    assert await store.head(KEY) is None
    assert await store.delete(stored.uri, version=stored.version) is False


@pytest.mark.parametrize(
    "bad", ["../x", "a/../b", "/etc/passwd", "a//b", "", "a/.hidden", "a\n", "a/./b", "a\0b", "~/x"]
)
async def test_no_key_steps_out(store: Store, bad: str, tmp_path: Path) -> None:
    for attempt in (bad, f"{store.base}/{bad}"):
        for call in (
            store.head(attempt),
            store.get_bytes(attempt, limit=1),
            store.delete(attempt),
            store.get_file(attempt, tmp_path / "x"),
        ):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.rejection.code == "UNSAFE_PATH"
    with pytest.raises(Rejected) as refused:
        await store.put_bytes(bad, b"x", tags=TAGS)
    assert refused.value.rejection.code == "UNSAFE_PATH"


async def test_uris_of_others_are_refused(store: Store) -> None:
    for uri in ("s3://other/working/x", f"{store.base}2/working/x", "file:///etc/passwd", "http://127.0.0.1/x"):
        with pytest.raises(Rejected) as refused:
            await store.get_bytes(uri, limit=1)
        assert refused.value.rejection.code == "URI_FORBIDDEN"


async def test_manifests_are_named_by_their_content(store: Store) -> None:
    entries = [{"b": 1, "a": "ü"}, {"x": [1, 2]}]
    ref = await write_manifest(store, None, entries)
    assert ref.entries == 2
    assert ref.uri.endswith(f"working/manifests/{ref.sha256}.json")
    assert await write_manifest(store, None, [{"a": "ü", "b": 1}, {"x": [1, 2]}]) == ref
    assert await read_manifest(store, ref) == entries
    named = await write_manifest(store, "released/c/1/manifest.json", entries, tags=TAGS)
    assert named.sha256 == ref.sha256
    with pytest.raises(Rejected) as refused:
        await write_manifest(store, "released/c/1/manifest.json", [], tags=TAGS)
    assert refused.value.rejection.code == "IDEMPOTENCY_CONFLICT"
    with pytest.raises(Rejected) as refused:
        await read_manifest(store, ref.model_copy(update={"entries": 3}))
    assert refused.value.rejection.code == "CONTENT_CHANGED"
    await store.put_bytes(store.key_of(ref.uri), b"[]", tags=TAGS)
    with pytest.raises(Rejected) as refused:
        await read_manifest(store, ref)
    assert refused.value.rejection.code == "CONTENT_CHANGED"
