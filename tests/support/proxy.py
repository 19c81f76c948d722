"""A TCP proxy that a test can cut, silence, or let swallow one acknowledgement: the network between us and a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65_536


@dataclass(eq=False)
class Proxy:
    """Forwards `port` to a server on loopback."""

    target: int
    port: int = 0
    swallowed: asyncio.Event = field(default_factory=asyncio.Event)
    refused: int = 0
    """Connections turned away while cut."""
    _swallow: bytes | None = None
    _and_request: bool = False
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _refusing: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        self._refusing = True
        self._drop()

    def silence(self) -> None:
        """Keep connections and take new ones, and pass nothing on, either way."""
        self._open.clear()

    def mend(self) -> None:
        self._refusing = False
        self._open.set()

    def swallow(self, request: bytes, *, reply_only: bool) -> None:
        """Cut the connection at the next request that contains this: in its place, or in place of its reply, when the
        server has acted on it."""
        self.swallowed.clear()
        self._swallow = request
        self._and_request = not reply_only

    def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.refused += 1
            writer.transport.abort()
            return
        self._writers.add(writer)
        out: asyncio.StreamWriter | None = None
        try:
            back, out = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(out)
            ways = {
                asyncio.create_task(self._pass_on(reader, out, writer, requests=True)),
                asyncio.create_task(self._pass_on(back, writer, writer, requests=False)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        except OSError:
            pass
        finally:
            for end in (writer, out):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter, *, requests: bool
    ) -> None:
        while True:
            try:
                chunk = await source.read(CHUNK)
            except OSError:
                return
            if not chunk:
                return
            await self._open.wait()
            if requests and self._swallow is not None and self._swallow in chunk:
                self._swallow = None
                if self._and_request:
                    self.swallowed.set()
                    return
                client.swallowing = True  # type: ignore[attr-defined]
            if not requests and getattr(client, "swallowing", False):
                self.swallowed.set()
                return
            sink.write(chunk)


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(target=port)
    proxy.mend()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()


@asynccontextmanager
async def proxy_of(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the database of `dsn`, and the DSN that goes through it."""
    parts = urlsplit(dsn)
    assert parts.port is not None
    async with proxy_to(parts.port) as proxy:
        host = parts.netloc.rpartition(":")[0]
        yield proxy, urlunsplit(parts._replace(netloc=f"{host}:{proxy.port}"))
