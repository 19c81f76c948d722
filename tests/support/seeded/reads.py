"""Where a read belongs on a small reference: by its first words of 16 bases that the reference has too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pysam

from chassis.tools.fastq import Read

WORD = 16
STEP = 7
PAIRED, PROPER, UNMAPPED, MATE_UNMAPPED, REVERSE, MATE_REVERSE = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
FIRST, SECOND, DUPLICATE, NOT_PRIMARY = 0x40, 0x80, 0x400, 0x900
MOST_INSERT = 1000
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")

Stamp = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """`start` and `end` 0-based, half-open, of the bases that lie on the contig; `left` and `right` are clipped."""

    contig: int
    start: int
    end: int
    left: int
    right: int
    reverse: bool


def stamp_of(fasta: Path) -> Stamp:
    """Tells one content of a FASTA from another, so that what was read of it may be kept."""
    facts = fasta.stat()
    return str(fasta), facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=4)
def contigs_of(stamp: Stamp) -> tuple[tuple[str, str], ...]:
    """(name, bases) in order."""
    with pysam.FastaFile(stamp[0]) as fasta:
        return tuple((name, fasta.fetch(name).upper()) for name in fasta.references)


@lru_cache(maxsize=4)
def _words(stamp: Stamp) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for contig, (_, bases) in enumerate(contigs_of(stamp)):
        for at in range(len(bases) - WORD + 1):
            found.setdefault(bases[at : at + WORD], (contig, at))
    return found


def place(read: Read, stamp: Stamp) -> Placed | None:
    words, contigs = _words(stamp), contigs_of(stamp)
    bases = read.bases.upper()
    for reverse, strand in ((False, bases), (True, bases.translate(_COMPLEMENT)[::-1])):
        for at in range(0, len(strand) - WORD + 1, STEP):
            hit = words.get(strand[at : at + WORD])
            if hit is not None:
                start, end = hit[1] - at, hit[1] - at + len(strand)
                length = len(contigs[hit[0]][1])
                return Placed(hit[0], max(0, start), min(end, length), max(0, -start), max(0, end - length), reverse)
    return None


def as_sam(pair: tuple[Read, Read], stamp: Stamp, read_group: str) -> tuple[str, str]:
    """Both mates as SAM lines."""
    places = place(pair[0], stamp), place(pair[1], stamp)
    proper = _is_proper(*places)
    lines = []
    for mate, which in enumerate((FIRST, SECOND)):
        read, own, other = pair[mate], places[mate], places[1 - mate]
        flag = PAIRED | which | (PROPER if proper else 0)
        flag |= (UNMAPPED if own is None else REVERSE * own.reverse) | (
            MATE_UNMAPPED if other is None else MATE_REVERSE * other.reverse
        )
        bases, qualities = read.bases.upper(), read.qualities
        if own is not None and own.reverse:
            bases, qualities = bases.translate(_COMPLEMENT)[::-1], qualities[::-1]
        here, there = own or other, other or own  # an unmapped mate stands where its mapped mate lies
        columns = (
            read.name,
            flag,
            *_where(here, stamp),
            60 if own is not None else 0,
            _cigar(own),
            *_where(there, stamp),
            _length(own, other),
            bases,
            qualities,
            f"RG:Z:{read_group}",
        )
        lines.append("\t".join(str(one) for one in columns))
    return lines[0], lines[1]


def _is_proper(one: Placed | None, other: Placed | None) -> bool:
    if one is None or other is None or one.contig != other.contig or one.reverse == other.reverse:
        return False
    forward, backward = (other, one) if one.reverse else (one, other)
    return 0 < backward.end - forward.start <= MOST_INSERT


def _where(placed: Placed | None, stamp: Stamp) -> tuple[str, int]:
    return ("*", 0) if placed is None else (contigs_of(stamp)[placed.contig][0], placed.start + 1)


def _cigar(placed: Placed | None) -> str:
    if placed is None:
        return "*"
    parts = ((placed.left, "S"), (placed.end - placed.start, "M"), (placed.right, "S"))
    return "".join(f"{length}{what}" for length, what in parts if length)


def _length(own: Placed | None, other: Placed | None) -> int:
    if own is None or other is None or own.contig != other.contig:
        return 0
    span = max(own.end, other.end) - min(own.start, other.start)
    return span if (own.start, own.reverse) < (other.start, other.reverse) else -span


def mark_duplicates(records: list[pysam.AlignedSegment], libraries: dict[str, str]) -> None:
    """Mark, within a library, all pairs but the best of those that begin and end at the same bases. Marks start
    afresh. `libraries` by read group."""
    fragments: dict[tuple[str, str], list[pysam.AlignedSegment]] = {}
    for record in records:
        record.is_duplicate = False
        if not record.flag & NOT_PRIMARY:
            fragments.setdefault((str(record.get_tag("RG")), record.query_name or ""), []).append(record)
    alike: dict[tuple[object, ...], list[tuple[str, str]]] = {}
    for fragment, mates in fragments.items():
        if len(mates) == 2 and not any(mate.is_unmapped for mate in mates):
            ends = tuple(sorted((mate.reference_id, _outer(mate), mate.is_reverse) for mate in mates))
            alike.setdefault((libraries[fragment[0]], *ends), []).append(fragment)
    for several in alike.values():
        if len(several) > 1:
            ranked = sorted(several, key=lambda one: (-sum(_score(mate) for mate in fragments[one]), one))
            for fragment in ranked[1:]:
                for mate in fragments[fragment]:
                    mate.is_duplicate = True


def _outer(record: pysam.AlignedSegment) -> int:
    """Where the read's first base lies, clipped bases counted."""
    cigar = record.cigartuples or []
    if record.is_reverse:
        return (record.reference_end or 0) + (cigar[-1][1] if cigar and cigar[-1][0] == 4 else 0)
    return record.reference_start - (cigar[0][1] if cigar and cigar[0][0] == 4 else 0)


def _score(record: pysam.AlignedSegment) -> int:
    return sum(record.query_qualities or ())
