"""Who is signed in: a signed cookie, a token against forged forms, and how often a token may be tried.

The key is drawn at start and never written: a restart signs everyone out, and so does another token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from chassis.errors import reject

COOKIE = "cohortstream_session"
VISIT = "cohortstream_visit"
LASTS_S = 12 * 3600.0
"""A shift; then the person signs in again."""
SHORTEST_TOKEN = 16
"""Characters. A person pastes it, a machine would guess it."""

WINDOW_S = 60.0
MOST_FAILURES = 5
"""From one address within the window."""
MOST_FAILURES_IN_ALL = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks. `name` is None for someone who has not signed in; `visit` is what forms are bound to."""

    name: str | None
    visit: str

    @property
    def signed_in(self) -> bool:
        return self.name is not None


class Sessions:
    """Cookies of people who knew the token. Without a token nobody can sign in."""

    def __init__(self, *, token: str | None, clock: Callable[[], float] = time.time) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise reject(
                code="CONFIG_VALUE",
                message=f"the token is shorter than {SHORTEST_TOKEN} characters",
                where="page.token_file",
                rule="whoever knows the token may act, so it must not be guessed",
                fix="write a fresh one, such as `openssl rand -hex 24` prints",
            )
        self._token = None if token is None else _digest(token)
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._ended: dict[str, float] = {}

    @property
    def open_to_sign_in(self) -> bool:
        return self._token is not None

    def knows(self, token: str) -> bool:
        """In constant time, whatever the lengths."""
        return self._token is not None and hmac.compare_digest(self._token, _digest(token))

    def begin(self, name: str) -> str:
        """A cookie for a person of that name."""
        until = self._clock() + LASTS_S
        said = json.dumps([name, until, secrets.token_urlsafe(18)]).encode()
        return f"{_text(said)}.{_text(self._sign(b'session', said))}"

    def viewer(self, cookie: str | None, visit: str | None) -> Viewer:
        """Who sent these cookies; a forged, old or ended session is nobody's."""
        found = self._read(cookie) if cookie else None
        if found is None:
            return Viewer(name=None, visit=visit or "")
        name, _, nonce = found
        return Viewer(name=name, visit=nonce)

    def end(self, cookie: str | None) -> None:
        """The cookie is worth nothing from now on, whoever kept a copy."""
        found = self._read(cookie) if cookie else None
        if found is not None:
            now = self._clock()
            self._ended = {nonce: until for nonce, until in self._ended.items() if until > now}
            self._ended[found[2]] = found[1]

    def form_token(self, viewer: Viewer) -> str:
        """What a form carries: bound to this visit, so that no other site can make it."""
        return _text(self._sign(b"form", viewer.visit.encode()))

    def is_own_form(self, viewer: Viewer, token: str) -> bool:
        return bool(viewer.visit) and hmac.compare_digest(self.form_token(viewer).encode(), token.encode())

    def _read(self, cookie: str) -> tuple[str, float, str] | None:
        said, _, signature = cookie.partition(".")
        try:
            raw, signed = _bytes(said), _bytes(signature)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(signed, self._sign(b"session", raw)):
            return None
        name, until, nonce = json.loads(raw)
        return None if until < self._clock() or nonce in self._ended else (name, until, nonce)

    def _sign(self, what: bytes, said: bytes) -> bytes:
        return hmac.digest(self._key, what + b"|" + said, "sha256")


class Attempts:
    """Wrong tokens lately, by address and in all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque()

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        now = self._clock()
        while self._failures and self._failures[0][0] <= now - WINDOW_S:
            self._failures.popleft()
        its = [when for when, who in self._failures if who == address]
        if len(its) >= MOST_FAILURES:
            return its[-MOST_FAILURES] + WINDOW_S - now
        if len(self._failures) >= MOST_FAILURES_IN_ALL:
            return self._failures[-MOST_FAILURES_IN_ALL][0] + WINDOW_S - now
        return 0.0

    def failed(self, address: str) -> None:
        self._failures.append((self._clock(), address))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
