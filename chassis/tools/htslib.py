"""BAM and CRAM files through htslib (pysam): is it whole, of which version, sorted writing, index, conversion."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.errors import ToolFailed, reject
from chassis.tools import measured
from chassis.tools.cram_reference import never_from_a_network
from chassis.tools.vcf import BGZF_EOF

if TYPE_CHECKING:
    from pysam import AlignedSegment, AlignmentHeader

CRAM_VERSION = (3, 0)
"""htslib writes 3.1 unless told otherwise, and GATK 4.6 dies on it."""

CRAM_EOF_V3 = bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b")
CRAM_EOF_V2 = bytes.fromhex("0b000000ffffffff0fe0454f460000000001000001000606010001000100")
"""The empty containers that end a CRAM (CRAM specification 3.1, section 9)."""

MOST_RUNS = 64  # files open at once in a merge; well below a common limit of 1024


def has_eof(path: Path) -> bool:
    """True when a BAM, CRAM or BGZF file ends with the block that marks its end."""
    with path.open("rb") as stream:
        cram = stream.read(4) == b"CRAM"
        size = stream.seek(0, 2)
        for mark in (CRAM_EOF_V3, CRAM_EOF_V2) if cram else (BGZF_EOF,):
            if size >= len(mark):
                stream.seek(-len(mark), 2)
                if stream.read() == mark:
                    return True
    return False


def require_whole(path: Path) -> None:
    """Raises Rejected (BAM_TRUNCATED) when the end block is missing."""
    if not has_eof(path):
        raise reject(
            code="BAM_TRUNCATED",
            message="the file has no end block: it breaks off",
            where=path.name,
            rule="a BAM or CRAM ends with its end-of-file block",
            fix="copy or write the file again",
        )


def cram_version(path: Path) -> tuple[int, int]:
    """(major, minor) of a CRAM. Raises Rejected (FORMAT_MISMATCH) when it is none."""
    with path.open("rb") as stream:
        head = stream.read(6)
    if head[:4] != b"CRAM" or len(head) < 6:
        raise reject(
            code="FORMAT_MISMATCH",
            message="this is no CRAM",
            where=path.name,
            rule="a CRAM begins with the letters CRAM",
            fix="name a CRAM file",
        )
    return head[4], head[5]


def write_sorted(
    batches: Iterable[Sequence[AlignedSegment]], *, header: AlignmentHeader, out_bam: Path, scratch: Path
) -> int:
    """Write records to a coordinate-sorted BAM; returns how many primary records it holds.

    Each batch is sorted in memory and written as a run, the runs are merged: what lies in memory is one batch. Records
    at the same place keep the order in which they came. Raises ToolFailed when the file is not whole.
    """
    runs: list[Path] = []
    primary = 0
    for number, records in enumerate(batches):
        if len(runs) == MOST_RUNS:
            runs = [_merge(runs, scratch / f"runs-{number}.bam")]
        run = scratch / f"run-{number}.bam"
        primary += _write_run(records, header, run)
        runs.append(run)
    if len(runs) == 1:
        shutil.move(runs[0], out_bam)  # the two may be on different file systems
    elif runs:
        _merge(runs, out_bam)
    else:
        _write_run((), header, out_bam)
    if not has_eof(out_bam):
        raise ToolFailed(tool="htslib", status="incomplete", said=f"{out_bam.name} has no end block")
    return primary


def to_cram(bam: Path, *, fasta: Path, out_cram: Path, threads: int) -> Path:
    """Write a sorted BAM as CRAM 3.0 with its index; returns the index (`.crai`).

    Raises ToolFailed when the CRAM is not whole or not of that version.
    """
    _samtools(
        "view",
        "--no-PG",
        "-C",
        *("--output-fmt-option", f"version={CRAM_VERSION[0]}.{CRAM_VERSION[1]}"),
        *("--reference", str(fasta), "-@", f"{threads - 1}", "-o", str(out_cram), str(bam)),
    )
    _forget_where_the_reference_lies(out_cram)
    if not has_eof(out_cram) or cram_version(out_cram) != CRAM_VERSION:
        raise ToolFailed(tool="samtools view", status="incomplete", said=f"{out_cram.name} is not a whole CRAM 3.0")
    return index(out_cram)


def index(path: Path) -> Path:
    """Index a sorted BAM (`.bai`) or CRAM (`.crai`), beside it. Raises ToolFailed when htslib refuses."""
    suffix = ".crai" if path.suffix == ".cram" else ".bai"
    made = path.with_name(path.name + suffix)
    _samtools("index", str(path), str(made))
    return made


def count_primary(path: Path, *, fasta: Path) -> int:
    """Primary records of a BAM or CRAM, unmapped ones included."""
    return int(_samtools("view", "-c", "-F", "0x900", "--reference", str(fasta), str(path)))


def mean_depth(path: Path, *, bed: Path, fasta: Path, bases: int) -> float:
    """Mean depth over the `bases` bases of a BED file's regions (0-based, half-open) in an indexed, sorted file.
    Duplicates, secondary and QC-failed records are left out, deletions count as covered (`samtools bedcov`)."""
    said = _samtools("bedcov", "--reference", str(fasta), str(bed), str(path))
    return sum(int(line.rsplit("\t", 1)[1]) for line in said.splitlines()) / bases if bases else 0.0


def _write_run(records: Iterable[AlignedSegment], header: AlignmentHeader, path: Path) -> int:
    from pysam import AlignmentFile

    primary = 0
    # written once, read once or twice
    with AlignmentFile(str(path), "wb", header=header, format_options=["level=1"]) as out:
        for record in sorted(records, key=_place):
            out.write(record)
            primary += not record.flag & 0x900
    return primary


def _place(record: AlignedSegment) -> tuple[int, int, bool]:
    """Coordinate order as samtools sorts: contig, position, forward strand first; unplaced records last."""
    contig = record.reference_id
    return (contig if contig >= 0 else 1 << 31, record.reference_start, bool(record.flag & 0x10))


def _forget_where_the_reference_lies(cram: Path) -> None:
    """htslib writes the FASTA's path into every `@SQ` line as UR; the sequence's MD5 says which it is."""
    text = cram.with_name(cram.name + ".header.sam")
    text.write_text(
        re.sub(r"^(@SQ\t.*?)\tUR:[^\t\n]*", r"\1", _samtools("view", "-H", "--no-PG", str(cram)), flags=re.M)
    )
    _samtools("reheader", "-P", "-i", str(text), str(cram))
    text.unlink()


def _merge(runs: Sequence[Path], out: Path) -> Path:
    # -c and -p: the runs share one header, whose read groups and programs are to stand there once
    _samtools("merge", "--no-PG", "-f", "-c", "-p", "-l", "1", "-o", str(out), *(str(run) for run in runs))
    for run in runs:
        run.unlink()
    return out


def _samtools(command: str, *arguments: str) -> str:
    import pysam
    from pysam.utils import SamtoolsError

    never_from_a_network()
    writes_file = "-o" in arguments or command in ("index", "reheader")
    with measured.tool(f"samtools {command}", executable="samtools") as usage, usage.in_process():
        try:
            said = getattr(pysam, command)(*arguments, catch_stdout=not writes_file)
        except SamtoolsError as error:
            raise ToolFailed(tool=f"samtools {command}", status="failed", said=str(error)[:500]) from error
    return said or ""
