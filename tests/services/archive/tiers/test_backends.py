"""Both backends, on folders and on the S3 server that models Glacier."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import BinaryIO

import pytest
from pydantic import SecretStr

from chassis.settings import StoreSettings
from chassis.storage import open_store
from chassis.storage.store import StoreUnavailable
from deploy.embedded.stack import Endpoints
from services.archive.tiers.copied import Copies
from services.archive.tiers.places import Places, named, opened
from services.archive.tiers.storage_class import StorageClasses
from tests.services.archive.tiers.contract import BODY, KEY, Bench, Contract, CopyContract, nothing


def folder(path: Path) -> StoreSettings:
    path.mkdir(exist_ok=True)
    return StoreSettings(base=f"file://{path}")


def bucket(endpoints: Endpoints) -> StoreSettings:
    return StoreSettings(
        base=f"s3://{endpoints.bucket}/t{secrets.token_hex(6)}",
        endpoint=endpoints.s3_endpoint,
        access_key=SecretStr(endpoints.s3_access_key),
        secret_key=SecretStr(endpoints.s3_secret_key),
    )


async def copies(hot: StoreSettings, cold: StoreSettings, scratch: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(hot))
        place = await stack.enter_async_context(opened(cold))
        places = Places(store=store, settings=cold, place_id=await named(place))
        backend = Copies(store=store, places=places, scratch=scratch)
        yield Bench(backend=backend, store=store, tier="COLD", cold=place, scratch=scratch)


class TestFolders(CopyContract):
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        async for bench in copies(folder(tmp_path / "hot"), folder(tmp_path / "cold"), tmp_path):
            yield bench

    async def test_a_place_that_is_not_mounted_is_not_used(self, bench: Bench, tmp_path: Path) -> None:
        """The folder is there, empty: nothing is written into what lies under the mount."""
        meant = await bench.put()
        (tmp_path / "cold").rename(tmp_path / "elsewhere")
        for made in (False, True):
            if made:
                (tmp_path / "cold").mkdir()
            with pytest.raises(StoreUnavailable, match="mounted"):
                await bench.move(meant)
        assert list((tmp_path / "cold").iterdir()) == []
        assert await bench.store.get_bytes(KEY, limit=len(BODY)) == BODY
        (tmp_path / "cold").rmdir()
        (tmp_path / "elsewhere").rename(tmp_path / "cold")
        assert (await bench.move(meant))["did"] == "moved"

    async def test_a_full_place_is_one_that_is_away(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        import errno

        from chassis.storage import folder as disk

        meant = await bench.put()
        copy = disk._copy

        def full(source: BinaryIO, out: BinaryIO, *, sync: bool = True) -> tuple[str, int]:
            if "/cold/" in str(out.name):
                raise OSError(errno.ENOSPC, "No space left on device")
            return copy(source, out, sync=sync)

        monkeypatch.setattr(disk, "_copy", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            await bench.backend.move(meant, await bench.head(), "COLD", begin=bench.begin, still_right=nothing)
        assert bench.begun == []
        assert await bench.store.get_bytes(KEY, limit=len(BODY)) == BODY


@pytest.mark.stack
class TestBuckets(CopyContract):
    @pytest.fixture
    async def bench(self, endpoints: Endpoints, tmp_path: Path) -> AsyncIterator[Bench]:
        async for bench in copies(bucket(endpoints), bucket(endpoints), tmp_path):
            yield bench


@pytest.mark.stack
class TestBucketAndFolder(CopyContract):
    @pytest.fixture
    async def bench(self, endpoints: Endpoints, tmp_path: Path) -> AsyncIterator[Bench]:
        async for bench in copies(bucket(endpoints), folder(tmp_path / "cold"), tmp_path):
            yield bench


@pytest.mark.stack
class TestStorageClasses(Contract):
    @pytest.fixture
    async def bench(self, endpoints: Endpoints, tmp_path: Path) -> AsyncIterator[Bench]:
        async with open_store(bucket(endpoints)) as store:
            backend = StorageClasses(store=store, scratch=tmp_path)
            yield Bench(backend=backend, store=store, tier="GLACIER", cold=None, scratch=tmp_path)
