"""What an allele does to a gene, as `bcftools csq` writes it into INFO/BCSQ, and which consequence is the worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TAG = "BCSQ"
ALLELE_TAG = "BCSQ_ALLELE"
HEADER = (
    f'##INFO=<ID={TAG},Number=.,Type=String,Description="Local consequence annotation from bcftools csq. '
    'Format: Consequence|gene|transcript|biotype|strand|amino_acid_change|dna_change">',
    f"##INFO=<ID={ALLELE_TAG},Number=.,Type=Integer,"
    f'Description="For each entry of {TAG} the ALT allele that it is about, counted from 1">',
)

SEVERITY = (
    "splice_acceptor",
    "splice_donor",
    "stop_gained",
    "frameshift",
    "stop_lost",
    "start_lost",
    "feature_truncation",
    "feature_elongation",
    "inframe_insertion",
    "inframe_deletion",
    "inframe_altering",
    "missense",
    "splice_region",
    "start_retained",
    "stop_retained",
    "synonymous",
    "coding_sequence",
    "5_prime_utr",
    "3_prime_utr",
    "non_coding",
    "intron",
    "intergenic",
)
"""Worst first, in the order of Ensembl's table of calculated consequences, under the names that csq writes."""
_RANK = {name: rank for rank, name in enumerate(SEVERITY)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """One entry of BCSQ: an allele, a transcript (or a gene) and what happens to it. None where csq leaves a blank."""

    allele: int
    consequence: str
    gene: str | None
    transcript: str | None
    biotype: str | None
    strand: str | None
    amino_acid_change: str | None
    dna_change: str | None

    @property
    def rank(self) -> int:
        """0 is the worst; an unknown name ranks last. `a&b` is as bad as the worse of the two."""
        return min(_RANK.get(name.lstrip("*"), len(SEVERITY)) for name in self.consequence.split("&"))


def of(info: Mapping[str, str]) -> tuple[Consequence, ...]:
    """The consequences of a record, as its INFO has them.

    Raises ValueError when the two tags do not fit together."""
    if TAG not in info:
        return ()
    entries, alleles = info[TAG].split(","), info[ALLELE_TAG].split(",") if ALLELE_TAG in info else []
    return tuple(_entry(int(allele), entry) for allele, entry in zip(alleles, entries, strict=True))


def worst(consequences: Sequence[Consequence], allele: int) -> Consequence | None:
    """The most severe consequence of one ALT (counted from 1); of equals the first, which is csq's order."""
    return min((c for c in consequences if c.allele == allele), key=lambda c: c.rank, default=None)


def _entry(allele: int, text: str) -> Consequence:
    fields = [field or None for field in text.split("|")]
    consequence, gene, transcript, biotype, strand, amino_acids, bases = (fields + [None] * 7)[:7]
    return Consequence(
        allele=allele,
        consequence=consequence or "unknown",
        gene=gene,
        transcript=transcript,
        biotype=biotype,
        strand=strand,
        amino_acid_change=amino_acids,
        dna_change=bases,
    )
