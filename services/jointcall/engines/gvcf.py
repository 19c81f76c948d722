"""What a gVCF must be before it is imported. GATK itself passes over several of these without a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.errors import Rejected, reject
from chassis.reference.local import LocalReference
from chassis.tools import vcf
from contracts.values import Interval
from services.jointcall.engines.protocol import GvcfInput

NON_REF = "<NON_REF>"
_KNOWN_BASES = frozenset("ACGT")


@dataclass(frozen=True, slots=True, kw_only=True)
class GvcfRecords:
    """Records of a gVCF that start in an interval; `variants` are those with an allele besides `<NON_REF>`: the
    density that intervals are planned by."""

    records: int
    variants: int


def sample_name_of(gvcf: Path) -> str:
    """The name inside the file. Raises Rejected: GZIP_TRUNCATED, VCF_HEADER where there is not exactly one sample."""
    _require_whole(gvcf)
    return _one_sample(gvcf, vcf.header_of(gvcf))


def check_batch(
    batch: Sequence[GvcfInput], *, interval: Interval, reference: LocalReference
) -> tuple[GvcfRecords, ...]:
    """`check` for each gVCF, and that no sample comes twice. Raises Rejected (EMPTY_INPUT, COHORT_DUPLICATE, or as
    `check`)."""
    if not batch:
        raise reject(
            code="EMPTY_INPUT",
            message="no gVCF was given",
            where=f"interval {interval}",
            rule="a generation has at least one sample",
            fix="select at least one sample",
        )
    first: dict[str, GvcfInput] = {}
    for one in batch:
        earlier = first.get(one.name)
        if earlier is not None:
            raise reject(
                code="COHORT_DUPLICATE",
                message=f"{one.path.name} and {earlier.path.name} hold the same sample",
                where=one.path.name,
                rule="a sample is in a cohort once",
                fix="keep the newer version of the sample's gVCF",
            )
        first[one.name] = one
    contigs = contigs_of(reference)
    bases = _bases(reference, interval)
    return tuple(_check(one, interval=interval, contigs=contigs, bases=bases) for one in batch)


def check(gvcf: GvcfInput, *, interval: Interval, reference: LocalReference) -> GvcfRecords:
    """Read the header and the records of `interval`.

    Raises Rejected: GZIP_TRUNCATED, VCF_HEADER, SAMPLE_MISMATCH, UNSAFE_ID, BUILD_MISMATCH, INDEX_STALE, GVCF_ORDER,
    GVCF_NON_REF (one record without it makes GATK drop the site for all samples, silently), REF_ALLELE.
    """
    return _check(gvcf, interval=interval, contigs=contigs_of(reference), bases=_bases(reference, interval))


def contigs_of(reference: LocalReference) -> tuple[tuple[str, int], ...]:
    """(name, length) of the reference's sequences, in order, from its `.fai`."""
    rows = (line.split("\t") for line in reference.fai.read_text(encoding="ascii").splitlines())
    return tuple((name, int(length)) for name, length, *_ in rows)


def _check(gvcf: GvcfInput, *, interval: Interval, contigs: tuple[tuple[str, int], ...], bases: str) -> GvcfRecords:
    where = gvcf.path.name
    _require_whole(gvcf.path)
    header = vcf.header_of(gvcf.path)
    if _one_sample(gvcf.path, header) != gvcf.name:
        raise reject(
            code="SAMPLE_MISMATCH",
            message="the sample inside the gVCF is not the one it was sent for",
            where=f"{where}, #CHROM line",
            rule="the name in the #CHROM line is the sample's",
            fix="send the gVCF of the sample that is meant",
        )
    if not gvcf.name.isprintable() or gvcf.name != gvcf.name.strip() or gvcf.name.startswith("-"):
        raise reject(
            code="UNSAFE_ID",
            message="the sample's name has control characters, a leading '-' or spaces at an end",
            where=f"{where}, #CHROM line",
            rule="a sample's name is printable, without tabs and without spaces around it",
            fix="rename the sample where the gVCF is made",
        )
    if vcf.contigs_of(header) != contigs:
        raise reject(
            code="BUILD_MISMATCH",
            message=_difference(vcf.contigs_of(header), contigs),
            where=f"{where}, ##contig lines",
            rule="the gVCF's contigs are the reference's: names, lengths and order",
            fix="call the sample against the cohort's reference",
        )
    return _check_records(gvcf, interval=interval, bases=bases)


