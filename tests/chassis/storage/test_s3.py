"""What only S3 has: storage classes, restores, versions; and stores that promise more or less than others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import Rejected
from chassis.storage import open_store
from chassis.storage.s3 import S3Store
from chassis.storage.s3_objects import _restore
from chassis.storage.store import Archived, ObjectFacts, ObjectMissing, RestoreState, tags_of
from tests.chassis.storage.conftest import PART, new_bucket, s3_store, settings_for
from tests.chassis.storage.test_s3_faults import blocks

TAGS = tags_of(kind="cram", stage="align", subject="run-1")
KEY = "released/c/1/x.cram"


@pytest.fixture(params=[False, True], ids=["plain", "versions"])
async def store(request: pytest.FixtureRequest, client: Any) -> S3Store:
    opened = s3_store(client, await new_bucket(client, versions=request.param), copy_limit=PART)
    await opened.probe()
    return opened


@pytest.fixture
def slow_restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A restore is under way until the object was looked up twenty times. moto would count from when it was made."""
    from moto.moto_api import state_manager
    from moto.s3.models import FakeKey

    accept = FakeKey.restore

    def restore(key: Any, days: int) -> None:
        if key.expiry_date is None:
            key.status, key._tick = "IN_PROGRESS", 0
        accept(key, days)

    monkeypatch.setattr(FakeKey, "restore", restore)
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 20})
    yield
    state_manager.unset_transition("s3::keyrestore")


async def test_the_probe_tells_what_the_store_does(store: S3Store, client: Any, bucket: str) -> None:
    assert {"conditional-put", "tiers", "restore"} <= store.capabilities
    # moto takes a wrong sum: it must not be trusted to check one
    assert "checksums" not in store.capabilities
    assert [facts async for facts in store.list("")] == []
    assert "versions" not in await s3_store(client, bucket).probe()


async def test_nothing_of_the_probe_stays(client: Any) -> None:
    name = await new_bucket(client, versions=True)
    assert "versions" in await s3_store(client, name).probe()
    left = await client.list_object_versions(Bucket=name)
    assert left.get("Versions", []) == left.get("DeleteMarkers", []) == []


