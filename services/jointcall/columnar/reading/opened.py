"""A local gVCF that is open: its lines from any place on, and its blocks for whoever checks its index. What was
inflated for one is there for the other.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from chassis.tools.index_content import Block, BlocksOfFile
from chassis.tools.vcf import BGZF_EOF
from services.jointcall.columnar.reading.bgzf import MOST_OF_A_BLOCK, Known, Lines, block_in

_MOST_KNOWN = 32
"""Blocks of 64 kB: an index's check looks at some from all over the file."""


class OpenGvcf:
    """`lines` are the file's from its beginning. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._where = path.name
        self._file = path.open("rb", buffering=0)
        self._known: Known = {}
        self._latest: tuple[int, Block] | None = None
        self.size = os.fstat(self._file.fileno()).st_size
        self.lines = self._from(0)

    def __enter__(self) -> OpenGvcf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lines.leave()
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    @property
    def is_whole(self) -> bool:
        """It ends with BGZF's empty block."""
        begin = self.size - len(BGZF_EOF)
        return begin >= 0 and os.pread(self.fileno(), len(BGZF_EOF), begin) == BGZF_EOF

    def block(self, address: int) -> Block | None:
        """As `index_content.Blocks` has it."""
        if self._latest is not None and self._latest[0] == address:
            return self._latest[1]
        met = self.lines.block(address) or self._known.get(address)
        if met is not None:
            self._latest = address, met
            return met
        met = block_in(os.pread(self.fileno(), MOST_OF_A_BLOCK, address), address, where=self._where)
        if met is None:
            # a checksum that differs is for those to tell who read the block
            return BlocksOfFile(self._file).block(address)
        if met.text and len(self._known) < _MOST_KNOWN:
            self._known[address] = met
        return met

    def turn_to(self, offset: int) -> None:
        """`lines` go on from this virtual offset."""
        if not self.lines.turn_to(offset):
            self.lines.leave()
            self.lines = self._from(offset)

    def _from(self, offset: int) -> Lines:
        address = offset >> 16
        return Lines(
            _Place(self._file.fileno(), address),
            where=self._where,
            skip=offset & 0xFFFF,
            address=address,
            known=self._known,
        )


class _Place:
    """Bytes of a file from a place on, whoever else reads it."""

    def __init__(self, file: int, at: int) -> None:
        self._file, self._at = file, at

    def read(self, size: int, /) -> bytes:
        found = os.pread(self._file, size, self._at)
        self._at += len(found)
        return found
