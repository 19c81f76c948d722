"""S3 behind a network that fails: faults 26 to 30 and 38 of docs/reliability, against a store that is real."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import Rejected
from chassis.storage.s3 import S3Store
from chassis.storage.store import StoreUnavailable, tags_of
from tests.chassis.storage.conftest import PART, s3_store
from tests.chassis.storage.shim import Fault, Shim

TAGS = tags_of(kind="log", stage="align", subject="run-1")
KEY = "working/align/task-1/1-1/x.bam"


def blocks(count: int, *, salt: bytes = b"") -> bytes:
    return b"".join(hashlib.sha256(salt + bytes([number])).digest() * (1 << 15) for number in range(count))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Three parts."""
    path = tmp_path / "large.bam"
    path.write_bytes(blocks(11))
    return path


@pytest.fixture
async def plain(client: Any, bucket: str) -> S3Store:
    """The same bucket, reached without faults."""
    store = s3_store(client, bucket)
    await store.probe()
    return store


@pytest.fixture
async def store(shaky: Any, bucket: str, shim: Shim) -> S3Store:
    opened = s3_store(shaky, bucket, patience_s=20.0)
    await opened.probe()
    shim.seen.clear()
    return opened


@pytest.mark.parametrize("fault", [Fault.busy, Fault.internal])
async def test_a_busy_store_is_asked_again(store: S3Store, shim: Shim, fault: Fault, tmp_path: Path) -> None:
    shim.first(3, fault, method="PUT")
    stored = await store.put_bytes(KEY, b"reads", tags=TAGS)
    assert shim.count("PUT") == 4
    shim.first(3, fault, method="GET")
    await store.get_file(KEY, tmp_path / "x", sha256=stored.sha256)
    assert (tmp_path / "x").read_bytes() == b"reads"


async def test_a_store_that_stays_busy_is_given_up(store: S3Store, shim: Shim, tmp_path: Path) -> None:
    shim.rule = lambda request: Fault.busy
    with pytest.raises(StoreUnavailable, match="503 SlowDown"):
        await store.put_bytes(KEY, b"reads", tags=TAGS)
    assert shim.count("PUT") == 4
    with pytest.raises(StoreUnavailable):
        await store.get_file(KEY, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


async def test_a_silent_peer_meets_a_deadline(shaky: Any, bucket: str, shim: Shim, plain: S3Store) -> None:
    store = s3_store(shaky, bucket, patience_s=0.2, attempts=2)
    shim.first(1, Fault.silent, method="PUT")
    await store.put_bytes(KEY, b"reads", tags=TAGS)
    for method, call in (
        ("PUT", lambda: store.put_bytes(KEY, b"x", tags=TAGS)),
        ("GET", lambda: store.get_bytes(KEY, limit=10)),
        ("HEAD", lambda: store.head(KEY)),
    ):
        shim.first(99, Fault.silent, method=method)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="deadline"):
            await call()
        assert time.monotonic() - began < 5
    assert await plain.get_bytes(KEY, limit=10) == b"reads"


async def test_an_answer_lost_after_the_commit_is_success(store: S3Store, shim: Shim, plain: S3Store) -> None:
    shim.first(1, Fault.lost, method="PUT")
    stored = await store.put_bytes(KEY, b"reads", tags=TAGS, if_absent=True)
    assert shim.count("PUT") == 2
    assert await plain.get_bytes(KEY, limit=10, sha256=stored.sha256) == b"reads"
    shim.first(1, Fault.lost, method="PUT")
    with pytest.raises(Rejected) as refused:
        await store.put_bytes(KEY, b"other", tags=TAGS, if_absent=True)
    assert refused.value.rejection.code == "IDEMPOTENCY_CONFLICT"
    assert await plain.get_bytes(KEY, limit=10) == b"reads"