@pytest.mark.parametrize("parts", [1, 7], ids=["one request", "in parts"])
@pytest.mark.parametrize("storage_class", ["STANDARD_IA", "DEEP_ARCHIVE"])
async def test_a_tier_is_changed_and_nothing_else(
    store: S3Store, client: Any, parts: int, storage_class: str, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(blocks(parts))
    stored = await store.put_file(KEY, path, tags=TAGS)
    moved = await store.set_tier(stored.uri, storage_class, version=stored.version)
    facts = await store.head(KEY)
    assert facts is not None
    assert (facts.storage_class, facts.sha256, facts.size) == (storage_class, stored.sha256, stored.size)
    assert facts.version == moved.version
    if not facts.readable():
        # moto refuses the tags of archived objects, which S3 gives
        await store.request_restore(KEY, days=1)
    assert await store.read_tags(KEY) == TAGS
    assert (await store.set_tier(KEY, storage_class)).version == moved.version
    if "versions" in store.capabilities:
        kept = await client.list_object_versions(Bucket=store.base.split("/")[2])
        assert [version["VersionId"] for version in kept["Versions"]] == [moved.version]


async def test_a_move_names_the_version_it_is_of(store: S3Store) -> None:
    if "versions" not in store.capabilities:
        with pytest.raises(ObjectMissing):
            await store.set_tier(KEY, "GLACIER")
        return
    first = await store.put_bytes(KEY, b"one", tags=TAGS)
    await store.put_bytes(KEY, b"two", tags=TAGS)
    with pytest.raises(ObjectMissing):
        await store.set_tier(KEY, "GLACIER", version=first.version)
    assert await store.get_bytes(KEY, limit=3) == b"two"


async def test_an_archived_object_says_so_and_is_read_after_its_restore(
    store: S3Store, tmp_path: Path, slow_restore: None
) -> None:
    await store.put_bytes(KEY, b"reads", tags=TAGS)
    # not archived: nothing to restore
    await store.request_restore(KEY, days=1)
    await store.set_tier(KEY, "GLACIER")
    for call in (
        store.get_bytes(KEY, limit=9),
        store.get_file(KEY, tmp_path / "x"),
        store.read_range(KEY, 0, 1),
    ):
        with pytest.raises(Archived) as archived:
            await call
        assert archived.value.uri == store.uri(KEY)
    facts = await store.head(KEY)
    assert facts is not None
    assert not facts.readable()
    await store.request_restore(KEY, days=2, tier="Bulk")
    await store.request_restore(KEY, days=2)
    facts = await store.head(KEY)
    assert facts is not None
    assert facts.restore == RestoreState(ongoing=True)
    assert not facts.readable()
    for _ in range(20):
        facts = await store.head(KEY)
    assert facts is not None
    assert facts.readable()
    assert facts.storage_class == "GLACIER"
    assert await store.get_bytes(KEY, limit=9) == b"reads"


async def test_deep_archive_has_no_expedited_restore(store: S3Store) -> None:
    await store.put_bytes(KEY, b"reads", tags=TAGS)
    await store.set_tier(KEY, "DEEP_ARCHIVE")
    with pytest.raises(Rejected) as refused:
        await store.request_restore(KEY, days=1, tier="Expedited")
    assert refused.value.rejection.code == "RESTORE_TIER"
    with pytest.raises(ObjectMissing):
        await store.request_restore("released/none", days=1)


async def test_a_write_that_must_happen_once_sees_what_is_archived(store: S3Store) -> None:
    first = await store.put_bytes(KEY, b"reads", tags=TAGS, if_absent=True)
    await store.set_tier(KEY, "GLACIER")
    again = await store.put_bytes(KEY, b"reads", tags=TAGS, if_absent=True)
    assert again.sha256 == first.sha256
    with pytest.raises(Rejected):
        await store.put_bytes(KEY, b"other", tags=TAGS, if_absent=True)


async def test_a_damaged_object_is_not_archived(store: S3Store, client: Any) -> None:
    await client.put_object(
        Bucket=store.base.split("/")[2],
        Key=f"site/{KEY}",
        Body=b"damaged",
        Metadata={"sha256": "0" * 64},
        Tagging="kind=cram&stage=align&subject=x&retain=policy",
    )
    with pytest.raises(Rejected) as refused:
        await store.set_tier(KEY, "GLACIER")
    assert refused.value.rejection.code == "CONTENT_CHANGED"
    facts = await store.head(KEY)
    assert facts is not None
    assert facts.storage_class == "STANDARD"


async def test_without_conditional_writes_an_object_there_is_still_not_replaced(client: Any, bucket: str) -> None:
    store = s3_store(client, bucket)
    await store.put_bytes(KEY, b"one", tags=TAGS, if_absent=True)
    with pytest.raises(Rejected) as refused:
        await store.put_bytes(KEY, b"two", tags=TAGS, if_absent=True)
    assert refused.value.rejection.code == "IDEMPOTENCY_CONFLICT"


async def test_the_settings_open_it(s3_endpoint: str, bucket: str, tmp_path: Path) -> None:
    async with open_store(settings_for(s3_endpoint, bucket)) as store:
        assert store.base == f"s3://{bucket}/site"
        await store.put_bytes(KEY, b"x", tags=TAGS)
    folder = tmp_path / "with a space"
    async with open_store(settings_for(s3_endpoint).model_copy(update={"base": f"file://{folder}"})) as store:
        stored = await store.put_bytes(KEY, b"x", tags=TAGS)
        assert " " not in stored.uri
        assert (folder / KEY).read_bytes() == b"x"
    for wrong in ("s3://", "file://relative", "gs://bucket", "s3://Bad_Bucket/x", "file:///"):
        with pytest.raises(Rejected) as refused:
            async with open_store(settings_for(s3_endpoint).model_copy(update={"base": wrong})):
                pass
        assert refused.value.rejection.code == "CONFIG_VALUE"


def test_the_restore_header() -> None:
    ready = _restore('ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"')
    assert ready == RestoreState(ongoing=False, expires=datetime(2012, 12, 21, tzinfo=UTC))
    assert _restore('ongoing-request="true"') == RestoreState(ongoing=True)
    assert _restore(None) is None
    facts = ObjectFacts(
        uri="s3://b/x", key="x", size=1, modified=datetime.now(UTC), storage_class="GLACIER", restore=ready
    )
    assert not facts.readable()
    assert facts.readable(now=datetime(2012, 12, 21, tzinfo=UTC) - timedelta(seconds=1))
