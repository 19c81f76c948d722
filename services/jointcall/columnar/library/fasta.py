"""The reference that gVCFs were called against, as an indexed FASTA."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from chassis.errors import reject
from chassis.reference.fasta import Sequence, digest_of
from contracts.values import Interval
from services.jointcall.columnar.reading.parsing import Target
from services.jointcall.columnar.store.generation import Contig, Reference, Shard

PIECE_BP = 1 << 24


class Fasta:
    """`held` is an open pysam.FastaFile."""

    def __init__(self, held: Any, *, where: str) -> None:
        self._held = held
        self._where = where
        self.contigs: tuple[tuple[str, int], ...] = tuple(zip(held.references, held.lengths, strict=True))
        self._lengths = dict(self.contigs)
        self._latest: tuple[Shard, Target] | None = None

    def reference(self) -> Reference:
        """Its digest is the one that `reference add` shows; reads all of it (a human genome: some ten seconds)."""
        sequences = tuple(
            Sequence(name=name, length=length, md5=self._md5(name, length), n_runs=()) for name, length in self.contigs
        )
        contigs = tuple(Contig(name=name, length=length) for name, length in self.contigs)
        return Reference(digest=digest_of(sequences), contigs=contigs)

    def require(self, reference: Reference) -> None:
        """Raises Rejected REFERENCE_MISMATCH where a store was made with another one."""
        told = tuple((contig.name, contig.length) for contig in reference.contigs)
        if told != self.contigs or self.reference().digest != reference.digest:
            raise reject(
                code="REFERENCE_MISMATCH",
                message="the joint store was made with another reference",
                where=self._where,
                rule="all gVCFs of a joint store are called against one reference: names, order and sequences",
                fix="give the reference of the first import",
            )

    def bases(self, contig: str, first: int, last: int) -> bytes:
        """In capitals, 1-based and inclusive."""
        return str(self._held.fetch(contig, first - 1, last)).upper().encode()

    def target(self, shard: Shard) -> Target:
        """What gVCFs are read over for the shard, its margin included. The latest one is kept."""
        if self._latest is None or self._latest[0] != shard:
            first = shard.first - shard.margin
            target = Target(
                interval=Interval(
                    contig=shard.contig, start=first, end=shard.last, contig_length=self._lengths[shard.contig]
                ),
                bases=np.frombuffer(self.bases(shard.contig, first, shard.last), np.uint8),
                contigs=self.contigs,
                regions=((shard.first, shard.last),),
            )
            self._latest = shard, target
        return self._latest[1]

    def _md5(self, name: str, length: int) -> str:
        total = hashlib.md5(usedforsecurity=False)
        for first in range(1, length + 1, PIECE_BP):
            total.update(self.bases(name, first, min(first + PIECE_BP - 1, length)))
        return total.hexdigest()


@contextmanager
def opened_fasta(path: Path) -> Iterator[Fasta]:
    """Raises Rejected FILE_MISSING, FASTA_FORMAT where it cannot be read by its index (which is made where it is not
    there)."""
    import pysam

    if not path.is_file():
        raise reject(
            code="FILE_MISSING",
            message="there is no such reference",
            where=str(path),
            rule="gVCFs are checked against the reference that they were called against",
            fix="correct --reference",
        )
    try:
        held = pysam.FastaFile(str(path))
    except (OSError, ValueError) as error:
        raise reject(
            code="FASTA_FORMAT",
            message=f"it cannot be read by its index ({type(error).__name__})",
            where=str(path),
            rule="a reference is a FASTA, plain or compressed with bgzip, with its .fai beside it",
            fix="`samtools faidx` it where it may be written",
        ) from None
    with held:
        yield Fasta(held, where=path.name)
