"""Copies between buckets of a store that has no storage classes, and from such a bucket to a folder. The same contract
as on the emulator; and what the archive finds out of such a store."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from testcontainers.core.container import DockerContainer

from chassis.errors import Rejected
from chassis.settings import ArchiveSettings, ColdSettings, Settings, StoreSettings
from chassis.storage import open_store
from chassis.storage.open import open_client
from services.archive.tiers.choice import weighed
from tests.containers.servers import LOOPBACK, STORE
from tests.services.archive.tiers.contract import Bench, CopyContract
from tests.services.archive.tiers.test_backends import copies, folder

GATEWAY = """
mkdir -p /store/objects /store/meta
exec /usr/local/bin/versitygw --port :7070 posix --sidecar /store/meta /store/objects
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[StoreSettings]:
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    made = DockerContainer(STORE).with_envs(ROOT_ACCESS_KEY_ID=key, ROOT_SECRET_ACCESS_KEY=secret)
    made = made.with_command([GATEWAY]).with_kwargs(user="0", entrypoint=["/bin/sh", "-c"])
    made.ports["7070"] = (LOOPBACK, None)
    with made:
        yield StoreSettings(
            base="s3://none",
            endpoint=f"http://{LOOPBACK}:{made.get_exposed_port(7070)}",
            access_key=SecretStr(key),
            secret_key=SecretStr(secret),
            patience_seconds=5.0,
        )


async def bucket(gateway: StoreSettings) -> StoreSettings:
    """A new one; the server is waited for, should it have started just now."""
    name = f"bucket-{secrets.token_hex(6)}"
    until = time.monotonic() + 30
    async with open_client(gateway) as client:
        while True:
            try:
                await client.create_bucket(Bucket=name)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
            except Exception as error:
                if time.monotonic() > until or "Connect" not in type(error).__name__:
                    raise
    return gateway.model_copy(update={"base": f"s3://{name}"})


class TestTwoBuckets(CopyContract):
    @pytest.fixture
    async def bench(self, gateway: StoreSettings, tmp_path: Path) -> AsyncIterator[Bench]:
        async for bench in copies(await bucket(gateway), await bucket(gateway), tmp_path):
            yield bench


class TestBucketAndFolder(CopyContract):
    @pytest.fixture
    async def bench(self, gateway: StoreSettings, tmp_path: Path) -> AsyncIterator[Bench]:
        async for bench in copies(await bucket(gateway), folder(tmp_path / "cold"), tmp_path):
            yield bench


async def test_it_takes_a_class_and_does_not_keep_it_so_the_archive_copies(
    gateway: StoreSettings, tmp_path: Path
) -> None:
    hot, cold = await bucket(gateway), await bucket(gateway)
    named = ColdSettings(**{name: getattr(cold, name) for name in cold.model_fields_set})
    async with open_store(hot) as store:
        probe = await store.probe_tiers()
        assert (probe.classes, probe.restores) == (frozenset(), False)
        assert [facts.key async for facts in store.list("")] == [], "nothing of the probe stays"
        assert "conditional-replace" in store.capabilities
        found = await weighed(Settings(store=hot, cold=named), store, probe, None)
        assert (found.backend, found.cold) == ("copy", cold.base)
        alone = await weighed(Settings(store=hot), store, probe, None)
        assert alone.backend == "none"
        assert "[cold] names no place" in alone.said
        with pytest.raises(Rejected) as refused:
            await weighed(Settings(store=hot, archive=ArchiveSettings(tiering="storage-class")), store, probe, None)
        assert refused.value.rejection.code == "TIERING_UNSUPPORTED"
