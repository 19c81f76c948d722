"""Is an index that of this very file? Asked of the content: dates say nothing after a copy or a restore.

A valid index of another file of the same reference has the same contigs and much the same bins. What gives it away is
where it points: its offsets are no starts of blocks here, or no starts of records, or do not end where this file ends.
(Formats: the SAM specification, 4.1 BGZF and 5.2 binning; the tabix paper, doi:10.1093/bioinformatics/btq671; the CRAM
specification 3.0, sections 7 and 12.)
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from chassis.errors import Rejected, reject

MOST_PROBES = 256
"""Chunks whose first record is read, spread over the file: every file that differs early differs in each of them."""
LONGEST_LINE = 1 << 20
"""Bytes read for one record; a gVCF's has a few hundred."""

_PSEUDO_BIN = 37450
_LEAF_SHIFT, _LEVELS = 14, 5
_FEW_BLOCKS = 1 << 17
"""Bytes."""
_KEY = tuple[int, int, int, int]


class Chunk(NamedTuple):
    """Virtual offsets (address of a block << 16 | offset within it): `begin` of the first record, `end` behind the
    last."""

    contig: str
    bin: int
    begin: int
    end: int


class Block(NamedTuple):
    """Of a BGZF file: its text, and the address of the next one."""

    text: bytes | bytearray
    next: int


class Blocks(Protocol):
    """An open BGZF file's blocks by their addresses."""

    def fileno(self) -> int: ...

    @property
    def size(self) -> int:
        """Bytes of the file."""
        ...

    def block(self, address: int) -> Block | None:
        """The one that begins there; None where none does, or its bytes do not inflate."""
        ...


def require_tabix_of(path: Path, index: Path, *, blocks: Blocks | None = None) -> None:
    """The `.tbi` was made from this VCF (BGZF); `blocks` are the VCF's, where the caller has it open. Raises Rejected
    INDEX_STALE.

    Read once a process for each pair of files: an interval's task meets the same samples as the one before it.
    """
    try:
        if blocks is None:
            with path.open("rb") as file:
                said = _verdict(path, index, BlocksOfFile(file))
        else:
            said = _verdict(path, index, blocks)
    except OSError as error:
        raise stale(index, f"the index cannot be used ({type(error).__name__})") from error
    if said is not None:
        raise stale(index, said)


def unpacked(index: Path) -> bytes:
    """The text of an index that is packed by gzip. It is kept until that of another is asked for, since using an index
    follows upon checking it. Raises OSError, EOFError, zlib.error."""
    return _unpacked(index, _identity(index.stat()))


def require_crai_of(cram: Path, crai: Path) -> None:
    """The `.crai` names exactly this CRAM's containers. Raises Rejected INDEX_STALE."""
    try:
        named = {(int(one[3]), int(one[4]), int(one[5])) for one in _crai_lines(crai)}
        there = set(_slices(cram))
    except (OSError, EOFError, ValueError, IndexError, struct.error, zlib.error) as error:
        raise stale(crai, f"the index cannot be used ({type(error).__name__})") from error
    if named != there:
        raise stale(crai, "its slices lie where this CRAM has none, or leave some out")


def stale(index: Path, message: str) -> Rejected:
    """INDEX_STALE, naming the index."""
    return reject(
        code="INDEX_STALE",
        message=message,
        where=index.name,
        rule="the index is there and was made from this very file",
        fix="index the file again, and send both",
    )


def _identity(facts: os.stat_result) -> _KEY:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


_VERDICTS: dict[tuple[int | str, ...], str | None] = {}
"""What was said of a pair of files that were these bytes."""
_MOST_VERDICTS = 1 << 15


def _verdict(path: Path, index: Path, blocks: Blocks) -> str | None:
    key = (*_identity(os.fstat(blocks.fileno())), str(path), *_identity(index.stat()), str(index))
    if key in _VERDICTS:
        return _VERDICTS[key]
    said = _tabix_fault(index, blocks)
    while len(_VERDICTS) >= _MOST_VERDICTS:
        del _VERDICTS[next(iter(_VERDICTS))]
    _VERDICTS[key] = said
    return said


