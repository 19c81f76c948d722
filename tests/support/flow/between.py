"""The tests' own network between a plant and its servers, in a thread of its own so that a busy test slows nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from deploy.embedded.stack import Endpoints
from tests.chassis.storage.shim import Rule, Shim, shim_before
from tests.support.proxy import Proxy, proxy_of


class Between:
    """A TCP proxy before Postgres, an HTTP shim before the object store. Methods may be called from any thread."""

    def __init__(self) -> None:
        self.dsn = ""
        self.s3 = ""
        self._loop = asyncio.new_event_loop()
        self._database: Proxy | None = None
        self._shim: Shim | None = None
        self._leave = asyncio.Event()

    def database(self, act: Callable[[Proxy], None]) -> None:
        """`database(Proxy.cut)`, `database(Proxy.silence)`, `database(Proxy.mend)`."""
        assert self._database is not None
        self._call(act, self._database)

    @property
    def swallowed(self) -> bool:
        """Whether what the database's proxy was told to swallow has come."""
        assert self._database is not None
        return self._database.swallowed.is_set()

    def store(self, rule: Rule) -> None:
        """What the store does to each request from now on."""
        assert self._shim is not None
        self._shim.rule = rule

    def store_well(self) -> None:
        self.store(lambda request: None)

    def _call(self, act: Callable[..., Any], *arguments: Any) -> None:
        done = threading.Event()

        def run() -> None:
            act(*arguments)
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(10)

    async def _serve(self, endpoints: Endpoints, up: threading.Event) -> None:
        async with AsyncExitStack() as leaving:
            self._database, self.dsn = await leaving.enter_async_context(proxy_of(endpoints.postgres_dsn))
            if endpoints.s3_endpoint is not None:
                self._shim = await leaving.enter_async_context(shim_before(endpoints.s3_endpoint))
                self.s3 = self._shim.url
            up.set()
            await self._leave.wait()

    @contextmanager
    def running(self, endpoints: Endpoints) -> Iterator[Between]:
        up = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._serve(endpoints, up))

        thread = threading.Thread(target=run, name="between", daemon=True)
        thread.start()
        try:
            assert up.wait(20)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._leave.set)
            thread.join(10)
            self._loop.close()
