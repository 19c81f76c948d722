"""One number for a set of reads, whatever their order: equal for FASTQs and for the alignment made of them.

Each read's name, mate, bases and qualities, as sequenced, are hashed to 256 bits, and the hashes are added modulo
2^256: commutative, and unlike an exclusive or it sees a read that is there twice. (Sum of hashes: Clarke et al. 2003,
"Incremental multiset hash functions".) A FASTQ is purged only when its CRAM has the same number.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.tools.cram_reference import never_from_a_network
from chassis.tools.fastq import Read, read_pairs

if TYPE_CHECKING:
    from pysam import AlignedSegment

MODULUS = 1 << 256
EMPTY = f"{0:064x}"
"""The fingerprint of no reads: it changes nothing that it is combined with."""

_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
_READ_1, _READ_2, _REVERSE, _NOT_PRIMARY = 0x40, 0x80, 0x10, 0x900


class Fingerprint:
    """Adds up reads; `hexdigest` at any time, 64 lower-case hex digits."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, read: Read, mate: int) -> None:
        """`mate` is 1 or 2, 0 for a read that has none. Case of bases does not count: alignments do not keep it."""
        text = f"{read.name}\t{mate}\t{read.bases.upper()}\t{read.qualities}"
        self._sum += int.from_bytes(hashlib.blake2b(text.encode(), digest_size=32).digest(), "big")

    def add_record(self, record: AlignedSegment) -> None:
        """A primary record; others repeat what their primary record holds, and are passed over."""
        flag = record.flag
        if flag & _NOT_PRIMARY:
            return
        bases, qualities = record.query_sequence or "", record.query_qualities_str or ""
        if flag & _REVERSE:
            bases, qualities = bases.translate(_COMPLEMENT)[::-1], qualities[::-1]
        mate = 1 if flag & _READ_1 else 2 if flag & _READ_2 else 0
        self.add(Read(record.query_name or "", bases, qualities), mate)

    def hexdigest(self) -> str:
        return f"{self._sum % MODULUS:064x}"


def reads_fingerprint_of_fastq(r1: Path, r2: Path) -> str:
    """Of a pair of gzipped FASTQs. Raises Rejected as `read_pairs` does."""
    total = Fingerprint()
    for first, second in read_pairs(r1, r2):
        total.add(first, 1)
        total.add(second, 2)
    return total.hexdigest()


def reads_fingerprint_of_alignment(path: Path, reference: Path | None) -> str:
    """Of all primary records of a BAM or CRAM; a CRAM needs the FASTA that it was written against."""
    from pysam import AlignmentFile

    never_from_a_network()
    total = Fingerprint()
    with AlignmentFile(str(path), reference_filename=str(reference) if reference else None) as records:
        for record in records.fetch(until_eof=True):
            total.add_record(record)
    return total.hexdigest()


def combine(*fingerprints: str) -> str:
    """The fingerprint of all the reads together, whatever the order."""
    return f"{sum(int(one, 16) for one in fingerprints) % MODULUS:064x}"