def _tabix_fault(index: Path, blocks: Blocks) -> str | None:
    """What is wrong, None for nothing."""
    try:
        names, chunks = _tabix(index)
    except (OSError, EOFError, ValueError, IndexError, struct.error, zlib.error) as error:
        return f"the index cannot be used ({type(error).__name__})"
    if not chunks:
        return None if _holds_no_record(blocks) else "the index knows no record, and the file has some"
    if not _ends_at(blocks, max(chunk.end for chunk in chunks)):
        return "the index ends elsewhere than the file does"
    for chunk in _spread(chunks):
        record = _line_at(blocks, chunk.begin)
        if record is None or not _fits(record, chunk, names):
            return f"no record of {chunk.contig} begins where the index says so"
    return None


def _tabix(index: Path) -> tuple[frozenset[str], list[Chunk]]:
    text = unpacked(index)
    magic, contigs, preset, *_, length = struct.unpack_from("<4siiiiiiii", text)
    if magic != b"TBI\x01" or preset & 0xFFFF != 2:
        raise ValueError("no tabix index of a VCF")
    names = [name.decode() for name in text[36 : 36 + length].split(b"\0")[:-1]]
    at = 36 + length
    chunks: list[Chunk] = []
    for number in range(contigs):
        (bins,) = struct.unpack_from("<i", text, at)
        at += 4
        for _ in range(bins):
            number_of_bin, count = struct.unpack_from("<Ii", text, at)
            at += 8
            if number_of_bin != _PSEUDO_BIN:
                offsets = struct.unpack_from(f"<{2 * count}Q", text, at)
                chunks += [
                    Chunk(names[number], number_of_bin, begin, end)
                    for begin, end in zip(offsets[::2], offsets[1::2], strict=True)
                ]
            at += 16 * count
        (windows,) = struct.unpack_from("<i", text, at)
        at += 4 + 8 * windows
    return frozenset(names), chunks


@lru_cache(maxsize=1)
def _unpacked(index: Path, _: _KEY) -> bytes:
    with index.open("rb", buffering=0) as stream:
        packed = stream.read()
    if len(packed) <= _FEW_BLOCKS:
        # all at once, which copies the rest of the file for each of its blocks
        text, rest = b"", packed
        try:
            while rest:
                one = zlib.decompressobj(wbits=31)
                text += one.decompress(rest)
                if not one.eof:
                    break
                rest = one.unused_data
            else:
                return text
        except zlib.error:
            pass
    return gzip.GzipFile(fileobj=io.BytesIO(packed)).read()


