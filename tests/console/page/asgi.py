"""A browser's least: requests to an ASGI app in this process, cookies kept, redirects left to the test."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a person reads, without the markup."""
        visible = re.sub(r"<(script|style)\b.*?</\1>", " ", self.text, flags=re.S)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", visible)).split())

    def token(self, action: str) -> str:
        """The hidden form_token of the form with this action."""
        form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', self.text, re.S)
        assert form is not None, f"no form for {action}"
        found = re.search(r'name="form_token" value="([^"]+)"', form[0])
        assert found is not None
        return found[1]


@dataclass
class Browser:
    app: Any
    host: str = "127.0.0.1:8080"
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._send("GET", path, b"", headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        body = urlencode(fields).encode()
        more = {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
        return await self._send("POST", path, body, {**more, **headers})

    async def sign_in(self, name: str, token: str) -> Answer:
        page = await self.get("/sign-in?back=/samples")
        fields = {"name": name, "token": token, "back": "/samples", "form_token": page.token("/sign-in")}
        return await self.post("/sign-in", fields)

    async def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        said = {"host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookies:
            said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        parts = urlsplit(path)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 8080),
        }
        sent: list[dict[str, Any]] = []
        told = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            return next(told, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        lines = [(name.decode(), value.decode()) for name, value in start["headers"]]
        cookies = tuple(value for name, value in lines if name == "set-cookie")
        for line in cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        whole = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(status=start["status"], headers=dict(lines), body=whole, cookies=cookies)
