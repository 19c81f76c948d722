"""A broker behind a network that a test can cut or silence, while the test itself reaches it another way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.embedded import stack as embedded
from deploy.embedded.kafka import KafkaBroker
from deploy.embedded.process import LOOPBACK, HeldPort
from tests.support.proxy import Proxy, proxy_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """`via` goes through `proxy`, as every address does that the broker tells a client who came that way; `direct` does
    not."""

    proxy: Proxy
    via: str
    direct: str


@asynccontextmanager
async def broker_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Behind]:
    behind = HeldPort()
    async with proxy_to(behind.number) as proxy:

        class Advertised(KafkaBroker):
            """Has one more listener, which tells its clients the proxy's address."""

            def _render(self) -> str:
                more = {
                    "listener.security.protocol.map": ",VIA:PLAINTEXT",
                    "listeners": f",VIA://{LOOPBACK}:{behind.number}",
                    "advertised.listeners": f",VIA://{LOOPBACK}:{proxy.port}",
                }
                lines = (line.partition("=") for line in super()._render().splitlines())
                return "".join(f"{name}={value}{more.get(name, '')}\n" for name, _, value in lines)

        monkeypatch.setattr(embedded, "KafkaBroker", Advertised)
        servers = embedded.EmbeddedStack(durable=False)
        try:
            endpoints = await asyncio.to_thread(servers.start, folder, object_store=False)
            yield Behind(proxy=proxy, via=f"{LOOPBACK}:{proxy.port}", direct=endpoints.kafka_bootstrap)
        finally:
            await asyncio.to_thread(servers.stop)
            behind.release()
