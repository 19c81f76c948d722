"""Text into BGZF, block by block, with libdeflate at a stated level."""

from __future__ import annotations

import struct
from pathlib import Path

BLOCK_BYTES = 65_280  # of text, as htslib's bgzip has it
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEAD = bytes.fromhex("1f8b08040000000000ff060042430200")


def write_bgzf(path: Path, text: memoryview, *, level: int) -> int:
    """The file's size in bytes."""
    packer = Packer(path, level=level)
    for begin in range(0, len(text), BLOCK_BYTES):
        packer.pack(text[begin : begin + BLOCK_BYTES])
    return packer.close()


class Packer:
    """A file that is written as text comes."""

    def __init__(self, path: Path, *, level: int) -> None:
        self._out, self._level, self._waiting = path.open("wb"), level, bytearray()
        self.text_bytes, self.file_bytes = 0, 0

    def add(self, text: bytes) -> None:
        self._waiting += text
        if len(self._waiting) >= 16 * BLOCK_BYTES:
            self._flush(whole=True)

    def pack(self, block: bytes | memoryview) -> None:
        """One block of at most BLOCK_BYTES."""
        import deflate

        packed = deflate.deflate_compress(block, self._level)
        self._write(_HEAD + struct.pack("<H", len(packed) + 25))
        self._write(packed)
        self._write(struct.pack("<II", deflate.crc32(block), len(block)))
        self.text_bytes += len(block)

    def close(self) -> int:
        """The file's size in bytes."""
        self._flush(whole=False)
        self._write(END)
        self._out.close()
        return self.file_bytes

    def _flush(self, *, whole: bool) -> None:
        text, self._waiting = memoryview(bytes(self._waiting)), bytearray()
        end = len(text) // BLOCK_BYTES * BLOCK_BYTES if whole else len(text)
        for begin in range(0, end, BLOCK_BYTES):
            self.pack(text[begin : min(begin + BLOCK_BYTES, end)])
        self._waiting += text[end:]

    def _write(self, part: bytes | bytearray) -> None:
        self._out.write(part)
        self.file_bytes += len(part)
