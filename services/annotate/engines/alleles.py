"""The alleles of a VCF as csq is asked about them: one line each, without genotypes, checked against the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.errors import Rejected, ToolFailed, reject
from chassis.tools import vcf

if TYPE_CHECKING:
    from pysam import FastaFile

BASES = re.compile(rb"[ACGTNacgtn]+")
"""An ALT that says something about bases: not `*`, `<DEL>` or a breakend."""


def write_alleles(path: Path, *, contigs: tuple[bytes, ...], fasta: Path, out: Path) -> int:
    """Write one line for each ALT that is made of bases, named `<record>.<allele>` (from 0, from 1), as plain VCF;
    returns how many. `contigs` are the header's `##contig` lines.

    Raises Rejected: NOT_SORTED, BUILD_MISMATCH (a contig that the reference lacks), REF_ALLELE, since csq does not
    look at every REF; ToolFailed when the FASTA cannot be opened.
    """
    alleles, before = 0, (b"", 0)
    with out.open("wb") as sites, _opened(fasta) as bases:
        sites.write(b"##fileformat=VCFv4.2\n")
        sites.writelines(line + b"\n" for line in contigs)
        sites.write(b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for number, (contig, position, ref, alts) in enumerate(_places(path)):
            at = (contig, int(position))
            where = f"{path.name}, record {number + 1} ({contig.decode()}:{at[1]})"
            if at[0] == before[0] and at[1] < before[1]:
                raise _unsorted(where, after=before[1])
            if not _agree(ref.decode(), _fetch(bases, at, len(ref), where)):
                raise _other_allele(where)
            before = at
            for allele, alt in enumerate(alts.split(b","), start=1):
                if BASES.fullmatch(alt):
                    sites.write(b"%s\t%s\t%d.%d\t%s\t%s\t.\t.\t.\n" % (contig, position, number, allele, ref, alt))
                    alleles += 1
    return alleles


def other_build(where: str, message: str) -> Rejected:
    return reject(
        code="BUILD_MISMATCH",
        message=message,
        where=where,
        rule="the panel and the reference bundle have the same contigs",
        fix="annotate with the reference that the calls were made against",
    )


def _places(path: Path) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    for line in vcf.lines(path):
        if not line.startswith(b"#"):
            contig, position, _, ref, alts, _ = line.split(b"\t", 5)
            yield contig, position, ref, alts


def _opened(fasta: Path) -> FastaFile:
    import pysam

    try:
        return pysam.FastaFile(str(fasta))
    except OSError as error:
        raise ToolFailed(tool="faidx", status="failed", said=f"{fasta.name} cannot be opened") from error


def _fetch(bases: FastaFile, at: tuple[bytes, int], length: int, where: str) -> str:
    try:
        return bases.fetch(at[0].decode(), at[1] - 1, at[1] - 1 + length)
    except (KeyError, ValueError):
        raise other_build(where, "the reference has no such contig") from None


def _agree(ref: str, bases: str) -> bool:
    # GATK writes N for every ambiguity code: an unknown base contradicts nothing
    return len(ref) == len(bases) and all(
        a == b or a not in "ACGT" or b not in "ACGT" for a, b in zip(ref.upper(), bases.upper(), strict=True)
    )


def _unsorted(where: str, *, after: int) -> Rejected:
    return reject(
        code="NOT_SORTED",
        message=f"it comes after position {after}",
        where=where,
        rule="records stand in genome order",
        fix="sort the file with `bcftools sort`",
    )


def _other_allele(where: str) -> Rejected:
    return reject(
        code="REF_ALLELE",
        message="REF is not what the reference has there",
        where=where,
        rule="each REF allele equals the reference's bases at its position",
        fix="annotate with the reference that the calls were made against",
    )
