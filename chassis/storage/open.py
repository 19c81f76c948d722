"""Opening the store that the settings name. The only place that knows which backends there are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from chassis.errors import reject
from chassis.settings import StoreSettings
from chassis.storage.store import Store

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*?))?/?")
CONNECT_S = 10
READ_S = 60
"""Between two pieces of an answer; a deadline of the whole request stands above it."""
CONNECTIONS = 32


@asynccontextmanager
async def open_store(settings: StoreSettings, *, probe: bool = True) -> AsyncIterator[Store]:
    """The store, probed. Unprobed it is trusted with nothing: each write is read back. Raises Rejected CONFIG_VALUE for
    a base of another form, ACCESS_DENIED, BUCKET_MISSING; StoreUnavailable when it does not answer."""
    if settings.base.startswith("file:///") and len(settings.base) > len("file:///"):
        from chassis.storage.file import FileStore

        folder = FileStore(root=Path(unquote(settings.base.removeprefix("file://"))))
        if probe:
            await folder.probe()
        yield folder
        return
    named = _S3.fullmatch(settings.base)
    if named is None:
        raise reject(
            code="CONFIG_VALUE",
            message="store.base names no store",
            where="store.base",
            rule="s3://bucket, s3://bucket/prefix or file:///folder",
            fix="correct store.base",
        )
    from chassis.storage.s3 import S3Store

    async with open_client(settings) as client:
        store = S3Store(
            client=client,
            bucket=named["bucket"],
            prefix=named["prefix"] or "",
            patience_s=settings.patience_seconds,
        )
        if probe:
            await store.probe()
        yield store


@asynccontextmanager
async def open_client(settings: StoreSettings) -> AsyncIterator[Any]:
    """An S3 client whose retries are off (chassis.storage.s3_calls has the one retry strategy)."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": 1},
        signature_version="s3v4",
        # compatible stores often know no bucket as a host name, and not the trailing sums that newer clients add
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with get_session().create_client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        aws_access_key_id=settings.access_key.get_secret_value() if settings.access_key else None,
        aws_secret_access_key=settings.secret(),
        config=config,
    ) as client:
        yield client
