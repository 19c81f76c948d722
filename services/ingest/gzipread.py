"""A gzip file read once: its content in blocks, its own SHA-256, and every way in which it can be broken.

Several members one after the other are one file (RFC 1952, 2.2), as `cat` and bgzip make them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from chassis.errors import Rejected, reject

READ_BYTES = 128 * 1024
"""Compressed bytes read at once. Deflate expands at most 1,032-fold: a block stays below 132 MiB."""
MAGIC = b"\x1f\x8b"
_WRAPPER_ERRORS = ("Error -4", "Error -5")
"""ISA-L: no gzip header, or a compression method that gzip does not have."""


@dataclass(slots=True, kw_only=True)
class GzipFile:
    """`where` names the file in errors without its name, as file names carry laboratory ids.

    `sha256` and `size` (of the compressed bytes) are right once `blocks` has come to its end.
    """

    path: Path
    where: str
    sha256: str = ""
    size: int = 0

    def blocks(self) -> Iterator[bytes]:
        """The decompressed content. Raises Rejected: EMPTY_INPUT, FORMAT_MISMATCH, GZIP_TRUNCATED, GZIP_CRC,
        GZIP_TRAILING."""
        from isal import isal_zlib

        broken = cast(type[Exception], isal_zlib.IsalError)
        digest, size, members = hashlib.sha256(), 0, 0
        member: Any = None
        held = b""
        with os.fdopen(open_regular(self.path, where=self.where), "rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
                size += len(chunk)
                left, held = held + chunk, b""
                while left:
                    if member is None:
                        if left == MAGIC[:1]:
                            held = left
                            break
                        if not left.startswith(MAGIC):
                            raise self._no_member(members)
                        member = isal_zlib.decompressobj(wbits=31)
                    try:
                        block: bytes = member.decompress(left)
                    except broken as error:
                        raise self._damaged(str(error)) from None
                    if block:
                        yield block
                    left = b""
                    if member.eof:
                        left, member, members = member.unused_data, None, members + 1
        if size == 0:
            raise reject(
                code="EMPTY_INPUT",
                message="the file is empty",
                where=self.where,
                rule="a FASTQ holds at least one read",
                fix="convert the lane again, or take the sample out of this lane's rows in the sheet",
            )
        if member is not None:
            raise self._truncated()
        if held:
            raise self._no_member(members)
        self.sha256, self.size = digest.hexdigest(), size

    def _no_member(self, members: int) -> Rejected:
        if members == 0:
            return reject(
                code="FORMAT_MISMATCH",
                message="the file is not gzip",
                where=self.where,
                rule="FASTQs are compressed with gzip or bgzip",
                fix="compress the file, or convert the lane again",
            )
        return reject(
            code="GZIP_TRAILING",
            message="bytes that are no gzip follow the compressed content",
            where=self.where,
            rule="after a gzip member comes another or the end of the file",
            fix="copy the file again from where it was made, and compare its size there",
        )

    def _damaged(self, said: str) -> Rejected:
        if said.startswith(_WRAPPER_ERRORS):
            return reject(
                code="FORMAT_MISMATCH",
                message="the gzip header is of no known kind",
                where=self.where,
                rule="FASTQs are compressed with gzip or bgzip (RFC 1952)",
                fix="compress the file anew, or convert the lane again",
            )
        return reject(
            code="GZIP_CRC",
            message="the compressed content is damaged: it cannot be expanded or its sum differs",
            where=self.where,
            rule="the content's CRC-32 is what the gzip trailer says",
            fix="copy the file again from where it was made; if it is damaged there, convert the lane again",
        )

    def _truncated(self) -> Rejected:
        return reject(
            code="GZIP_TRUNCATED",
            message="the file ends within its compressed content",
            where=self.where,
            rule="a gzip file ends with its trailer",
            fix="copy the file again; if it is short where it was made, convert the lane again",
        )


def open_regular(path: Path, *, where: str) -> int:
    """A descriptor of a regular file. A link or a pipe in its place is UNSAFE_PATH: the path was resolved before."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _no_regular(where) from None
        if error.errno != errno.ENOENT:
            raise
        raise reject(
            code="EMPTY_INPUT",
            message="the file is gone",
            where=where,
            rule="a run's files stay until the run is completed",
            fix="copy the file into the run folder again",
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_regular(where)
    return descriptor


def _no_regular(where: str) -> Rejected:
    return reject(
        code="UNSAFE_PATH",
        message="this is no regular file",
        where=where,
        rule="FASTQs are regular files inside the run root",
        fix="copy the file itself into the run folder",
    )
