"""HTTP probes: `GET /live` and `GET /ready` answer 200 or 503, and say why in JSON. `GET /metrics` is for Prometheus.

Our own few lines of HTTP/1.0: a probe is one GET without a body, and a web framework would make every worker, of which
there are many, larger and slower to start.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from chassis.health.pulse import Vitals

REQUEST_BYTES = 4096
"""Of request line and headers; a probe sends a few hundred."""
PATIENCE_S = 5.0
"""For a client to send its request and take its answer."""
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


Page = Callable[[], tuple[str, bytes]]
"""Content type and text of the metrics, as `Scrape.page`."""


@asynccontextmanager
async def serving(
    vitals: Callable[[], Vitals], *, bind: str, port: int, metrics: Page | None = None
) -> AsyncIterator[str]:
    """Answer probes until left. Yields the address; port 0 takes a free one. Raises OSError when it cannot be had."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                writer.write(_answer(await _request_line(reader), vitals, metrics))
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, bind, port, limit=REQUEST_BYTES)
    try:
        host, taken = server.sockets[0].getsockname()[:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{taken}"
    finally:
        server.close()


async def _request_line(reader: asyncio.StreamReader) -> bytes:
    """The first line, once the headers have ended; nothing when they are no request or do not end in time."""
    try:
        return (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""


def _answer(request: bytes, vitals: Callable[[], Vitals], metrics: Page | None) -> bytes:
    words = request.split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):
        return _response(400, {"error": "no HTTP request"})
    method, target, _ = words
    if method not in (b"GET", b"HEAD"):
        return _response(405, {"error": "GET it"})
    path = target.partition(b"?")[0]
    if path == b"/metrics" and metrics is not None:
        kind, page = metrics()
        return _whole(200, kind, page, head=method == b"HEAD")
    if path not in (b"/live", b"/ready"):
        return _response(404, {"error": "there are /live, /ready and /metrics"})
    found = vitals()
    well = found.live if path == b"/live" else found.ready
    return _response(200 if well else 503, found.as_dict(), head=method == b"HEAD")


def _response(status: int, document: object, *, head: bool = False) -> bytes:
    return _whole(status, "application/json", json.dumps(document).encode() + b"\n", head=head)


def _whole(status: int, kind: str, body: bytes, *, head: bool) -> bytes:
    lines = (
        f"HTTP/1.0 {status} {REASONS[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else body)
