"""Known sites and gene models: checked against the reference before anything trusts them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from chassis.errors import Rejected, reject
from chassis.reference.fasta import opened


def known_sites(vcf: Path, *, fasta: Path, lengths: Mapping[str, int], out: Path) -> Path:
    """Check each record of `vcf` against the FASTA (with its .fai beside it), and write it bgzipped to `out` with its
    .tbi; returns the index. Raises Rejected: VCF_HEADER, BUILD_MISMATCH, REF_ALLELE, NOT_SORTED, naming the record."""
    import pysam

    count = 0
    contig, last, left = "", 0, set[str]()
    try:
        with pysam.VariantFile(str(vcf)) as records, pysam.FastaFile(str(fasta)) as reference:
            for name, header in records.header.contigs.items():
                if header.length is not None and lengths.get(str(name), header.length) != header.length:
                    raise _other_build(vcf, f"contig {name} of the header", "its length differs from the reference's")
            for record in records:
                count += 1
                where = f"record {count} ({record.chrom}:{record.pos})"
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
    except (ValueError, OSError) as error:
        # pysam tells a bad header, a bad record and a truncated file by these two alone
        raise reject(
            code="VCF_HEADER",
            message=f"it cannot be read as VCF after record {count}: {error}",
            where=vcf.name,
            rule="known sites are a VCF, plain or gzipped",
            fix="check the file with `bcftools view`",
        ) from None
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
    if len(columns) != 9 or not (columns[3].isdigit() and columns[4].isdigit()):
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
