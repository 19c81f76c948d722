"""FASTQ records, every one of them checked (Cock et al. 2010, doi:10.1093/nar/gkp1137, four lines a record).

The checks run on whole blocks with operations that are loops in C; a block that fails is gone through record by record
to name the first that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.errors import Rejected, reject
from services.ingest.gzipread import GzipFile

BASES = b"ACGTNacgtn"
LOWEST_QUALITY, HIGHEST_QUALITY = 33, 93
"""Phred+33: '!' is 0. No Illumina base caller gives more than Q50; a Phred+64 file's Q30 and better lie above Q60."""
QUALITIES = bytes(range(LOWEST_QUALITY, HIGHEST_QUALITY + 1))
HEADER = bytes(range(32, 127)) + b"\t"
"""Bytes of a first line: its name goes into BAM and CRAM, which know printable ASCII alone."""
LONGEST_NAME = 254
"""Characters of a read's name (SAM specification, 1.4); aligners cut a longer one or fail on it."""
LONGEST_LINE = 1 << 20
"""Bytes: an Illumina read has 301 bases at most; a file without line ends must not fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive records. `first` counts records from 1; headers are whole lines, with their `@`."""

    first: int
    headers: Sequence[bytes]
    reads: Sequence[bytes]


@dataclass(slots=True, kw_only=True)
class FastqFile:
    """`where` names the file in errors, e.g. `R1 of lane 2`. `records` is right once `batches` has come to its end."""

    path: Path
    where: str
    records: int = 0
    sha256: str = ""
    size: int = 0

    def batches(self) -> Iterator[Batch]:
        """All records. Raises Rejected: what GzipFile.blocks raises, EMPTY_INPUT, FORMAT_MISMATCH, FASTQ_LENGTH,
        FASTQ_QUAL; `where` then names the record."""
        file = GzipFile(path=self.path, where=self.where)
        rest = b""
        for block in file.blocks():
            lines = (rest + block).split(b"\n")
            whole = (len(lines) - 1) // 4 * 4
            rest = b"\n".join(lines[whole:])
            if len(rest) > 4 * LONGEST_LINE:
                raise self._no_fastq(self.records + whole // 4 + 1, "a line is longer than any read")
            if whole:
                yield self._checked(lines[:whole])
        if rest:
            # the last line end may be missing
            lines = rest.removesuffix(b"\n").split(b"\n")
            if len(lines) != 4:
                raise self._incomplete()
            yield self._checked(lines)
        if self.records == 0:
            raise reject(
                code="EMPTY_INPUT",
                message="the file holds no read",
                where=self.where,
                rule="a FASTQ holds at least one read",
                fix="convert the lane again, or take the sample out of this lane's rows in the sheet",
            )
        self.sha256, self.size = file.sha256, file.size

    def _checked(self, lines: list[bytes]) -> Batch:
        headers, reads, qualities = lines[0::4], lines[1::4], lines[3::4]
        good = (
            {header[:1] for header in headers} == {b"@"}
            and not b"".join((*headers, *lines[2::4])).translate(None, HEADER)
            and _all_named(headers)
            and {line[:1] for line in lines[2::4]} == {b"+"}
            and list(map(len, reads)) == list(map(len, qualities))
            and min(map(len, reads)) > 0
            and not b"".join(reads).translate(None, BASES)
            and not b"".join(qualities).translate(None, QUALITIES)
        )
        if not good:
            raise self._fault(lines)
        batch = Batch(first=self.records + 1, headers=headers, reads=reads)
        self.records += len(headers)
        return batch

    def _fault(self, lines: list[bytes]) -> Rejected:
        for place in range(0, len(lines), 4):
            header, read, plus, quality = lines[place : place + 4]
            record = self.records + place // 4 + 1
            if header[:1] != b"@" or not _is_named(header):
                return self._no_fastq(record, f"its first line is not '@' and a name of at most {LONGEST_NAME}")
            if header.translate(None, HEADER) or plus.translate(None, HEADER):
                return self._no_fastq(record, "it holds other characters than printable ASCII")
            if plus[:1] != b"+":
                return self._no_fastq(record, "its third line does not begin with '+'")
            if len(read) != len(quality) or not read:
                return self._lengths(record, bases=len(read), qualities=len(quality))
            if read.translate(None, BASES):
                return self._no_fastq(record, "its sequence holds other characters than A, C, G, T and N")
            if quality.translate(None, QUALITIES):
                return self._quality(record)
        raise AssertionError("a batch was refused though each of its records is good")

    def _no_fastq(self, record: int, message: str) -> Rejected:
        return reject(
            code="FORMAT_MISMATCH",
            message=f"this is no FASTQ: {message}",
            where=f"{self.where}, record {record}",
            rule="four lines a record: '@' and a name, bases, '+', qualities; lines end with a line feed alone",
            fix="convert the lane again",
        )

    def _incomplete(self) -> Rejected:
        return reject(
            code="FASTQ_LENGTH",
            message="the file ends within a record",
            where=f"{self.where}, record {self.records + 1}",
            rule="each record has four lines, with as many qualities as bases",
            fix="convert the lane again: the file was cut before it was compressed",
        )

    def _lengths(self, record: int, *, bases: int, qualities: int) -> Rejected:
        return reject(
            code="FASTQ_LENGTH",
            message=f"{bases} bases and {qualities} qualities",
            where=f"{self.where}, record {record}",
            rule="a read has bases, and each base has one quality",
            fix="convert the lane again",
        )

    def _quality(self, record: int) -> Rejected:
        return reject(
            code="FASTQ_QUAL",
            message="a quality is out of range",
            where=f"{self.where}, record {record}",
            rule=f"qualities are Phred+33, from '!' (0) to '{chr(HIGHEST_QUALITY)}' ({HIGHEST_QUALITY - 33})",
            fix="convert the lane with a current converter; a Phred+64 file must be recoded",
        )


def _all_named(headers: Sequence[bytes]) -> bool:
    # nearly always the first line settles it, with loops in C
    plainly = max(map(len, headers)) <= LONGEST_NAME and {h[1:2] for h in headers}.isdisjoint((b"", b" ", b"\t", b"/"))
    return plainly or all(map(_is_named, headers))


def _is_named(header: bytes) -> bool:
    """Whether something is left as the read's name without comment and mate, and no more than SAM holds."""
    if not header[1:2].strip():
        return False
    name = header[1:].split(None, 1)[0]
    return 0 < len(name[:-2] if name.endswith((b"/1", b"/2")) else name) <= LONGEST_NAME