async def test_a_lost_answer_to_the_last_step_of_a_large_upload(
    store: S3Store, shim: Shim, plain: S3Store, large: Path
) -> None:
    shim.first(1, Fault.lost, method="POST", query="uploadId")
    stored = await store.put_file(KEY, large, tags=TAGS, if_absent=True)
    assert shim.count("POST", "uploadId") == 2
    facts = await plain.head(KEY)
    assert facts is not None
    assert (facts.sha256, facts.size) == (stored.sha256, large.stat().st_size)


async def test_a_download_that_is_cut_goes_on_where_it_was(
    store: S3Store, shim: Shim, plain: S3Store, large: Path, tmp_path: Path
) -> None:
    stored = await plain.put_file(KEY, large, tags=TAGS)
    shim.first(2, Fault.cut, method="GET")
    await store.get_file(KEY, tmp_path / "x", sha256=stored.sha256, size=stored.size)
    assert (tmp_path / "x").read_bytes() == large.read_bytes()
    ranges = [asked for method, _, asked in shim.seen if method == "GET"]
    assert ranges[0] is None
    offsets = [int(str(asked).removeprefix("bytes=").rstrip("-")) for asked in ranges[1:]]
    assert len(offsets) == 2
    assert 0 < offsets[0] < offsets[1] < stored.size


async def test_a_range_that_is_cut_is_whole_in_the_end(store: S3Store, shim: Shim, plain: S3Store, large: Path) -> None:
    await plain.put_file(KEY, large, tags=TAGS)
    shim.first(2, Fault.cut, method="GET")
    assert await store.read_range(KEY, 1000, 3 << 20) == large.read_bytes()[1000 : 1000 + (3 << 20)]


