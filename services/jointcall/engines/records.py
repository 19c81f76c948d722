"""The records of a gVCF in one interval, each checked against header, reference and the records before it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from chassis.errors import Rejected, reject
from chassis.tools.vcf import Declared
from contracts.values import Interval
from services.jointcall.engines import ploidy

NON_REF = "<NON_REF>"
PLOIDY_RULE = (
    "a genotype has two alleles; on X, Y and the mitochondrion one or two; PL has one value per genotype of that ploidy"
)
_KNOWN_BASES = frozenset("ACGT")

Stretch = tuple[int, int]
"""First and last base, 1-based."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GvcfRecords:
    """Records of a gVCF that start in an interval; `variants` are those with an allele besides `<NON_REF>`: the
    density that intervals are planned by. `gaps`: stretches of the declared regions that no record covers."""

    records: int
    variants: int
    gaps: tuple[Stretch, ...] = ()


@dataclass(slots=True, kw_only=True)
class Reading:
    """One gVCF (`file` is its name) read over `interval`, whose reference bases are `bases`. `regions`: the declared
    ones within it."""

    file: str
    interval: Interval
    bases: str
    declared: Declared
    regions: Sequence[Stretch]
    _places: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Of GT and PL in each FORMAT column met, -1 where it has none."""

    def read(self, lines: Iterable[str], *, before: int = 0) -> GvcfRecords:
        """`before`: where the record before these starts. Raises Rejected: FORMAT_MISMATCH, GVCF_ORDER, GVCF_NON_REF,
        VCF_UNDECLARED, PLOIDY, REF_ALLELE."""
        records = variants = 0
        covered: list[Stretch] = []
        for line in lines:
            contig, position, _, ref, alt, _, _, about, names, cell = self._columns(line)
            at = int(position)
            if at < before:
                raise self._refused(
                    f"{contig}:{at}",
                    code="GVCF_ORDER",
                    message="a record stands behind a later one",
                    rule="records are sorted by position",
                    fix="sort and index the gVCF",
                )
            before = at
            # the common case first: a gVCF has tens of millions of records
            if not alt.endswith(NON_REF):
                raise self._no_non_ref(f"{contig}:{at}")
            missing = self.declared.missing(about, names)
            if missing is not None:
                raise self._undeclared(f"{contig}:{at}", missing)
            said = self._ploidy_fault(contig, names, cell, alleles=2 + alt.count(","))
            if said is not None:
                raise self._ploidy(f"{contig}:{at}", said)
            _cover(covered, at, _end(about) or at + len(ref) - 1)
            if at < self.interval.start:
                continue
            if not _agrees(ref, self.bases, at - self.interval.start):
                raise self._refused(
                    f"{contig}:{at}",
                    code="REF_ALLELE",
                    message="REF is not what the reference has there",
                    rule="REF is the reference's sequence",
                    fix="call the sample against the cohort's reference",
                )
            records += 1
            variants += alt != NON_REF
        return GvcfRecords(records=records, variants=variants, gaps=tuple(left_out(self.regions, covered)))

    def _columns(self, line: str) -> list[str]:
        columns = line.split("\t")
        if len(columns) == 10 and columns[1].isdigit():
            return columns
        raise self._refused(
            ":".join(columns[:2])[:80],
            code="FORMAT_MISMATCH",
            message="this is no gVCF record",
            rule="a record has nine columns and one sample's, tab-separated, a position in the second",
            fix="call the sample again, and keep the gVCF from tools that rewrite its columns",
        )

    def _ploidy_fault(self, contig: str, names: str, cell: str, *, alleles: int) -> str | None:
        places = self._places.get(names)
        if places is None:
            keys = names.split(":")
            places = tuple(keys.index(key) if key in keys else -1 for key in ("GT", "PL"))
            self._places[names] = places
        values = cell.split(":")
        genotype, likelihoods = (values[at] if 0 <= at < len(values) else "." for at in places)
        return ploidy.fault(genotype, likelihoods, alleles=alleles, contig=contig)

    def _no_non_ref(self, where: str) -> Rejected:
        return self._refused(
            where,
            code="GVCF_NON_REF",
            message=f"a record has no {NON_REF} allele",
            rule=f"each record of a gVCF has {NON_REF} as its last allele",
            fix="call with -ERC GVCF, and keep the gVCF from tools that trim alleles",
        )

    def _undeclared(self, where: str, missing: str) -> Rejected:
        return self._refused(
            where,
            code="VCF_UNDECLARED",
            message=f"{missing} is used and not declared",
            rule="the header declares every INFO and FORMAT key with its type",
            fix="add the header line with `bcftools annotate -h`, or call the sample again",
        )

    def _ploidy(self, where: str, said: str) -> Rejected:
        return self._refused(
            where,
            code="PLOIDY",
            message=said,
            rule=PLOIDY_RULE,
            fix="call the sample again with the ploidy of the contig (HaplotypeCaller -ploidy)",
        )

    def _refused(self, where: str, *, code: str, message: str, rule: str, fix: str) -> Rejected:
        return reject(code=code, message=message, where=f"{self.file}, record at {where}", rule=rule, fix=fix)


def left_out(regions: Iterable[Stretch], covered: Sequence[Stretch]) -> Iterable[Stretch]:
    """What of `regions` the `covered` stretches leave out; both sorted, `covered` without overlaps."""
    for start, end in regions:
        known = start - 1
        for at in range(bisect_left(covered, start, key=itemgetter(1)), len(covered)):
            first, last = covered[at]
            if first > end:
                break
            if first > known + 1:
                yield known + 1, first - 1
            known = last
        if known < end:
            yield known + 1, end


def _cover(covered: list[Stretch], start: int, end: int) -> None:
    if covered and start <= covered[-1][1] + 1:
        covered[-1] = covered[-1][0], max(covered[-1][1], end)
    else:
        covered.append((start, end))


def _end(about: str) -> int | None:
    for part in about.split(";"):
        if part.startswith("END=") and part[4:].isdigit():
            return int(part[4:])
    return None


def _agrees(ref: str, bases: str, offset: int) -> bool:
    stretch = bases[offset : offset + len(ref)]
    if ref[: len(stretch)] == stretch:
        return True
    # an ambiguous base of the reference stands for several
    return all(mine == theirs or theirs not in _KNOWN_BASES for mine, theirs in zip(ref.upper(), stretch, strict=False))
