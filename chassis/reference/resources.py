"""Known sites and gene models: checked against the reference before anything trusts them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.errors import Rejected, reject
from chassis.reference.fasta import opened

if TYPE_CHECKING:
    from pysam import VariantRecord

_PLACE = re.compile(r"[0-9]{1,10}")


def known_sites(vcf: Path, *, fasta: Path, lengths: Mapping[str, int], out: Path) -> Path:
    """Check each record of `vcf` against the FASTA (with its .fai beside it), and write it bgzipped to `out` with its
    .tbi; returns the index. Raises Rejected: VCF_HEADER, VCF_UNDECLARED, BUILD_MISMATCH, REF_ALLELE, NOT_SORTED, naming
    the record."""
    import pysam

    count = 0
    contig, last, left = "", 0, set[str]()
    try:
        with pysam.VariantFile(str(vcf)) as records, pysam.FastaFile(str(fasta)) as reference:
            # snapshots: htslib adds to the header what it meets undeclared
            declared = (frozenset(records.header.info), frozenset(records.header.formats))
            if records.format != "VCF":
                raise _no_vcf(vcf, "it is no VCF in text")
            for name, header in records.header.contigs.items():
                if header.length is not None and lengths.get(str(name), header.length) != header.length:
                    raise _other_build(vcf, f"contig {name} of the header", "its length differs from the reference's")
            for record in records:
                count += 1
                where = f"record {count} ({record.chrom}:{record.pos})"
                _check_declared(vcf, where, record, *declared)
                if record.chrom not in lengths:
                    raise _other_build(vcf, where, "its contig is not in the reference")
                if record.chrom != contig:
                    left.add(contig)
                    contig, last = record.chrom, 0
                if record.pos < last or record.chrom in left:
                    raise _unsorted(vcf, where)
                last = record.pos
                # not record.stop: a symbolic allele's END lies far beyond its REF
                allele = record.ref or ""
                end = record.start + len(allele)
                if end > lengths[contig]:
                    raise _other_build(vcf, where, "it lies beyond the end of its contig")
                _check_allele(vcf, where, allele, reference.fetch(contig, record.start, end))
    except (ValueError, OSError, NotImplementedError) as error:
        # pysam tells a bad header, a bad record and a truncated file by these alone; the last one is gzip without BGZF
        # of something that is no VCF
        raise _no_vcf(vcf, f"it cannot be read as VCF after record {count}: {error}") from None
    with opened(vcf) as source, pysam.BGZFile(str(out), "wb", None) as target:
        shutil.copyfileobj(source, target)
    pysam.tabix_index(str(out), preset="vcf", force=True)
    return out.with_name(out.name + ".tbi")


def gene_model(gff: Path, *, lengths: Mapping[str, int], out: Path) -> None:
    """Check a GFF3 and write it plain to `out`. Raises Rejected: GFF_FORMAT, BUILD_MISMATCH, INTERVAL_BOUNDS
    with the line, EMPTY_INPUT."""
    features = 0
    with opened(gff) as lines, out.open("wb") as target:
        for number, line in enumerate(lines, start=1):
            if line.startswith(b"##FASTA"):
                break
            target.write(line.rstrip(b"\r\n") + b"\n")
            if line.startswith(b"#") or not line.strip():
                continue
            features += 1
            _check_feature(gff.name, number, line.decode("utf-8", errors="replace").rstrip("\r\n").split("\t"), lengths)
    if features == 0:
        raise reject(
            code="EMPTY_INPUT",
            message="the gene model has no feature",
            where=gff.name,
            rule="a gene model has features",
            fix="give the GFF3 of this reference, or none",
        )


def _check_feature(name: str, number: int, columns: list[str], lengths: Mapping[str, int]) -> None:
    where = f"{name}, line {number}"
    if len(columns) != 9 or not (_PLACE.fullmatch(columns[3]) and _PLACE.fullmatch(columns[4])):
        raise reject(
            code="GFF_FORMAT",
            message="a feature has 9 columns, with numbers in the 4th and 5th",
            where=where,
            rule="GFF3, tab-separated",
            fix="give a GFF3 file (GTF has to be converted)",
        )
    contig, start, end = columns[0], int(columns[3]), int(columns[4])
    if contig not in lengths:
        raise reject(
            code="BUILD_MISMATCH",
            message="the feature's contig is not in the reference",
            where=where,
            rule="gene model and reference are of one build and name contigs alike",
            fix="give the gene model of this reference",
        )
    if not 1 <= start <= end <= lengths[contig]:
        raise reject(
            code="INTERVAL_BOUNDS",
            message="the feature does not lie inside its contig",
            where=where,
            rule=f"1 <= start <= end <= {lengths[contig]}, 1-based and inclusive",
            fix="give the gene model of this reference",
        )


def _check_declared(
    vcf: Path, where: str, record: VariantRecord, info: frozenset[str], formats: frozenset[str]
) -> None:
    for kind, used, known in (("INFO", record.info, info), ("FORMAT", record.format, formats)):
        missing = next((str(key) for key in used if key not in known), None)
        if missing is not None:
            raise reject(
                code="VCF_UNDECLARED",
                message=f"{kind} {missing[:40]} is used and not declared",
                where=f"{vcf.name}, {where}",
                rule="the header declares every INFO and FORMAT key with its type",
                fix="add the header line with `bcftools annotate -h`",
            )


def _check_allele(vcf: Path, where: str, allele: str, bases: str) -> None:
    # an unknown base (N, or an ambiguity code in either) contradicts nothing
    found = zip(allele.upper(), bases.upper(), strict=False)
    if len(allele) != len(bases) or any(a != b and a in "ACGT" and b in "ACGT" for a, b in found):
        raise reject(
            code="REF_ALLELE",
            message="REF is not what the reference has there",
            where=f"{vcf.name}, {where}",
            rule="each REF allele equals the reference's bases at its position",
            fix="give known sites of this build (lift them over, or normalise them with `bcftools norm -c`)",
        )


def _no_vcf(vcf: Path, message: str) -> Rejected:
    return reject(
        code="VCF_HEADER",
        message=message,
        where=vcf.name,
        rule="known sites are a VCF, plain or gzipped",
        fix="check the file with `bcftools view`, which also turns BCF into VCF (-O z)",
    )


def _other_build(vcf: Path, where: str, message: str) -> Rejected:
    return reject(
        code="BUILD_MISMATCH",
        message=message,
        where=f"{vcf.name}, {where}",
        rule="known sites and reference are of one build and name contigs alike",
        fix="give the known sites of this reference",
    )


def _unsorted(vcf: Path, where: str) -> Rejected:
    return reject(
        code="NOT_SORTED",
        message="the records are not in order",
        where=f"{vcf.name}, {where}",
        rule="records of a contig stand together, by position",
        fix="sort the file with `bcftools sort`",
    )