async def test_a_download_that_is_cut_again_and_again_is_given_up(
    store: S3Store, shim: Shim, plain: S3Store, tmp_path: Path
) -> None:
    await plain.put_bytes(KEY, blocks(1), tags=TAGS)
    shim.rule = lambda request: Fault.cut if request.method == "GET" else None
    with pytest.raises(StoreUnavailable):
        await store.get_file(KEY, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


async def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed(
    store: S3Store, shim: Shim, plain: S3Store
) -> None:
    await plain.put_bytes(KEY, blocks(4), tags=TAGS)
    shim.first(1, Fault.cut, method="GET")
    with pytest.raises(Rejected) as refused:
        async with contextlib.aclosing(store._reading(KEY).blocks()) as stream:
            first = await anext(stream)
            assert len(first) < 4 << 20
            await plain.put_bytes(KEY, blocks(4, salt=b"new"), tags=TAGS)
            async for _ in stream:
                pass
    assert refused.value.rejection.code == "CONTENT_CHANGED"


async def test_bytes_damaged_on_their_way_are_never_committed(
    store: S3Store, shim: Shim, plain: S3Store, large: Path
) -> None:
    shim.first(1, Fault.flipped, method="PUT")
    with pytest.raises(StoreUnavailable, match="read back"):
        await store.put_bytes(KEY, b"reads", tags=TAGS)
    assert await plain.head(KEY) is None
    shim.first(1, Fault.flipped, method="PUT", query="partNumber")
    with pytest.raises(StoreUnavailable, match="read back"):
        await store.put_file(KEY, large, tags=TAGS)
    assert await plain.head(KEY) is None


async def test_an_upload_goes_on_where_it_stopped(store: S3Store, shim: Shim, plain: S3Store, large: Path) -> None:
    shim.rule = lambda request: Fault.busy if request.query.get("partNumber") == "3" else None
    with pytest.raises(StoreUnavailable):
        await store.put_file(KEY, large, tags=TAGS)
    assert [upload.key async for upload in plain.unfinished_uploads("working")] == [KEY]
    assert await plain.head(KEY) is None
    shim.rule = lambda request: None
    shim.seen.clear()
    stored = await store.put_file(KEY, large, tags=TAGS)
    assert shim.count("PUT", "partNumber") == 1
    assert shim.count("POST", "uploads") == 0
    assert await plain.get_bytes(KEY, limit=64 << 20, sha256=stored.sha256) == large.read_bytes()
    assert await plain.read_tags(KEY) == TAGS


async def test_an_upload_begun_for_other_content_does_not_lend_its_sum(
    store: S3Store, shim: Shim, plain: S3Store, large: Path
) -> None:
    shim.rule = lambda request: Fault.busy if request.query.get("partNumber") == "3" else None
    with pytest.raises(StoreUnavailable):
        await store.put_file(KEY, large, tags=TAGS)
    shim.rule = lambda request: None
    # the first part is the same, the rest is not
    large.write_bytes(large.read_bytes()[:PART] + blocks(5, salt=b"top-up"))
    tags = {**TAGS, "subject": "run-2"}
    shim.seen.clear()
    stored = await store.put_file(KEY, large, tags=tags)
    assert shim.count("PUT", "partNumber") == 1
    facts = await plain.head(KEY)
    assert facts is not None
    assert facts.sha256 == stored.sha256 == hashlib.sha256(large.read_bytes()).hexdigest()
    assert await plain.read_tags(KEY) == tags
    assert await plain.get_bytes(KEY, limit=64 << 20) == large.read_bytes()


async def test_a_cancelled_upload_leaves_what_can_be_found_and_removed(
    store: S3Store, shim: Shim, plain: S3Store, large: Path
) -> None:
    reached = asyncio.Event()

    def rule(request: Any) -> Fault | None:
        if request.query.get("partNumber") == "2":
            reached.set()
            return Fault.silent
        return None

    shim.rule = rule
    task = asyncio.create_task(store.put_file(KEY, large, tags=TAGS))
    await asyncio.wait_for(reached.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = [upload async for upload in plain.unfinished_uploads("working/align")]
    assert [upload.key for upload in left] == [KEY]
    await plain.abort(left[0])
    await plain.abort(left[0])
    assert [upload async for upload in plain.unfinished_uploads("")] == []


async def test_a_missing_grant_is_named_at_once(store: S3Store, shim: Shim) -> None:
    shim.rule = lambda request: Fault.denied
    with pytest.raises(Rejected) as refused:
        await store.put_bytes(KEY, b"reads", tags=TAGS)
    assert refused.value.rejection.code == "ACCESS_DENIED"
    assert "s3:PutObject" in refused.value.rejection.fix
    assert shim.count("PUT") == 1
    with pytest.raises(Rejected) as refused:
        await store.get_bytes(KEY, limit=1)
    assert "s3:GetObject" in refused.value.rejection.fix
    assert shim.count("GET") == 1


async def test_a_wrong_bucket_and_a_wrong_peer_say_so(shaky: Any, client: Any, shim: Shim) -> None:
    with pytest.raises(Rejected) as refused:
        await s3_store(client, "no-such-bucket").probe()
    assert refused.value.rejection.code == "BUCKET_MISSING"
    shim._target = "http://127.0.0.1:1"
    with pytest.raises(StoreUnavailable):
        await s3_store(shaky, "any-bucket").probe()


async def test_a_store_that_checks_sums_is_not_read_back(
    shaky: Any, bucket: str, shim: Shim, plain: S3Store, large: Path
) -> None:
    shim.checks_sums = True
    store = s3_store(shaky, bucket)
    assert "checksums" in await store.probe()
    shim.seen.clear()
    # damage on the way is refused by the store, and sent again
    shim.first(1, Fault.flipped, method="PUT")
    small = await store.put_bytes("working/small", b"reads", tags=TAGS)
    assert shim.count("PUT") == 2
    shim.first(1, Fault.flipped, method="PUT", query="partNumber")
    stored = await store.put_file(KEY, large, tags=TAGS)
    assert shim.count("PUT", "partNumber") == 4
    assert shim.count("GET") == shim.count("GET", "uploads")
    assert await plain.get_bytes("working/small", limit=9, sha256=small.sha256) == b"reads"
    assert await plain.get_bytes(KEY, limit=64 << 20, sha256=stored.sha256) == large.read_bytes()
