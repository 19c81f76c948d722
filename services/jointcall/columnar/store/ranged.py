"""An object of a store as a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any


class Ranged(io.RawIOBase):
    """`size` bytes, of which `read` gives those from a first one on, so many: each read is a request."""

    def __init__(self, *, read: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._read = read
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        content = self._read(self._at, wanted)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
