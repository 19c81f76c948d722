"""Where a joint VCF is written: VCF in BGZF with its index, plain VCF, or BCF with its index. A file is there under its
name when it is whole, or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from chassis.errors import reject
from services.jointcall.columnar.genotype.bgzf import LEVEL, BgzfWriter

LONGEST_FOR_TBI = 1 << 29
ENDINGS = (".vcf.gz", ".vcf.bgz", ".bcf", ".vcf")
PARTIAL = ".partial-"


class Sink(Protocol):
    def write(self, text: bytes, /) -> object: ...


def ending_of(out: Path) -> str:
    """Raises Rejected FORMAT_MISMATCH for a name that says no format."""
    for ending in ENDINGS:
        if out.name.endswith(ending) and out.name != ending:
            return ending
    raise reject(
        code="FORMAT_MISMATCH",
        message="the name says no format",
        where=str(out),
        rule=f"the file's name ends with {', '.join(ENDINGS)}; a folder's with /",
        fix="choose one of these endings",
    )


@contextmanager
def written_to(out: Path, *, contigs: Sequence[tuple[str, int]], level: int = LEVEL) -> Iterator[Sink]:
    """Lines of VCF with their ends, header first, into `out` and its index. Raises Rejected FORMAT_MISMATCH,
    FILE_MISSING for a folder that is not there."""
    ending = ending_of(out)
    if not out.parent.is_dir():
        raise reject(
            code="FILE_MISSING",
            message="there is no such folder",
            where=str(out.parent),
            rule="a file is written into a folder that exists",
            fix="make the folder, or correct --out",
        )
    partial = out.with_name(PARTIAL + out.name)
    index = partial
    try:
        if ending == ".vcf":
            with partial.open("wb") as plain:
                yield plain
        elif ending == ".bcf":
            with _as_bcf(partial) as pipe:
                yield pipe
            index = _indexed(partial, csi=True)
        else:
            with BgzfWriter(partial, level=level) as packed:
                yield packed
            longest = max((length for _, length in contigs), default=0)
            index = _indexed(partial, csi=longest > LONGEST_FOR_TBI)
        for old in _indexes(out):
            old.unlink(missing_ok=True)
        partial.replace(out)
        if index != partial:
            index.replace(index.with_name(index.name.removeprefix(PARTIAL)))
    finally:
        for rest in (partial, *_indexes(partial)):
            rest.unlink(missing_ok=True)


@contextmanager
def whole_file(out: Path) -> Iterator[BinaryIO]:
    """A file that is there under its name when it is whole, or not at all."""
    partial = out.with_name(PARTIAL + out.name)
    try:
        with partial.open("wb") as sink:
            yield sink
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def packed_file(out: Path) -> Iterator[BgzfWriter]:
    """The same in BGZF."""
    partial = out.with_name(PARTIAL + out.name)
    try:
        with BgzfWriter(partial) as sink:
            yield sink
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _indexes(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(path.name + ending) for ending in (".tbi", ".csi"))


def _indexed(path: Path, *, csi: bool) -> Path:
    import pysam
    import pysam.bcftools

    if path.name.endswith(".bcf"):
        pysam.bcftools.index("--force", "--csi", str(path))
    else:
        pysam.tabix_index(str(path), preset="vcf", force=True, csi=csi, keep_original=True)
    return path.with_name(path.name + (".csi" if csi else ".tbi"))


@contextmanager
def _as_bcf(path: Path) -> Iterator[Sink]:
    """Text in, BCF out: htslib reads the other end of a pipe in a thread."""
    import pysam

    reading, writing = os.pipe()
    failed: list[Exception] = []

    def convert() -> None:
        try:
            with (
                os.fdopen(reading, "rb") as text,
                pysam.VariantFile(text, "r") as source,
                pysam.VariantFile(str(path), "wb", header=source.header) as sink,
            ):
                for record in source:
                    sink.write(record)
        except (OSError, ValueError) as error:
            failed.append(error)

    thread = threading.Thread(target=convert, name="bcf")
    pipe: BinaryIO = os.fdopen(writing, "wb", buffering=1 << 20)
    thread.start()
    try:
        yield pipe
    except BrokenPipeError:
        pass  # what the other end said comes below
    finally:
        try:
            pipe.close()
        except BrokenPipeError:
            failed.append(BrokenPipeError("htslib stopped reading"))
        thread.join()
    if failed:
        raise OSError(f"the BCF could not be written: {failed[0]}")
