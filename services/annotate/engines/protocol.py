"""What an annotation engine does, files in, files out. Tasks, leases and the store lie around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chassis.reference.local import LocalReference
from contracts.values import Provenance

NO_GENE_MODEL = "##cohortstream_consequence=none: the reference bundle has no gene model"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedCounts:
    """Records written, ALT alleles in them, and alleles that got at least one consequence."""

    records: int
    alleles: int
    annotated: int


class Engine(Protocol):
    """Says what each allele of a VCF does to the genes of the reference bundle."""

    def provenance(self, *, reference: LocalReference) -> Provenance:
        """The parameters include the gene model's hash: another gene model is other work."""
        ...

    def annotate(self, *, vcf: Path, reference: LocalReference, out: Path, scratch: Path, log: Path) -> AnnotatedCounts:
        """Write `vcf` with consequences to `out` (BGZF) and its index to `<out>.tbi`.

        Genotypes and every other field stay as they are, byte for byte, and equal input gives equal bytes. What the
        tool says goes to `log`. Without a gene model the records pass through under a header line that says so.
        Raises Rejected (BUILD_MISMATCH, REF_ALLELE, NOT_SORTED, VCF_HEADER, GFF_FORMAT) and ToolFailed.
        """
        ...
