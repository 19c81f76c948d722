"""SHA-256 of what streams by: files are never in memory whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20
"""Bytes read at a time: large enough that hashing, not calling, takes the time."""


def blocks(source: BinaryIO, size: int = BLOCK) -> Iterator[bytes]:
    while block := source.read(size):
        yield block


def sum_of(path: Path) -> tuple[str, int]:
    """(SHA-256 as hex, size in bytes) of a file, by reading it."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as source:
        for block in blocks(source):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
