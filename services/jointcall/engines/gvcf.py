"""What a gVCF must be before it is imported. GATK itself passes over several of these without a word."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from chassis.errors import Rejected, reject
from chassis.reference.local import LocalReference
from chassis.tools import vcf
from chassis.tools.index_content import require_tabix_of, stale
from contracts.values import Interval
from services.jointcall.engines.protocol import GvcfInput
from services.jointcall.engines.records import GvcfRecords, Reading, Stretch, left_out

__all__ = ["GvcfRecords", "check", "check_batch", "contigs_of", "sample_name_of"]


def sample_name_of(gvcf: Path) -> str:
    """The name inside the file. Raises Rejected: GZIP_TRUNCATED, VCF_HEADER where there is not exactly one sample."""
    require_whole(gvcf)
    return one_sample(vcf.header_of(gvcf), where=gvcf.name)


def check_batch(
    batch: Sequence[GvcfInput], *, interval: Interval, reference: LocalReference
) -> tuple[GvcfRecords, ...]:
    """`check` for each gVCF, and that no sample comes twice. Raises Rejected (EMPTY_INPUT, COHORT_DUPLICATE, or as
    `check`)."""
    require_some(batch, interval=interval)
    require_distinct(batch)
    contigs = contigs_of(reference)
    bases = bases_of(reference, interval)
    regions = declared_regions(reference, interval)
    return tuple(_check(one, interval=interval, contigs=contigs, bases=bases, regions=regions) for one in batch)


def require_some(batch: Sequence[GvcfInput], *, interval: Interval) -> None:
    """Raises Rejected EMPTY_INPUT."""
    if not batch:
        raise reject(
            code="EMPTY_INPUT",
            message="no gVCF was given",
            where=f"interval {interval}",
            rule="a generation has at least one sample",
            fix="select at least one sample",
        )


def require_distinct(batch: Sequence[GvcfInput]) -> None:
    """Raises Rejected COHORT_DUPLICATE."""
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


def check(gvcf: GvcfInput, *, interval: Interval, reference: LocalReference) -> GvcfRecords:
    """Read the header and the records of `interval`.

    Raises Rejected: GZIP_TRUNCATED, VCF_HEADER, SAMPLE_MISMATCH, UNSAFE_ID, BUILD_MISMATCH, INDEX_STALE, GVCF_ORDER,
    GVCF_NON_REF (one record without it makes GATK drop the site for all samples, silently), VCF_UNDECLARED, PLOIDY,
    REF_ALLELE, and GVCF_COVERAGE where the input must cover its intervals.
    """
    return _check(
        gvcf,
        interval=interval,
        contigs=contigs_of(reference),
        bases=bases_of(reference, interval),
        regions=declared_regions(reference, interval),
    )


def contigs_of(reference: LocalReference) -> tuple[tuple[str, int], ...]:
    """(name, length) of the reference's sequences, in order, from its `.fai`."""
    rows = (line.split("\t") for line in reference.fai.read_text(encoding="ascii").splitlines())
    return tuple((name, int(length)) for name, length, *_ in rows)


def _check(
    gvcf: GvcfInput,
    *,
    interval: Interval,
    contigs: tuple[tuple[str, int], ...],
    bases: str,
    regions: Sequence[Stretch],
) -> GvcfRecords:
    where = gvcf.path.name
    require_whole(gvcf.path)
    header = vcf.header_of(gvcf.path)
    require_header(header, name=gvcf.name, contigs=contigs, where=where)
    require_tabix_of(gvcf.path, gvcf.index)
    reading = Reading(file=where, interval=interval, bases=bases, declared=vcf.Declared(header), regions=regions)
    found = _read(gvcf, reading)
    if found.gaps and gvcf.must_cover:
        raise gaps_refused(where, interval.contig, found.gaps)
    return found


