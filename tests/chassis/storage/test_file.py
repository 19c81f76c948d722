"""What only a folder has: links, processes that die between two steps, and administrators who copy it."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.storage import folder as folder_module
from chassis.storage.file import FileStore
from chassis.storage.store import StoreUnavailable, Unsupported, tags_of

TAGS = tags_of(kind="log", stage="align", subject="run-1")
KEY = "working/align/t/1-1/x"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(root=tmp_path / "store")


async def refused_as_unsafe(store: FileStore, key: str, tmp_path: Path) -> None:
    for call in (store.get_bytes(key, limit=9), store.head(key), store.get_file(key, tmp_path / "copy")):
        with pytest.raises(Rejected) as refused:
            await call
        assert refused.value.rejection.code == "UNSAFE_PATH"


async def test_no_link_leads_out(store: FileStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    root = tmp_path / "store"
    (root / "landing").symlink_to(outside)
    (root / "released").mkdir()
    (root / "released" / "link").symlink_to(outside / "secret")
    await refused_as_unsafe(store, "landing/secret", tmp_path)
    await refused_as_unsafe(store, "released/link", tmp_path)
    for key in ("landing/new", "landing/deeper/new"):
        with pytest.raises(Rejected) as refused:
            await store.put_bytes(key, b"x", tags=TAGS)
        assert refused.value.rejection.code == "UNSAFE_PATH"
    assert [facts async for facts in store.list("")] == []
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    # one that stands where an object goes is replaced, not followed
    await store.put_bytes("released/other", b"x", tags=TAGS)
    assert (outside / "secret").read_bytes() == b"secret"


async def test_a_full_disk_is_a_store_that_is_unavailable(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every host alike: another one would find it as full."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        await store.put_bytes(KEY, b"reads", tags=TAGS)
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


async def test_a_name_is_whole_or_not_there(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends before the link leaves a temporary file: not listed, found as unfinished, removed."""

    def power_cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module.os, "link", power_cut)
    monkeypatch.setattr(folder_module.Path, "unlink", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        store._folder.put(KEY, io.BytesIO(b"x"), sha256=None, tags=TAGS, if_absent=True)
    monkeypatch.undo()
    assert await store.head(KEY) is None
    assert [facts async for facts in store.list("")] == []
    left = [upload async for upload in store.unfinished_uploads("working")]
    assert [upload.key for upload in left] == [KEY]
    await store.abort(left[0])
    await store.abort(left[0])
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


async def test_what_the_disk_gives_back_is_checked(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "sum_of", lambda path: ("0" * 64, 1))
    with pytest.raises(StoreUnavailable, match="read back"):
        await store.put_bytes(KEY, b"x", tags=TAGS)
    monkeypatch.undo()
    assert await store.head(KEY) is None


async def test_a_copied_store_keeps_its_sums_and_tags(store: FileStore, tmp_path: Path) -> None:
    stored = await store.put_bytes(KEY, b"reads", tags=TAGS)
    shutil.copytree(tmp_path / "store", tmp_path / "restored")
    restored = FileStore(root=tmp_path / "restored")
    facts = await restored.head(KEY)
    assert facts is not None
    assert (facts.sha256, facts.version) == (stored.sha256, stored.version)
    assert await restored.read_tags(KEY) == TAGS


async def test_damage_on_the_disk_is_seen(store: FileStore, tmp_path: Path) -> None:
    await store.put_bytes(KEY, b"reads", tags=TAGS)
    with (tmp_path / "store" / KEY).open("r+b") as file:
        file.write(b"R")
    with pytest.raises(Rejected) as refused:
        await store.get_file(KEY, tmp_path / "x")
    assert refused.value.rejection.code == "CONTENT_CHANGED"
    assert not (tmp_path / "x").exists()


async def test_a_file_put_there_by_hand_is_listed_and_read(store: FileStore, tmp_path: Path) -> None:
    path = tmp_path / "store" / "released" / "by hand.txt"
    path.parent.mkdir()
    path.write_bytes(b"x")
    assert [facts.key async for facts in store.list("")] == ["released/by hand.txt"]
    (path.parent / "plain").write_bytes(b"y")
    facts = await store.head("released/plain")
    assert facts is not None
    assert facts.sha256 is None
    assert await store.get_bytes("released/plain", limit=1) == b"y"
    await store.write_tags("released/plain", TAGS)
    assert await store.read_tags("released/plain") == TAGS


async def test_deleting_the_last_object_removes_its_folders(store: FileStore, tmp_path: Path) -> None:
    await store.put_bytes(KEY, b"x", tags=TAGS)
    await store.put_bytes("working/other", b"x", tags=TAGS)
    assert await store.delete(KEY)
    assert sorted(path.name for path in (tmp_path / "store" / "working").iterdir()) == [".facts", "other"]
    assert list((tmp_path / "store" / "working" / ".facts").iterdir()) != []
    assert await store.delete("working/other")
    assert list((tmp_path / "store").iterdir()) == []


async def test_a_folder_has_no_tiers(store: FileStore) -> None:
    assert "tiers" not in store.capabilities
    for call in (store.set_tier(KEY, "GLACIER"), store.request_restore(KEY, days=1)):
        with pytest.raises(Unsupported):
            await call
