"""BGZF out: blocks of at most 65,280 bytes, compressed by libdeflate."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from chassis.tools.vcf import BGZF_EOF

BLOCK = 65_280
LEVEL = 6
_HEAD = struct.Struct("<4BI2BH2BHH")
_TAIL = struct.Struct("<2I")


class BgzfWriter:
    """Writes to `path`; leaving the `with` by an exception removes the file. `level` 1 to 12."""

    def __init__(self, path: Path, *, level: int = LEVEL) -> None:
        self._path, self._level = path, level
        self._waiting: list[bytes] = []
        self._size = 0
        self._out: BinaryIO = path.open("wb")

    def __enter__(self) -> BgzfWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._out.close()
            self._path.unlink(missing_ok=True)
            return
        self._flush(everything=True)
        self._out.write(BGZF_EOF)
        self._out.close()

    def write(self, text: bytes) -> None:
        self._waiting.append(text)
        self._size += len(text)
        if self._size >= 16 * BLOCK:
            self._flush(everything=False)

    def _flush(self, *, everything: bool) -> None:
        text = b"".join(self._waiting)
        stop = len(text) if everything else len(text) // BLOCK * BLOCK
        for begin in range(0, stop, BLOCK):
            self._out.write(compressed(text[begin : min(begin + BLOCK, stop)], level=self._level))
        self._waiting = [text[stop:]]
        self._size = len(text) - stop


def compressed(text: bytes, *, level: int) -> bytes:
    """One BGZF block of up to BLOCK bytes (SAM specification, 4.1)."""
    import deflate

    body = bytes(deflate.deflate_compress(text, level))
    if len(body) > 65_535 - _HEAD.size - _TAIL.size:
        stored = zlib.compressobj(0, zlib.DEFLATED, -15)
        body = stored.compress(text) + stored.flush()
    size = _HEAD.size + len(body) + _TAIL.size - 1
    return _HEAD.pack(31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, size) + body + _TAIL.pack(zlib.crc32(text), len(text))
