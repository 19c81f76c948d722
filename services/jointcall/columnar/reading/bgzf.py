"""BGZF block by block (SAM specification, 4.1): lines of text in a buffer, never more than a few MB of them.

The stream is anything with `read`: a local file, a socket, an object in a store that is read as it comes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from deflate import DeflateError, crc32, deflate_decompress

from chassis.errors import Rejected, reject
from chassis.tools.index_content import Block
from services.jointcall.columnar.tables import Bytes

CHUNK = 1 << 18
"""Bytes of text that are parsed at once: they and their columns stay in a core's cache and the one behind it."""
LONGEST_LINE = 1 << 24
"""Bytes: one record of a gVCF has hundreds, with long alleles thousands."""
PAST = 64
"""Bytes of room behind the text: a compiled comparison may look a few bytes past the last line."""
_READ = 1 << 16
_MAGIC = b"\x1f\x8b\x08\x04"
_NO_BLOCK = 0
MOST_OF_A_BLOCK = 1 << 16
"""Bytes, packed or not."""
_NEWLINE = 10


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


Known = dict[int, Block]
"""Blocks that were inflated already, by their address; each is taken out where it is read."""

_SPARE: list[bytearray] = []
"""Buffers of files that were read: a page of memory that is touched for the first time costs as much as the text on
it."""
_MOST_SPARE = 2


class Lines:
    """`text[at:stop]` are whole lines, each with its end, that were not yet used; whoever uses them moves `at`.

    `where`: the file's name. `skip`: bytes of text to leave out at the beginning (the second half of a virtual offset).
    `address`: where in the file the source stands. `known`: blocks that need not be inflated again.
    """

    def __init__(
        self, source: Source, *, where: str, skip: int = 0, address: int = 0, known: Known | None = None
    ) -> None:
        self._blocks = _blocks(source, where, address, {} if known is None else known)
        self._where = where
        self._skip = skip
        try:
            self._held = _SPARE.pop()
        except IndexError:
            self._held = bytearray(CHUNK + MOST_OF_A_BLOCK + PAST)
        self.text: Bytes = np.frombuffer(self._held, np.uint8)
        self.at = self.stop = self._filled = 0
        # of the buffer's blocks, by address: where each begins and ends in it, and the address behind it
        self._places: dict[int, tuple[int, int, int]] = {}

    def leave(self) -> None:
        """The next file may have the buffer. No line may be asked for any more."""
        if len(_SPARE) < _MOST_SPARE and len(self._held) == CHUNK + MOST_OF_A_BLOCK + PAST:
            _SPARE.append(self._held)
        self.at = self.stop = self._filled = 0
        self._held = bytearray()
        self._places = {}
        self._blocks = iter(())

    def block(self, address: int) -> Block | None:
        """The block at this address, if the buffer still has it whole."""
        place = self._places.get(address)
        return None if place is None else Block(bytes(memoryview(self._held)[place[0] : place[1]]), place[2])

    def turn_to(self, offset: int) -> bool:
        """To the line that begins at this virtual offset. False, and nothing done, where the buffer has it not."""
        place = self._places.get(offset >> 16)
        if place is None:
            return False
        begin = place[0] + (offset & 0xFFFF)
        if begin > min(place[1], self.stop):
            return False
        self.at = begin
        return True

    def between(self, begin: int, end: int) -> bytes:
        """`text[begin:end]`."""
        return bytes(memoryview(self._held)[begin:end])

    def find(self, what: bytes, begin: int = 0) -> int:
        """Where that stands in the whole lines of the buffer, from `begin` on; -1 where it does not."""
        return self._held.find(what, begin, self.stop)

    def fill(self) -> bool:
        """Reads on once all lines are used; False when there are no more.

        Raises Rejected: FORMAT_MISMATCH, GZIP_TRUNCATED, GZIP_CRC, GZIP_TRAILING.
        """
        if self.at < self.stop:
            return True
        rest = self._held[self.stop : self._filled]
        self._held[: len(rest)] = rest
        self.at, self.stop, self._filled = 0, 0, len(rest)
        self._places = {}
        searched = 0
        for address, block in self._blocks:
            begin = self._filled
            if not self._skip:
                self._places[address] = begin, begin + len(block.text), block.next
            self._append(block.text)
            if self._filled >= CHUNK:
                self.stop = self._held.rfind(b"\n", searched, self._filled) + 1
                if self.stop:
                    return True
                searched = self._filled
        self.stop = self._held.rfind(b"\n", searched, self._filled) + 1
        if self.stop < self._filled:
            self._append(b"\n")
            self.stop = self._filled
        return self.at < self.stop

    def line(self) -> bytes:
        """The line at `at`, without its end."""
        return bytes(self._held[self.at : self._held.index(_NEWLINE, self.at)])

    def each(self) -> Iterator[bytes]:
        """Each line in turn; the one that was given last is not used until the next is asked for."""
        while self.fill():
            line = self.line()
            yield line
            self.at += len(line) + 1

    def _append(self, block: bytes | bytearray) -> None:
        if self._skip:
            block, self._skip = block[self._skip :], max(0, self._skip - len(block))
        end = self._filled + len(block)
        if end > LONGEST_LINE:
            raise reject(
                code="FORMAT_MISMATCH",
                message=f"a line has more than {LONGEST_LINE} bytes",
                where=self._where,
                rule="a record stands on one line",
                fix="write the file again as text in BGZF",
            )
        if end + PAST > len(self._held):
            grown = bytearray(2 * end + PAST)
            grown[: self._filled] = self._held[: self._filled]
            self._held = grown
            self.text = np.frombuffer(grown, np.uint8)
        self._held[self._filled : end] = block
        self._filled = end


