"""gVCF parts, one or more calling intervals each, checked and put together in genome order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.errors import Rejected, reject
from chassis.tools import vcf
from services.align.engines.protocol import GvcfMetrics

NON_REF = b"<NON_REF>"


@dataclass(frozen=True, slots=True)
class GvcfRecord:
    """One line with what is checked of it: contig number, first and last base (1-based), whether it is a variant."""

    line: bytes
    contig: int
    start: int
    end: int
    variant: bool


def gather_gvcf(parts: Sequence[Path], out_gvcf: Path, *, header_lines: Sequence[str] = ()) -> GvcfMetrics:
    """Write all records to one BGZF gVCF with its index; `header_lines` are added to the first part's header.

    Raises Rejected: EMPTY_INPUT for no parts; GZIP_TRUNCATED; VCF_HEADER; SAMPLE_MISMATCH and BUILD_MISMATCH when the
    parts are not of one sample and reference; GVCF_ORDER for records, or parts, out of order or twice; GVCF_NON_REF.
    """
    if not parts:
        raise _refused(out_gvcf, "EMPTY_INPUT", "there are no parts", "a gVCF has one part or more")
    header = vcf.header_of(parts[0])
    records = variants = covered = 0
    before = reached = (-1, 0)
    with vcf.writing(out_gvcf) as sink:
        for line in (*header[:-1], *(line.encode() for line in header_lines), header[-1]):
            sink.write(line + b"\n")
        for part in parts:
            _require_alike(part, vcf.header_of(part), header)
            for record in read_gvcf(part):
                if (record.contig, record.start) <= before:
                    raise _order(part, record)
                # a deletion may reach over blocks, or over the edge into the next part: only starts are ordered
                before = (record.contig, record.start)
                records += 1
                variants += record.variant
                # a deletion may lie over the blocks behind it: each base counts once
                known = reached[1] if reached[0] == record.contig else 0
                covered += max(0, record.end - max(known, record.start - 1))
                reached = record.contig, max(known, record.end)
                sink.write(record.line + b"\n")
    vcf.index(out_gvcf)
    return GvcfMetrics(records=records, variants=variants, covered=covered)


def read_gvcf(part: Path) -> Iterator[GvcfRecord]:
    """The records of a part. Raises Rejected: GZIP_TRUNCATED, GZIP_CRC, VCF_HEADER, GVCF_NON_REF, FORMAT_MISMATCH."""
    if not vcf.is_whole(part):
        raise _refused(part, "GZIP_TRUNCATED", "the file has no end block: it breaks off", "a BGZF file has its end")
    contigs = {name.encode(): number for number, (name, _) in enumerate(vcf.contigs_of(vcf.header_of(part)))}
    number = 0
    for line in vcf.lines(part):
        if line.startswith(b"#"):
            continue
        number += 1
        try:
            contig, position, _, ref, alt, _, _, about, _ = line.split(b"\t", 8)
            start = int(position)
            end = _end_of_block(about) or start + len(ref) - 1
            record = GvcfRecord(line, contigs[contig], start, end, alt != NON_REF)
        except (ValueError, KeyError) as error:
            raise _refused(
                part, "FORMAT_MISMATCH", f"record {number} is no gVCF record", "eight columns and a sample"
            ) from error
        if NON_REF not in alt.split(b","):
            raise _refused(part, "GVCF_NON_REF", f"record {number} has no <NON_REF>", "each record of a gVCF has it")
        yield record


def _end_of_block(about: bytes) -> int | None:
    for field in about.split(b";"):
        if field.startswith(b"END="):
            return int(field[4:])
    return None


def _require_alike(part: Path, header: Sequence[bytes], first: Sequence[bytes]) -> None:
    if header[-1] != first[-1]:
        raise _refused(part, "SAMPLE_MISMATCH", "its sample is not the first part's", "parts are of one sample")
    if vcf.contigs_of(header) != vcf.contigs_of(first):
        raise _refused(part, "BUILD_MISMATCH", "its contigs are not the first part's", "parts are of one reference")


def _order(part: Path, record: GvcfRecord) -> Rejected:
    return _refused(
        part,
        "GVCF_ORDER",
        f"the record at base {record.start} does not come after the one before it",
        "records, and parts, stand in genome order, each position once",
    )


def _refused(path: Path, code: str, message: str, rule: str) -> Rejected:
    return reject(code=code, message=message, where=path.name, rule=rule, fix="call the sample again")
