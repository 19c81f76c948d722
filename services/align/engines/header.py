"""Headers of alignments: what we write into them, and what must agree before two files are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.errors import Rejected, reject
from chassis.reference.local import LocalReference
from chassis.tools import htslib
from chassis.tools.cram_reference import require_reference
from services.align.engines.protocol import ReadGroup

if TYPE_CHECKING:
    from pysam import AlignmentHeader

LOOKED_AT = 10_000
"""Records whose order is looked at: a file that was never sorted shows it in its first ones."""
_UNPLACED = 1 << 31
_KEPT_OF_A_SEQUENCE = ("SN", "LN", "M5", "AS", "SP")  # not UR: it is a path of the machine that made the dictionary


def lane_header(
    reference: LocalReference, read_group: ReadGroup, *, aligner: str, version: str, command: str
) -> AlignmentHeader:
    """Of one lane's BAM; nothing in it depends on where the files lie."""
    from pysam import AlignmentHeader

    return AlignmentHeader.from_dict(
        {
            "HD": {"VN": "1.6", "SO": "coordinate"},
            "SQ": _sequences(reference),
            "RG": [read_group.as_header()],
            "PG": [{"ID": "bwa", "PN": aligner, "VN": version, "CL": command}],
        }
    )


def read_groups_together(inputs: Sequence[Path], previous: Path | None, reference: LocalReference) -> None:
    """Check that files may become one sample's CRAM.

    Raises Rejected: BAM_TRUNCATED; CRAM_VERSION for a CRAM that GATK cannot read; CRAM_REFERENCE when its reference is
    not this one; NOT_SORTED; SAMPLE_MISMATCH when they are of several samples; READ_GROUP_DUPLICATE when the same lane
    is in two; REFERENCE_MISMATCH when the sequences' MD5s are not the reference's.
    """
    expected = [(line["SN"], line["LN"], line.get("M5")) for line in _sequences(reference)]
    seen: dict[str, Path] = {}
    samples: dict[str, Path] = {}
    for path in (*inputs, *([previous] if previous is not None else [])):
        htslib.require_whole(path)
        if path.suffix == ".cram" and htslib.cram_version(path) > htslib.CRAM_VERSION:
            raise reject(
                code="CRAM_VERSION",
                message="the CRAM is newer than 3.0",
                where=path.name,
                rule="GATK reads CRAM up to 3.0",
                fix="write it again with `samtools view -O cram,version=3.0`",
            )
        if path.suffix == ".cram":
            require_reference(path, fasta=reference.fasta)
        header = header_of(path)
        if header.get("HD", {}).get("SO") != "coordinate":
            raise _not_sorted(path.name, "the header does not say that the records are in coordinate order")
        if [(line["SN"], line["LN"], line.get("M5")) for line in header.get("SQ", [])] != expected:
            raise reject(
                code="REFERENCE_MISMATCH",
                message="its sequences are not those of the reference",
                where=path.name,
                rule=f"all reads of a sample are aligned to one reference, here {reference.id}",
                fix="align the sample's earlier lanes to this reference again, or use theirs",
            )
        for group in header.get("RG", []):
            if group["ID"] in seen:
                raise reject(
                    code="READ_GROUP_DUPLICATE",
                    message=f"read group {group['ID']} is in {seen[group['ID']].name} too",
                    where=path.name,
                    rule="a lane of a library is merged once",
                    fix="leave out the lane that is in the earlier version already",
                )
            seen[group["ID"]] = path
            samples.setdefault(group.get("SM", ""), path)
        if path.suffix != ".cram":
            _require_order(path)
    if len(samples) != 1:
        raise reject(
            code="SAMPLE_MISMATCH",
            message=f"the read groups name {len(samples)} samples",
            where=", ".join(sorted({path.name for path in samples.values()})) or "no read group",
            rule="all read groups of a CRAM have one SM",
            fix="merge the lanes of one sample only",
        )


def _require_order(path: Path) -> None:
    """NOT_SORTED when the first records are not in the order that the header claims. Those of a CRAM were indexed."""
    from pysam import AlignmentFile

    before = (0, 0)
    with AlignmentFile(str(path), check_sq=False) as records:
        for number, record in enumerate(islice(records.fetch(until_eof=True), LOOKED_AT), start=1):
            contig = record.reference_id
            place = (contig if contig >= 0 else _UNPLACED, record.reference_start)
            if place < before:
                raise _not_sorted(f"{path.name}, record {number}", "a record stands behind a later one")
            before = place


def _not_sorted(where: str, message: str) -> Rejected:
    return reject(
        code="NOT_SORTED",
        message=message,
        where=where,
        rule="alignments are merged in coordinate order",
        fix="sort it with `samtools sort`",
    )


def header_of(path: Path) -> Mapping[str, Any]:
    """The header as a mapping. Raises Rejected (FORMAT_MISMATCH) when it cannot be read."""
    from pysam import AlignmentFile

    try:
        with AlignmentFile(str(path), check_sq=False) as records:
            header: Mapping[str, Any] = records.header.to_dict()
            return header
    except (OSError, ValueError) as error:
        raise reject(
            code="FORMAT_MISMATCH",
            message="this is no readable BAM or CRAM",
            where=path.name,
            rule="alignments are BAM or CRAM",
            fix="copy or write the file again",
        ) from error


def _sequences(reference: LocalReference) -> list[dict[str, Any]]:
    lines = header_of(reference.dictionary).get("SQ", [])
    return [{key: line[key] for key in _KEPT_OF_A_SEQUENCE if key in line} for line in lines]
