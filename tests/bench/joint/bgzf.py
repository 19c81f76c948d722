"""Text into BGZF, block by block, with libdeflate at a stated level."""

from __future__ import annotations

import struct
from pathlib import Path

BLOCK_BYTES = 65_280  # of text, as htslib's bgzip has it
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEAD = bytes.fromhex("1f8b08040000000000ff060042430200")


def write_bgzf(path: Path, text: memoryview, *, level: int) -> int:
    """The file's size in bytes."""
    import deflate

    size = 0
    with path.open("wb") as out:
        for begin in range(0, len(text), BLOCK_BYTES):
            part = text[begin : begin + BLOCK_BYTES]
            packed = deflate.deflate_compress(part, level)
            size += out.write(_HEAD + struct.pack("<H", len(packed) + 25))
            size += out.write(packed)
            size += out.write(struct.pack("<II", deflate.crc32(part), len(part)))
        size += out.write(END)
    return size
