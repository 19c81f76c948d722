"""A reference as a worker uses it: files on the local disk, complete and verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.values import Interval, ReferenceId

BWA_SUFFIXES = (".amb", ".ann", ".bwt", ".pac", ".sa")
"""bwa's index files stand beside the FASTA under these endings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReference:
    """`fasta` is uncompressed, with `<fasta>.fai`, `<stem>.dict` and bwa's index files beside it. `intervals` are the
    calling intervals in contig order, cut at runs of N. `known_sites` are bgzipped VCFs with `.tbi` beside them."""

    id: ReferenceId
    fasta: Path
    intervals: tuple[Interval, ...]
    gff: Path | None = None
    known_sites: tuple[Path, ...] = ()

    @property
    def fai(self) -> Path:
        return self.fasta.with_name(self.fasta.name + ".fai")

    @property
    def dictionary(self) -> Path:
        """GATK looks for it under the FASTA's name with its last ending replaced."""
        return self.fasta.with_suffix(".dict")

    @property
    def bwa_index(self) -> tuple[Path, ...]:
        return tuple(self.fasta.with_name(self.fasta.name + suffix) for suffix in BWA_SUFFIXES)