def _spread(chunks: list[Chunk]) -> Iterator[Chunk]:
    """The first chunk of each contig, and others at even distances."""
    met: set[str] = set()
    step = max(1, len(chunks) // MOST_PROBES)
    for number, chunk in enumerate(chunks):
        if chunk.contig not in met or number % step == 0:
            met.add(chunk.contig)
            yield chunk


def _fits(record: bytes, chunk: Chunk, names: frozenset[str]) -> bool:
    contig, _, rest = record.partition(b"\t")
    position, tab, _ = rest.partition(b"\t")
    if contig.decode("ascii", "replace") != chunk.contig or not tab or not position.isdigit():
        return False
    first, last = _span(chunk.bin)
    return first <= int(position) - 1 <= last


def _span(number: int) -> tuple[int, int]:
    """First and last base (0-based) of a bin."""
    level, first = 0, 0
    while level < _LEVELS and number >= first + (1 << 3 * level):
        first += 1 << 3 * level
        level += 1
    size = 1 << (_LEAF_SHIFT + 3 * (_LEVELS - level))
    return (number - first) * size, (number - first + 1) * size - 1


class BlocksOfFile:
    """Of an open file, each read and inflated when it is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def fileno(self) -> int:
        return self._file.fileno()

    def block(self, address: int) -> Block | None:
        self._file.seek(address)
        head = self._file.read(18)
        if len(head) < 18 or head[:4] != b"\x1f\x8b\x08\x04" or head[12:16] != b"BC\x02\x00":
            return None
        size = struct.unpack_from("<H", head, 16)[0] + 1
        body = self._file.read(size - 18)
        try:
            return Block(zlib.decompress(body[:-8], wbits=-15), address + size)
        except zlib.error:
            return None


def _ends_at(blocks: Blocks, offset: int) -> bool:
    """Nothing but empty blocks lies behind this virtual offset."""
    address, within = offset >> 16, offset & 0xFFFF
    if within:
        block = blocks.block(address)
        if block is None or within != len(block.text):
            return False
        address = block.next
    while address < blocks.size:
        block = blocks.block(address)
        if block is None or block.text:
            return False
        address = block.next
    return address == blocks.size


def _line_at(blocks: Blocks, offset: int) -> bytes | None:
    """The line that begins at a virtual offset; None where no line begins."""
    address, within = offset >> 16, offset & 0xFFFF
    block = blocks.block(address)
    if block is None or within > len(block.text) or (within and block.text[within - 1 : within] != b"\n"):
        return None
    end = block.text.find(b"\n", within)
    if end >= 0:
        return bytes(block.text[within:end])
    line = bytes(block.text[within:])
    while b"\n" not in line and len(line) < LONGEST_LINE:
        block = blocks.block(block.next)
        if block is None:
            break
        line += block.text
    return line.partition(b"\n")[0]


def _holds_no_record(blocks: Blocks) -> bool:
    address, rest = 0, b""
    while (block := blocks.block(address)) is not None:
        rest += block.text
        *lines, rest = rest.split(b"\n")
        if any(line and not line.startswith(b"#") for line in lines):
            return False
        address = block.next
    return not rest or rest.startswith(b"#")


def _crai_lines(crai: Path) -> list[list[bytes]]:
    with crai.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    text = gzip.decompress(crai.read_bytes()) if packed else crai.read_bytes()
    return [line.split(b"\t") for line in text.splitlines() if line]


def _slices(cram: Path) -> Iterator[tuple[int, int, int]]:
    """(address of the container, offset of the slice behind the container's header, bytes of the slice) of each."""
    size = cram.stat().st_size
    with cram.open("rb") as file:
        at = 26  # behind the file definition; the first container holds the header
        first = True
        while at < size:
            file.seek(at)
            head = file.read(1 << 16)
            reader = _Itf8(head, 4)
            (length,) = struct.unpack_from("<i", head)
            reader.skip(3)  # reference, start, span
            records = reader.next()
            reader.skip_long(2)  # record counter, bases
            reader.skip(1)  # blocks
            landmarks = [reader.next() for _ in range(reader.next())]
            begin = at + reader.at + 4  # behind the header's CRC32
            if not first and records:
                ends = (*landmarks[1:], length)
                yield from ((at, begins, end - begins) for begins, end in zip(landmarks, ends, strict=True))
            first = False
            at = begin + length


class _Itf8:
    """CRAM's integers of variable length (specification, 2.3)."""

    def __init__(self, text: bytes, at: int) -> None:
        self._text, self.at = text, at

    def next(self) -> int:
        first = self._text[self.at]
        if first < 0x80:
            more = 0
        elif first < 0xC0:
            more = 1
        elif first < 0xE0:
            more = 2
        elif first < 0xF0:
            more = 3
        else:
            more = 4
        body = self._text[self.at + 1 : self.at + 1 + more]
        self.at += 1 + more
        if more == 4:
            return (first & 0x0F) << 28 | body[0] << 20 | body[1] << 12 | body[2] << 4 | body[3] & 0x0F
        return int.from_bytes(bytes([first & (0xFF >> (more + 1))]) + body)

    def skip(self, count: int) -> None:
        for _ in range(count):
            self.next()

    def skip_long(self, count: int) -> None:
        """LTF8: as many further bytes as the first has leading ones."""
        for _ in range(count):
            first = self._text[self.at]
            more = 0
            while more < 8 and first & (0x80 >> more):
                more += 1
            self.at += 1 + more
