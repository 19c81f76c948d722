"""Numbers that look random and are not: functions of what they are drawn for, equal on every machine."""

from __future__ import annotations

import hashlib

SEED = b"cohortstream"
VERSION = "1"
"""Of all seeded engines: raise it when what they draw changes."""


def number(*of: object) -> int:
    """64 bits."""
    text = "\x1f".join(str(one) for one in of).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=SEED).digest(), "big")


def share(*of: object) -> float:
    """In [0, 1)."""
    return number(*of) / 2**64


def parameters(name: str) -> str:
    """What stands in a seeded engine's provenance."""
    return hashlib.sha256(f"{name} {VERSION} {SEED.decode()}".encode()).hexdigest()
