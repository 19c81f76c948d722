"""What holds for every request and answer, whatever the page: which hosts, which forms, which headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 64 * 1024
"""Bytes of a form: a reason has 500 characters."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SAFE = ("GET", "HEAD")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # with no-referrer a browser would send our own forms without their origin
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Refuses requests for other hosts (a name that an attacker points here), forms of other sites and large bodies."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in (*LOOPBACK, *hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                added = HEADERS if b"cache-control" in there else {**HEADERS, "cache-control": "no-store"}
                more = [(name.encode(), value.encode()) for name, value in added.items() if name.encode() not in there]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            return await _plain(guarded, *refused)
        await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return 421, "This page does not answer under that host name; name it in [page] hosts."
        if scope["method"] in SAFE:
            return None
        if scope["method"] != "POST":
            return 405, "GET and POST are understood."
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "same-origin") != "same-origin" or (
            origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        ):
            return 403, "The form came from another site."
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411, "A form says how long it is."
        return (413, "The form is too large.") if int(length) > MOST_BODY else None


def _name(host: str) -> str:
    """The host without its port; an IPv6 address without its brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _plain(send: Send, status: int, words: str) -> None:
    body = f"{words}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
