"""VCF as text in BGZF: what several services do to whole files, without touching the bytes of a record.

A parser would print floats and missing fields in its own way; here a record is the line that the caller wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from chassis.errors import ToolFailed, reject

BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every BGZF file (SAM specification, 4.1.2): without it the file was cut."""

OF_A_RUN = (b"##GATKCommandLine", b"##GVCFBlock", b"##bcftools_")
"""Header lines that tell of one run (command lines with folders and dates, banding of the inputs), not of the
content."""

MOST_OF_A_KEY = 40
"""Characters of a key that an error repeats."""
_ID = re.compile(rb"[<,]ID=([^,>]+)")
_LENGTH = re.compile(r"[0-9]{1,10}")


class Sink(Protocol):
    def write(self, text: bytes) -> object: ...


def is_whole(path: Path) -> bool:
    """True when the file ends with BGZF's empty block."""
    with path.open("rb") as stream:
        if stream.seek(0, 2) < len(BGZF_EOF):
            return False
        stream.seek(-len(BGZF_EOF), 2)
        return stream.read() == BGZF_EOF


def index_of(path: Path) -> Path:
    """Where the tabix index of a VCF stands: beside it, with `.tbi` behind the name."""
    return path.with_name(path.name + ".tbi")


def lines(path: Path) -> Iterator[bytes]:
    """Lines without their ends. Raises Rejected (GZIP_CRC) when a block cannot be decompressed."""
    import pysam

    try:
        with pysam.BGZFile(str(path), "r", None) as stream:
            yield from stream
    except OSError as error:
        raise reject(
            code="GZIP_CRC",
            message=f"cannot be decompressed: {error}",
            where=path.name,
            rule="a VCF is BGZF-compressed and undamaged",
            fix="write or copy the file again",
        ) from error


def header_of(path: Path) -> tuple[bytes, ...]:
    """The header's lines, `#CHROM` last, each of them UTF-8. Raises Rejected (VCF_HEADER) when the file does not begin
    with a VCF header."""
    return header_in(lines(path), where=path.name)


def header_in(lines: Iterable[bytes], *, where: str) -> tuple[bytes, ...]:
    """As `header_of`, of a VCF's lines without their ends; reads none behind the first that is no header line."""
    header: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        if not line.startswith(b"#"):
            break
        _require_text(line, where=f"{where}, line {number}")
        header.append(line)
    if not header or not header[0].startswith(b"##fileformat=VCF") or not header[-1].startswith(b"#CHROM\t"):
        raise reject(
            code="VCF_HEADER",
            message="no VCF header from ##fileformat to #CHROM",
            where=where,
            rule="a VCF begins with ##fileformat=VCF and its header ends with #CHROM",
            fix="write the file again with its header",
        )
    return tuple(header)


def lasting(header: Iterable[bytes]) -> tuple[bytes, ...]:
    """The header without the lines that differ from run to run, so that equal content is equal bytes."""
    return tuple(line for line in header if not line.startswith(OF_A_RUN))


def samples_of(header: Sequence[bytes]) -> tuple[str, ...]:
    """Sample names of the `#CHROM` line, in column order; empty for a sites-only VCF."""
    return tuple(name.decode() for name in header[-1].split(b"\t")[9:])


def contigs_of(header: Iterable[bytes]) -> tuple[tuple[str, int], ...]:
    """(name, length in bases) of each `##contig` line that gives a length, in order."""
    found: list[tuple[str, int]] = []
    for line in header:
        if line.startswith(b"##contig=<"):
            fields = dict(part.split("=", 1) for part in line[10:].rstrip(b">").decode().split(",") if "=" in part)
            if "ID" in fields and _LENGTH.fullmatch(fields.get("length", "")):
                found.append((fields["ID"], int(fields["length"])))
    return tuple(found)


class Declared:
    """INFO and FORMAT keys that a header declares; remembers which FORMAT columns it has met, as they repeat."""

    def __init__(self, header: Iterable[bytes]) -> None:
        lines = tuple(header)
        self.info = _declared(lines, b"##INFO=<")
        self.format = _declared(lines, b"##FORMAT=<")
        self._met: set[str] = set()

    def missing(self, about: str, names: str = "") -> str | None:
        """The first key of an INFO column (`about`) or a FORMAT column (`names`) that is not declared, `INFO XY`."""
        if names and names not in self._met:
            for key in names.split(":"):
                if key not in self.format:
                    return f"FORMAT {key[:MOST_OF_A_KEY]}"
            self._met.add(names)
        if about != ".":
            for field in about.split(";"):
                key = field.partition("=")[0]
                if key not in self.info:
                    return f"INFO {key[:MOST_OF_A_KEY]}"
        return None


def _declared(header: Iterable[bytes], kind: bytes) -> frozenset[str]:
    """IDs of the header's structured lines of one kind."""
    found = set()
    for line in header:
        if line.startswith(kind):
            named = _ID.search(line)
            if named is not None:
                found.add(named[1].decode())
    return frozenset(found)


def _require_text(line: bytes, *, where: str) -> None:
    try:
        line.decode()
    except UnicodeDecodeError:
        raise reject(
            code="VCF_HEADER",
            message="the line is not text in UTF-8",
            where=where,
            rule="a VCF is UTF-8 (VCF specification 4.3, 1.2)",
            fix="write the file again with that line in UTF-8",
        ) from None


@contextmanager
def writing(path: Path) -> Iterator[Sink]:
    """A BGZF file to write lines (with their ends) to. It has its end block when the context was left without
    error."""
    import pysam

    sink = pysam.BGZFile(str(path), "w", None)
    try:
        yield sink
    finally:
        sink.close()


def index(path: Path) -> Path:
    """Write the tabix index beside `path` and return where. Raises ToolFailed when htslib refuses (records out of
    order)."""
    import pysam

    try:
        pysam.tabix_index(str(path), preset="vcf", force=True)
    except OSError as error:
        raise ToolFailed(tool="tabix", status="failed", said=str(error)) from error
    return index_of(path)


def restamp(path: Path, *, extra: Sequence[str] = (), out: Path) -> Path:
    """Copy a VCF with a lasting header plus `extra` lines (each `##key=value`), and index it. Blocks of records are
    copied as they are, not compressed again. Returns the index. Raises ToolFailed when the copy is cut short."""
    import pysam.bcftools
    from pysam.utils import SamtoolsError

    header = lasting(header_of(path))
    stamped = (*header[:-1], *(line.encode() for line in extra), header[-1])
    text = out.with_name(out.name + ".header")
    text.write_bytes(b"\n".join(stamped) + b"\n")
    try:
        pysam.bcftools.reheader("-h", str(text), "-o", str(out), str(path), catch_stdout=False)
    except SamtoolsError as error:
        raise ToolFailed(tool="bcftools reheader", status="failed", said=str(error)) from error
    finally:
        text.unlink()
    if not is_whole(out):
        raise ToolFailed(tool="bcftools reheader", status="incomplete", said=f"{out.name} has no end block")
    return index(out)
