"""Figures of a finished CRAM, from one pass over its records and htslib's depth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from chassis.reference.local import LocalReference
from chassis.tools import htslib
from chassis.tools.cram_reference import never_from_a_network
from chassis.tools.fingerprint import Fingerprint
from services.align.engines.header import header_of
from services.align.engines.intervals import write_bed
from services.align.engines.protocol import CramMetrics

_UNMAPPED, _DUPLICATE, _NOT_PRIMARY = 0x4, 0x400, 0x900
_PROPER_FIRST, _PROPER_FIRST_MASK = 0x42, 0x42


def measure(cram: Path, *, reference: LocalReference, scratch: Path, threads: int) -> CramMetrics:
    """Read the whole CRAM once; it has its index beside it. Raises OSError for records that cannot be decoded."""
    from pysam import AlignmentFile

    never_from_a_network()
    reads = mapped = duplicates = 0
    inserts: Counter[int] = Counter()
    fingerprint = Fingerprint()
    with AlignmentFile(str(cram), reference_filename=str(reference.fasta), threads=threads) as records:
        for record in records.fetch(until_eof=True):
            flag = record.flag
            if flag & _NOT_PRIMARY:
                continue
            reads += 1
            fingerprint.add_record(record)
            if not flag & _UNMAPPED:
                mapped += 1
                duplicates += bool(flag & _DUPLICATE)
            if flag & _PROPER_FIRST_MASK == _PROPER_FIRST:
                inserts[abs(record.template_length)] += 1
    bed = write_bed(reference.intervals, scratch / "calling.bed")
    groups = header_of(cram).get("RG", [])
    return CramMetrics(
        reads=reads,
        mapped=mapped / reads if reads else 0.0,
        duplication=duplicates / mapped if mapped else 0.0,
        mean_coverage=htslib.mean_depth(
            cram, bed=bed, fasta=reference.fasta, bases=sum(interval.length for interval in reference.intervals)
        ),
        insert_median=median(inserts),
        fingerprint=fingerprint.hexdigest(),
        libraries=tuple(sorted({group["LB"] for group in groups if "LB" in group})),
        read_groups=tuple(sorted(group["ID"] for group in groups)),
    )


def median(counted: Counter[int]) -> float:
    """The median of values that are given with their counts; 0 for none."""
    count = counted.total()
    if not count:
        return 0.0
    wanted = ((count - 1) // 2, count // 2)
    found: list[int] = []
    passed = 0
    for value in sorted(counted):
        passed += counted[value]
        while len(found) < 2 and wanted[len(found)] < passed:
            found.append(value)
    return sum(found) / 2
