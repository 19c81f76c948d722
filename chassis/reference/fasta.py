"""FASTA in, one normal form out, with the MD5 of each sequence and its runs of N, in one pass.

The normal form has upper-case sequences in lines of 60 bases and names alone in the headers, so that two files of the
same sequences become the same bytes. Soft masking (lower case) is dropped: no tool of ours reads it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from chassis.errors import Rejected, reject

LINE = 60
_ALLOWED = b"ACGTUNRYKMSWBDHV"
"""IUPAC nucleotide codes."""
_NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]{0,199}")
"""As the SAM specification (1.2.1) allows reference names."""
_N_RUN = re.compile(rb"N+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """`md5` as SAM's M5: of the upper-case sequence, without line ends. `n_runs`: 0-based, half-open, in order."""

    name: str
    length: int
    md5: str
    n_runs: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Open:
    name: str
    line: int
    md5: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    length: int = 0
    n_runs: list[tuple[int, int]] = field(default_factory=list)
    pending: bytearray = field(default_factory=bytearray)

    def take(self, bases: bytes, out: BinaryIO) -> None:
        self.md5.update(bases)
        for run in _N_RUN.finditer(bases):
            start, end = self.length + run.start(), self.length + run.end()
            if self.n_runs and self.n_runs[-1][1] == start:
                start = self.n_runs.pop()[0]
            self.n_runs.append((start, end))
        self.length += len(bases)
        self.pending += bases
        whole = len(self.pending) - len(self.pending) % LINE
        for at in range(0, whole, LINE):
            out.write(self.pending[at : at + LINE] + b"\n")
        del self.pending[:whole]

    def close(self, out: BinaryIO) -> Sequence:
        if self.pending:
            out.write(bytes(self.pending) + b"\n")
        return Sequence(name=self.name, length=self.length, md5=self.md5.hexdigest(), n_runs=tuple(self.n_runs))


def digest_of(sequences: tuple[Sequence, ...]) -> str:
    """The reference's digest: the MD5 of its sequences' MD5s (32 lower-case hex digits each), sorted and joined by
    newlines, none at the end. It says nothing of names, order, line width or case."""
    joined = "\n".join(sorted(sequence.md5 for sequence in sequences))
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()


def normalise(fasta: Path, out: Path) -> tuple[Sequence, ...]:
    """Write the normal form of `fasta` (plain or gzipped) to `out`. Raises Rejected: EMPTY_INPUT, FASTA_FORMAT with the
    line, GZIP_TRUNCATED, GZIP_CRC."""
    sequences: list[Sequence] = []
    names: set[str] = set()
    current: _Open | None = None
    with opened(fasta) as lines, out.open("wb") as target:
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if line.startswith(b">"):
                if current is not None:
                    sequences.append(_closed(fasta, current, target))
                current = _Open(_name(fasta, number, text, names), number)
                target.write(b">" + current.name.encode() + b"\n")
            elif text and current is None:
                raise _bad(fasta, number, "text stands before the first header", "a FASTA starts with a > line")
            elif text and current is not None:
                bases = text.upper()
                if bases.translate(None, _ALLOWED):
                    raise _bad(fasta, number, "a character that codes no nucleotide", "sequences hold IUPAC codes only")
                current.take(bases, target)
        if current is not None:
            sequences.append(_closed(fasta, current, target))
    if not sequences:
        raise reject(
            code="EMPTY_INPUT",
            message="the FASTA holds no sequence",
            where=str(fasta.name),
            rule="a reference has at least one sequence",
            fix="give the FASTA of the genome",
        )
    return tuple(sequences)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """A text file's lines, unpacked when it is gzipped (by content, not by name). Raises Rejected GZIP_TRUNCATED or
    GZIP_CRC where the compressed file is damaged."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            yield raw
            return
        try:
            with gzip.open(raw) as unpacked:
                yield unpacked
        except EOFError:
            raise _damaged(path, "GZIP_TRUNCATED", "the compressed file ends early") from None
        except (gzip.BadGzipFile, zlib.error):
            raise _damaged(path, "GZIP_CRC", "the compressed file is damaged") from None


def _closed(fasta: Path, sequence: _Open, out: BinaryIO) -> Sequence:
    if sequence.length == 0:
        raise _bad(fasta, sequence.line, "a header without a sequence", "each sequence has at least one base")
    return sequence.close(out)


def _name(fasta: Path, number: int, header: bytes, names: set[str]) -> str:
    words = header[1:].split(None, 1)
    try:
        name = words[0].decode("ascii") if words and not header[1:2].isspace() else ""
    except UnicodeDecodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise _bad(fasta, number, "the header has no usable name", "names are as SAM 1.2.1 allows, right after the >")
    if name in names:
        raise _bad(fasta, number, f"{name} comes twice", "each sequence has its own name")
    names.add(name)
    return name


def _bad(fasta: Path, number: int, message: str, rule: str) -> Rejected:
    return reject(
        code="FASTA_FORMAT",
        message=message,
        where=f"{fasta.name}, line {number}",
        rule=rule,
        fix="mend that line or give the published FASTA",
    )


def _damaged(path: Path, code: str, message: str) -> Rejected:
    return reject(code=code, message=message, where=path.name, rule="gzip files are whole", fix="fetch the file again")