def require_header(header: Sequence[bytes], *, name: str, contigs: tuple[tuple[str, int], ...], where: str) -> None:
    """The header is of the sample `name` and of the reference. Raises Rejected: VCF_HEADER, SAMPLE_MISMATCH, UNSAFE_ID,
    BUILD_MISMATCH."""
    if one_sample(header, where=where) != name:
        raise reject(
            code="SAMPLE_MISMATCH",
            message="the sample inside the gVCF is not the one it was sent for",
            where=f"{where}, #CHROM line",
            rule="the name in the #CHROM line is the sample's",
            fix="send the gVCF of the sample that is meant",
        )
    if not name.isprintable() or name != name.strip() or name.startswith("-"):
        raise reject(
            code="UNSAFE_ID",
            message="the sample's name has control characters, a leading '-' or spaces at an end",
            where=f"{where}, #CHROM line",
            rule="a sample's name is printable, without tabs and without spaces around it",
            fix="rename the sample where the gVCF is made",
        )
    theirs = _contigs_in(tuple(line for line in header if line.startswith(b"##contig=<")))
    if theirs != contigs:
        raise reject(
            code="BUILD_MISMATCH",
            message=_difference(theirs, contigs),
            where=f"{where}, ##contig lines",
            rule="the gVCF's contigs are the reference's: names, lengths and order",
            fix="call the sample against the cohort's reference",
        )


def _read(gvcf: GvcfInput, reading: Reading) -> GvcfRecords:
    import pysam

    interval = reading.interval
    try:
        with pysam.TabixFile(str(gvcf.path), index=str(gvcf.index)) as tabix:
            if interval.contig not in tabix.contigs:
                return GvcfRecords(records=0, variants=0, gaps=tuple(left_out(reading.regions, ())))
            return reading.read(tabix.fetch(interval.contig, interval.start - 1, interval.end))
    except (OSError, ValueError) as error:
        raise stale(gvcf.index, f"the index cannot be used ({type(error).__name__})") from error


def gaps_refused(where: str, contig: str, gaps: Sequence[Stretch]) -> Rejected:
    """GVCF_COVERAGE, naming the first stretch that is missing."""
    start, end = gaps[0]
    more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
    return reject(
        code="GVCF_COVERAGE",
        message=f"no record covers {contig}:{start}-{end}{more}",
        where=f"{where}, {contig}:{start}-{end}",
        rule="a gVCF covers every base of the reference's calling intervals: without a record no one knows of a base "
        "whether it was read",
        fix="call the sample again over all calling intervals, or let it pass by name (`cohortstream samples pass`) or "
        "by policy (jointcall.coverage_policy)",
    )


def declared_regions(reference: LocalReference, interval: Interval) -> tuple[Stretch, ...]:
    """The reference's calling intervals as far as they lie in `interval`, sorted."""
    return tuple(
        sorted(
            (max(one.start, interval.start), min(one.end, interval.end))
            for one in reference.intervals
            if one.contig == interval.contig and one.start <= interval.end and one.end >= interval.start
        )
    )


def bases_of(reference: LocalReference, interval: Interval) -> str:
    """The interval's bases, in capitals."""
    import pysam

    with pysam.FastaFile(str(reference.fasta)) as fasta:
        return str(fasta.fetch(interval.contig, interval.start - 1, interval.end)).upper()


def require_whole(gvcf: Path) -> None:
    """Raises Rejected GZIP_TRUNCATED."""
    if not vcf.is_whole(gvcf):
        raise reject(
            code="GZIP_TRUNCATED",
            message="the file has no end block",
            where=gvcf.name,
            rule="a BGZF file ends with its empty block",
            fix="copy or write the gVCF again",
        )


def one_sample(header: Sequence[bytes], *, where: str) -> str:
    """The only sample's name. Raises Rejected VCF_HEADER."""
    names = vcf.samples_of(header)
    if len(names) != 1:
        raise reject(
            code="VCF_HEADER",
            message=f"the gVCF has {len(names)} samples",
            where=f"{where}, #CHROM line",
            rule="a gVCF has exactly one sample",
            fix="send each sample's own gVCF, not a merged one",
        )
    return names[0]


@lru_cache(maxsize=8)
def _contigs_in(lines: tuple[bytes, ...]) -> tuple[tuple[str, int], ...]:
    """A reference may have thousands, and a cohort's samples all have the same."""
    return vcf.contigs_of(lines)


def _difference(theirs: tuple[tuple[str, int], ...], ours: tuple[tuple[str, int], ...]) -> str:
    lengths = dict(ours)
    for name, length in theirs:
        if name not in lengths:
            return f"{name[:60]} is no contig of the reference"
        if lengths[name] != length:
            return f"{name} has {length} bases, the reference's {lengths[name]}"
    absent = [name for name, _ in ours if name not in dict(theirs)]
    return f"{absent[0]} is not in the gVCF" if absent else "the contigs stand in another order"
