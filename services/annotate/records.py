"""A VCF record as text fields, read without changing them, and what kind of variant each allele is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from chassis.errors import reject
from chassis.tools import vcf

MISSING = "."
SPANNING_DELETION = "*"
_PURINES, _PYRIMIDINES = frozenset("AG"), frozenset("CT")


class AlleleType(StrEnum):
    snp = "snp"
    mnp = "mnp"
    indel = "indel"
    spanning_deletion = "spanning_deletion"
    """`*`: the allele is missing because of a deletion that began further up (VCF 4.3, 1.6.1.5)."""
    symbolic = "symbolic"
    """`<DEL>` and the like, and breakends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line. `position` is 1-based; `columns` are the samples' fields, in the order of the header."""

    contig: str
    position: int
    id: str | None
    ref: str
    alts: tuple[str, ...]
    quality: float | None
    filters: str | None
    """As in the VCF: `PASS`, names joined by `;`, or None where no filter was applied."""
    info: dict[str, str]
    format: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.filters == "PASS"


@dataclass(frozen=True, slots=True)
class Genotype:
    """GT of one sample: allele indexes (0 is REF), None where an allele is missing."""

    alleles: tuple[int | None, ...]
    phased: bool

    @property
    def called(self) -> bool:
        return None not in self.alleles

    def dosage(self, alt: int) -> int | None:
        """Copies of the ALT with this index (from 1); None when any allele is missing."""
        return self.alleles.count(alt) if self.called else None


def read(path: Path) -> Iterator[Record]:
    """The records of a VCF in BGZF. Raises Rejected (VCF_HEADER) for a line that is no record."""
    number = 0
    for line in vcf.lines(path):
        if line.startswith(b"#"):
            continue
        number += 1
        try:
            yield parse(line)
        except (ValueError, IndexError):
            raise reject(
                code="VCF_HEADER",
                message="the line is no VCF record",
                where=f"{path.name}, record {number}",
                rule="a record has 8 columns or more, with a number in the second",
                fix="write the file again",
            ) from None


def parse(line: bytes) -> Record:
    """Raises ValueError or IndexError for a line that is no record."""
    fields = line.decode().split("\t")
    contig, position, identifier, ref, alts, quality, filters, info = fields[:8]
    return Record(
        contig=contig,
        position=int(position),
        id=_or_none(identifier),
        ref=ref,
        alts=() if alts == MISSING else tuple(alts.split(",")),
        quality=None if quality == MISSING else float(quality),
        filters=_or_none(filters),
        info=_info(info),
        format=tuple(fields[8].split(":")) if len(fields) > 8 else (),
        columns=tuple(fields[9:]),
    )


@lru_cache(maxsize=4096)
def genotype(text: str) -> Genotype:
    """GT as text, e.g. `0/1`, `1|1`, `./.`, `1`. Raises ValueError when it is none."""
    phased = "|" in text
    return Genotype(tuple(None if a == MISSING else int(a) for a in text.replace("|", "/").split("/")), phased)


@lru_cache(maxsize=4096)
def allele_type(ref: str, alt: str) -> AlleleType:
    """By the bases that differ, since beside a deletion a SNP is written with the deletion's REF."""
    if alt == SPANNING_DELETION:
        return AlleleType.spanning_deletion
    if not alt.isalpha():
        return AlleleType.symbolic
    before, after = trimmed(ref, alt)
    if len(before) != len(after):
        return AlleleType.indel
    return AlleleType.snp if len(before) == 1 else AlleleType.mnp


def is_transition(ref: str, alt: str) -> bool:
    """A to G, C to T and back. `alt` is a SNP."""
    bases = {*"".join(trimmed(ref.upper(), alt.upper()))}
    return bases in (_PURINES, _PYRIMIDINES)


def trimmed(ref: str, alt: str) -> tuple[str, str]:
    """Without the bases that both share at the end, then at the start."""
    end = 0
    while end < min(len(ref), len(alt)) and ref[-1 - end] == alt[-1 - end]:
        end += 1
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    start = 0
    while start < min(len(ref), len(alt)) and ref[start] == alt[start]:
        start += 1
    return ref[start:], alt[start:]


def _info(text: str) -> dict[str, str]:
    if text == MISSING:
        return {}
    pairs = (item.partition("=") for item in text.split(";"))
    return {key: value for key, _, value in pairs}


def _or_none(text: str) -> str | None:
    return None if text == MISSING else text
