"""The backends under test: a folder, and S3 as moto serves it, with versions and without."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from chassis.settings import StoreSettings
from chassis.storage.file import FileStore
from chassis.storage.open import open_client
from chassis.storage.s3 import S3Store
from chassis.storage.store import Store
from tests.chassis.storage.shim import Shim, shim_before

PART = 5 << 20
"""S3's least part size, which moto enforces."""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def settings_for(endpoint: str, bucket: str = "none") -> StoreSettings:
    return StoreSettings(
        base=f"s3://{bucket}/site", endpoint=endpoint, access_key=SecretStr("key"), secret_key=SecretStr("secret")
    )


@pytest.fixture(scope="session")
async def client(s3_endpoint: str) -> AsyncIterator[Any]:
    async with open_client(settings_for(s3_endpoint)) as opened:
        yield opened


async def new_bucket(client: Any, *, versions: bool) -> str:
    name = f"bucket-{secrets.token_hex(6)}"
    await client.create_bucket(Bucket=name)
    if versions:
        await client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def s3_store(client: Any, bucket: str, **options: Any) -> S3Store:
    """Not probed."""
    wanted = {"part_size": PART, "multipart_from": PART, "backoff_s": 0.001, "attempts": 4} | options
    return S3Store(client=client, bucket=bucket, prefix="site", **wanted)


@pytest.fixture(params=["file", "s3", "s3-versions"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, client: Any) -> AsyncIterator[Store]:
    if request.param == "file":
        folder = FileStore(root=tmp_path / "store")
        await folder.probe()
        yield folder
        return
    opened = s3_store(client, await new_bucket(client, versions=request.param == "s3-versions"))
    await opened.probe()
    yield opened


@pytest.fixture
async def bucket(client: Any) -> str:
    return await new_bucket(client, versions=False)


@pytest.fixture
async def shim(s3_endpoint: str) -> AsyncIterator[Shim]:
    async with shim_before(s3_endpoint) as between:
        yield between


@pytest.fixture
async def shaky(shim: Shim) -> AsyncIterator[Any]:
    """A client that reaches the store through the shim."""
    async with open_client(settings_for(shim.url)) as opened:
        yield opened
