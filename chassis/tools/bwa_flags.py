"""What pybwa 2.3.2 leaves out of its records, added by bwa's own rules.

pybwa aligns pairs as pairs but drops what `mem_sam_pe` would have said about them: the FLAG bits 0x2, 0x40 and 0x80,
and 0x20 where the mate is unmapped. And it takes the bases of a hard-clipped record on the reverse strand from the
wrong end of the read. Source of the rules: bwa 0.7.17, bwamem_pair.c (mem_infer_dir, mem_pestat, mem_sam_pe) and
bwamem.c (mem_aln2sam), H. Li.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from chassis.errors import ToolFailed
from chassis.tools.fastq import Read

if TYPE_CHECKING:
    from pysam import AlignedSegment

PAIRED, PROPER, MATE_UNMAPPED, MATE_REVERSE, FIRST, SECOND, SUPPLEMENTARY = 0x1, 0x2, 0x8, 0x20, 0x40, 0x80, 0x800
HARD_CLIP = 5  # the CIGAR operation H

Pairing = Mapping[str, tuple[int, int]]
"""Orientation (FF, FR, RF, RR) -> shortest and longest distance of a proper pair; none for what bwa skipped."""

_ANALYZING = re.compile(r"analyzing insert size distribution for orientation ([FR]{2})")
_BOUNDS = re.compile(r"low and high boundaries for proper pairs: \((\d+), (\d+)\)")
_SKIPPED = re.compile(r"skip orientation ([FR]{2})")
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def pairing_in(said: str) -> Pairing:
    """The bounds that bwa printed for one batch. Raises ToolFailed when it printed none: FLAGs would be wrong."""
    if "candidate unique pairs" not in said:
        raise ToolFailed(tool="pybwa", status="no estimate", said="bwa told no insert sizes: has its wording changed?")
    found: dict[str, tuple[int, int]] = {}
    orientation = ""
    for line in said.splitlines():
        if match := _ANALYZING.search(line):
            orientation = match.group(1)
        elif match := _BOUNDS.search(line):
            found[orientation] = int(match.group(1)), int(match.group(2))
        elif match := _SKIPPED.search(line):
            found.pop(match.group(1), None)
    return found


def complete(
    pair: tuple[Read, Read], first: Sequence[AlignedSegment], second: Sequence[AlignedSegment], pairing: Pairing
) -> Iterator[AlignedSegment]:
    """The records of both mates, primary first, with all FLAG bits and bases that `bwa mem` would have written."""
    proper = PROPER if is_proper(first[0], second[0], pairing) else 0
    for read, records, which in ((pair[0], first, FIRST), (pair[1], second, SECOND)):
        for record in records:
            flag = record.flag | PAIRED | proper | which
            if flag & MATE_UNMAPPED and not record.is_unmapped and record.is_reverse:
                flag |= MATE_REVERSE  # bwa places an unmapped mate where, and as, its mapped mate lies
            record.flag = flag
            if flag & SUPPLEMENTARY:
                _restore_bases(record, read)
    yield from chain(first, second)


def is_proper(one: AlignedSegment, other: AlignedSegment, pairing: Pairing) -> bool:
    """True when two primary records lie in an orientation and at a distance that bwa found usual in their batch."""
    if one.is_unmapped or other.is_unmapped or one.reference_id != other.reference_id:
        return False
    begins = _five_prime(one), _five_prime(other)
    if one.is_reverse == other.is_reverse:
        ahead = begins[1] < begins[0] if one.is_reverse else begins[1] > begins[0]
        orientation = "FF" if ahead else "RR"
    else:
        forward, reverse = (begins[1], begins[0]) if one.is_reverse else begins
        orientation = "FR" if reverse > forward else "RF"
    if orientation not in pairing:
        return False
    low, high = pairing[orientation]
    return low <= abs(begins[1] - begins[0]) <= high


def _five_prime(record: AlignedSegment) -> int:
    """The reference position of the first aligned base in the read's own direction."""
    return (record.reference_end or 0) - 1 if record.is_reverse else record.reference_start


def _restore_bases(record: AlignedSegment, read: Read) -> None:
    cigar = record.cigartuples or [(0, 0)]
    bases, qualities = read.bases.upper(), read.qualities
    if record.is_reverse:
        bases, qualities = bases.translate(_COMPLEMENT)[::-1], qualities[::-1]
    left = cigar[0][1] if cigar[0][0] == HARD_CLIP else 0
    right = cigar[-1][1] if cigar[-1][0] == HARD_CLIP else 0
    end = len(bases) - right
    # pysam forgets the qualities when the bases are set
    record.query_sequence = bases[left:end]
    record.query_qualities_str = qualities[left:end]