def _check_records(gvcf: GvcfInput, *, interval: Interval, bases: str) -> GvcfRecords:
    import pysam

    try:
        with pysam.TabixFile(str(gvcf.path), index=str(gvcf.index)) as tabix:
            if interval.contig not in tabix.contigs:
                return GvcfRecords(records=0, variants=0)
            found = tabix.fetch(interval.contig, interval.start - 1, interval.end)
            return _count(found, gvcf=gvcf, interval=interval, bases=bases)
    except (OSError, ValueError) as error:
        raise reject(
            code="INDEX_STALE",
            message=f"the index cannot be used ({type(error).__name__})",
            where=gvcf.index.name,
            rule="the index is there and was made from this very file",
            fix="index the gVCF again",
        ) from error


def _count(lines: Iterable[str], *, gvcf: GvcfInput, interval: Interval, bases: str) -> GvcfRecords:
    records = variants = before = 0
    for line in lines:
        contig, position, _, ref, alt, *_ = line.split("\t", 5)
        at = int(position)
        if at < before:
            raise _bad_record(
                gvcf,
                f"{contig}:{at}",
                code="GVCF_ORDER",
                message="a record stands behind a later one",
                rule="records are sorted by position",
                fix="sort and index the gVCF",
            )
        before = at
        if not alt.endswith(NON_REF):
            raise _bad_record(
                gvcf,
                f"{contig}:{at}",
                code="GVCF_NON_REF",
                message=f"a record has no {NON_REF} allele",
                rule=f"each record of a gVCF has {NON_REF} as its last allele",
                fix="call with -ERC GVCF, and keep the gVCF from tools that trim alleles",
            )
        if at < interval.start:
            continue
        if not _agrees(ref, bases, at - interval.start):
            raise _bad_record(
                gvcf,
                f"{contig}:{at}",
                code="REF_ALLELE",
                message="REF is not what the reference has there",
                rule="REF is the reference's sequence",
                fix="call the sample against the cohort's reference",
            )
        records += 1
        variants += alt != NON_REF
    return GvcfRecords(records=records, variants=variants)


def _agrees(ref: str, bases: str, offset: int) -> bool:
    stretch = bases[offset : offset + len(ref)]
    if ref[: len(stretch)] == stretch:
        return True
    # an ambiguous base of the reference stands for several
    return all(mine == theirs or theirs not in _KNOWN_BASES for mine, theirs in zip(ref.upper(), stretch, strict=False))


def _bases(reference: LocalReference, interval: Interval) -> str:
    import pysam

    with pysam.FastaFile(str(reference.fasta)) as fasta:
        return str(fasta.fetch(interval.contig, interval.start - 1, interval.end)).upper()


def _require_whole(gvcf: Path) -> None:
    if not vcf.is_whole(gvcf):
        raise reject(
            code="GZIP_TRUNCATED",
            message="the file has no end block",
            where=gvcf.name,
            rule="a BGZF file ends with its empty block",
            fix="copy or write the gVCF again",
        )


def _one_sample(path: Path, header: Sequence[bytes]) -> str:
    names = vcf.samples_of(header)
    if len(names) != 1:
        raise reject(
            code="VCF_HEADER",
            message=f"the gVCF has {len(names)} samples",
            where=f"{path.name}, #CHROM line",
            rule="a gVCF has exactly one sample",
            fix="send each sample's own gVCF, not a merged one",
        )
    return names[0]


def _difference(theirs: tuple[tuple[str, int], ...], ours: tuple[tuple[str, int], ...]) -> str:
    lengths = dict(ours)
    for name, length in theirs:
        if name not in lengths:
            return f"{name} is no contig of the reference"
        if lengths[name] != length:
            return f"{name} has {length} bases, the reference's {lengths[name]}"
    absent = [name for name, _ in ours if name not in dict(theirs)]
    return f"{absent[0]} is not in the gVCF" if absent else "the contigs stand in another order"


def _bad_record(gvcf: GvcfInput, where: str, *, code: str, message: str, rule: str, fix: str) -> Rejected:
    return reject(code=code, message=message, where=f"{gvcf.path.name}, record at {where}", rule=rule, fix=fix)