def _blocks(source: Source, where: str, address: int, known: Known) -> Iterator[tuple[int, Block]]:
    """(address, block) of each that has text. Ends behind the empty block that ends the file."""
    raw, at, ended, first = b"", 0, False, True
    while True:
        size = _size_of_block(raw, at)
        if size == _NO_BLOCK:
            raise _not_a_block(where, first=first, ended=ended)
        if size is None or len(raw) - at < size:
            more = source.read(_READ)
            if more:
                raw, at = raw[at:] + more, 0
                continue
            if at < len(raw) or not ended:
                raise _truncated(
                    where, "the file ends within a block" if at < len(raw) else "the file has no end block"
                )
            return
        met = known.pop(address, None)
        text = met.text if met is not None and met.next == address + size else _inflated(raw, at, size, where)
        at += size
        first, ended = False, not text
        here, address = address, address + size
        if text:
            yield here, Block(text, address)


def block_in(raw: bytes, address: int, *, where: str) -> Block | None:
    """The block whose bytes `raw` begins with; None where they are not all there, or damaged."""
    size = _size_of_block(raw, 0)
    if size is None or size == _NO_BLOCK or len(raw) < size:
        return None
    try:
        return Block(_inflated(raw, 0, size, where), address + size)
    except Rejected:
        return None


def _size_of_block(raw: bytes, at: int) -> int | None:
    """Bytes of the block at `at`; None when more must be read to tell, _NO_BLOCK where none begins."""
    if not _MAGIC.startswith(raw[at : at + len(_MAGIC)]):
        return _NO_BLOCK
    if len(raw) - at < 12:
        return None
    (extra,) = struct.unpack_from("<H", raw, at + 10)
    field, end = at + 12, at + 12 + extra
    if len(raw) < end:
        return None
    while field + 6 <= end:
        tag, length, value = struct.unpack_from("<2sHH", raw, field)
        if tag == b"BC" and length == 2:
            size = int(value) + 1
            return size if size >= 20 + extra else _NO_BLOCK
        field += 4 + length
    return _NO_BLOCK


def _inflated(raw: bytes, at: int, size: int, where: str) -> bytearray:
    checksum, length = struct.unpack_from("<II", raw, at + size - 8)
    (extra,) = struct.unpack_from("<H", raw, at + 10)
    if length > MOST_OF_A_BLOCK:
        raise _damaged(where, "a block is longer than a block may be")
    try:
        text: bytearray = deflate_decompress(memoryview(raw)[at + 12 + extra : at + size - 8], length)
    except DeflateError as error:
        raise _damaged(where, str(error)) from error
    if len(text) != length or crc32(text) != checksum:
        raise _damaged(where, "a block's checksum differs")
    return text


def _not_a_block(where: str, *, first: bool, ended: bool) -> Rejected:
    if ended:
        return reject(
            code="GZIP_TRAILING",
            message="bytes follow the end block",
            where=where,
            rule="a BGZF file ends with its empty block",
            fix="copy or write the gVCF again",
        )
    if first:
        return reject(
            code="FORMAT_MISMATCH",
            message="the file is not BGZF",
            where=where,
            rule="a gVCF is compressed with bgzip",
            fix="compress it with bgzip",
        )
    return _damaged(where, "no block begins where the one before ends")


def _damaged(where: str, said: str) -> Rejected:
    return reject(
        code="GZIP_CRC",
        message=f"cannot be decompressed: {said}",
        where=where,
        rule="a VCF is BGZF-compressed and undamaged",
        fix="write or copy the file again",
    )


def _truncated(where: str, said: str) -> Rejected:
    return reject(
        code="GZIP_TRUNCATED",
        message=said,
        where=where,
        rule="a BGZF file ends with its empty block",
        fix="copy or write the gVCF again",
    )
