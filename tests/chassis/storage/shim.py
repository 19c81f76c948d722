"""An HTTP proxy on loopback that does to S3 requests what networks and busy stores do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto

import aiohttp
from aiohttp import web
from yarl import URL


class Fault(Enum):
    busy = auto()
    """Answer 503, do nothing."""
    internal = auto()
    """Answer 500, do nothing."""
    denied = auto()
    """Answer 403 AccessDenied."""
    lost = auto()
    """Do it, then close the connection without an answer."""
    silent = auto()
    """Accept the request and never answer."""
    cut = auto()
    """Promise the whole body, send half of it, close the connection."""
    flipped = auto()
    """Store other bytes than were sent."""
    short = auto()
    """Store half of what was sent."""
    expired = auto()
    """An archived object whose restored copy is gone: a read is refused, HEAD says nothing of a restore."""
    pending = auto()
    """An archived object whose restore is under way: a read is refused, HEAD says so."""


Rule = Callable[[web.Request], "Fault | None"]
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>no</Message></Error>"


def _sum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


class Shim:
    """`rule` is asked for each request; `seen` holds (method, query names, Range) of each, `paths` (method, path,
    Range)."""

    def __init__(self, *, target: str) -> None:
        self._target = target
        self.url = ""
        self.rule: Rule = lambda request: None
        self.checks_sums = False
        """Refuse a body that is not what its SHA-256 header says, and answer with the sum, as AWS does and moto not."""
        self._parts: dict[str, dict[int, bytes]] = {}
        self.seen: list[tuple[str, frozenset[str], str | None]] = []
        self.paths: list[tuple[str, str, str | None]] = []
        self._over = asyncio.Event()

    def first(self, times: int, fault: Fault, *, method: str, query: str | None = None) -> None:
        """The first `times` requests of that method (with `query` among its parameters) meet the fault."""
        left = times

        def rule(request: web.Request) -> Fault | None:
            nonlocal left
            if left and request.method == method and (query is None or query in request.query):
                left -= 1
                return fault
            return None

        self.rule = rule

    def count(self, method: str, query: str | None = None) -> int:
        return sum(1 for seen in self.seen if seen[0] == method and (query is None or query in seen[1]))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request.method, frozenset(request.query), request.headers.get("Range")))
        self.paths.append((request.method, request.path, request.headers.get("Range")))
        fault = self.rule(request)
        match fault:
            case Fault.busy:
                return web.Response(status=503, text=_ERROR.format("SlowDown"))
            case Fault.internal:
                return web.Response(status=500, text=_ERROR.format("InternalError"))
            case Fault.denied:
                return web.Response(status=403, text=_ERROR.format("AccessDenied"))
            case Fault.silent:
                await self._over.wait()
                return web.Response(status=500)
            case Fault.flipped:
                body = bytes([body[0] ^ 1]) + body[1:]
            case Fault.short:
                body = body[: len(body) // 2]
        promised = request.headers.get("x-amz-checksum-sha256")
        if self.checks_sums and promised and promised != _sum(body):
            return web.Response(status=400, text=_ERROR.format("BadDigest"))
        if fault in (Fault.expired, Fault.pending) and request.method == "GET":
            return web.Response(status=403, text=_ERROR.format("InvalidObjectState"))
        status, headers, content = await self._forward(request, body)
        if fault in (Fault.expired, Fault.pending):
            headers.popall("x-amz-restore", None)
        if fault is Fault.pending:
            headers["x-amz-restore"] = 'ongoing-request="true"'
        if self.checks_sums and status == 200:
            content = self._with_sum(request, body, headers, content)
        if fault is Fault.lost:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        if fault is Fault.cut:
            answer = web.StreamResponse(status=status, headers=headers)
            answer.content_length = len(content)
            await answer.prepare(request)
            await answer.write(content[: len(content) // 2])
            assert request.transport is not None
            # what was written is flushed, then the connection ends
            request.transport.close()
            return answer
        if request.method == "HEAD":
            answer = web.StreamResponse(status=status, headers=headers)
            await answer.prepare(request)
            return answer
        headers.popall("Content-Length", None)
        return web.Response(status=status, headers=headers, body=content)

    def _with_sum(self, request: web.Request, body: bytes, headers, content: bytes) -> bytes:  # type: ignore[no-untyped-def]
        upload = request.query.get("uploadId", "")
        if request.method == "PUT" and "x-amz-checksum-sha256" in request.headers:
            headers["x-amz-checksum-sha256"] = _sum(body)
            number = int(request.query.get("partNumber", 0))
            self._parts.setdefault(upload, {})[number] = hashlib.sha256(body).digest()
        if request.method == "POST" and upload:
            parts = [digest for _, digest in sorted(self._parts[upload].items())]
            whole = f"<ChecksumSHA256>{_sum(b''.join(parts))}-{len(parts)}</ChecksumSHA256>"
            return content.replace(
                b"</CompleteMultipartUploadResult>", whole.encode() + b"</CompleteMultipartUploadResult>"
            )
        return content

    async def _forward(self, request: web.Request, body: bytes):  # type: ignore[no-untyped-def]
        url = URL(self._target + request.raw_path, encoded=True)
        sent = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length", "expect")}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, url, headers=sent, data=io.BytesIO(body) if body else None) as answer,
        ):
            content = await answer.read()
            headers = answer.headers.copy()
            for name in ("Transfer-Encoding", "Connection", "Server", "Date"):
                headers.popall(name, None)
            return answer.status, headers, content

    def end(self) -> None:
        self._over.set()


@asynccontextmanager
async def shim_before(target: str) -> AsyncIterator[Shim]:
    shim = Shim(target=target)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{tail:.*}", shim.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    shim.url = f"http://127.0.0.1:{port}"
    try:
        yield shim
    finally:
        shim.end()
        await runner.cleanup()
