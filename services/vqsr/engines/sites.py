"""Sites-only VCFs: gathered over intervals, and measured before a model is tried on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from chassis.errors import Rejected, ToolFailed, reject
from chassis.tools import vcf
from services.vqsr.rules import ANNOTATIONS, VARIANT_TYPES, VariantType

_CHROM, _POS, _REF, _ALT, _FILTER, _INFO = 0, 1, 3, 4, 6, 7
_UNFILTERED = frozenset({"PASS", "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatistics:
    """Of one variant type. `variance` (of the sample) by annotation, over the training sites that have a value; an
    annotation with fewer than two values is absent."""

    variants: int
    training_variants: int
    variance: Mapping[str, float]


def gather_sites(sites: Sequence[Path], out: Path) -> int:
    """Concatenate sites-only VCFs, given in genome order, and index the result. Returns the number of records.

    Raises Rejected (VCF_HEADER) when headers differ: then the intervals were not called by the same engine.
    """
    header = vcf.lasting(vcf.header_of(sites[0]))
    records = 0
    with vcf.writing(out) as sink:
        sink.write(b"\n".join(header) + b"\n")
        for one in sites:
            if not vcf.is_whole(one):
                raise ToolFailed(tool="gather", status="incomplete", said=f"{one.name} has no end block")
            if vcf.lasting(vcf.header_of(one)) != header:
                raise _other_header(one, sites[0])
            for line in vcf.lines(one):
                if not line.startswith(b"#"):
                    sink.write(line + b"\n")
                    records += 1
    vcf.index(out)
    return records


def measure(sites: Path, *, resources: Sequence[Path]) -> Mapping[VariantType, SiteStatistics]:
    """What a model would be fitted on, by VariantRecalibrator's own idea of a training site: unfiltered, at the
    start of an unfiltered resource record of the same class. Both sides are read in order, once; resources need an
    index."""
    import pysam

    spreads = {one: {name: _Spread() for name in ANNOTATIONS[one]} for one in VARIANT_TYPES}
    variants = dict.fromkeys(VARIANT_TYPES, 0)
    training = dict.fromkeys(VARIANT_TYPES, 0)
    with ExitStack() as opened:
        tables = [opened.enter_context(pysam.TabixFile(str(one))) for one in resources]
        contig = ""
        known: list[_Ahead] = []
        for line in vcf.lines(sites):
            if line.startswith(b"#"):
                continue
            columns = line.decode().split("\t", 8)
            if columns[_FILTER] not in _UNFILTERED:
                continue
            if columns[_CHROM] != contig:
                contig = columns[_CHROM]
                known = [_Ahead(table.fetch(contig)) for table in tables if contig in table.contigs]
            kind = type_of(columns[_REF], columns[_ALT])
            variants[kind] += 1
            if any(table.has(int(columns[_POS]), kind) for table in known):
                training[kind] += 1
                for name, value in _values(columns[_INFO]):
                    if name in spreads[kind]:
                        spreads[kind][name].add(value)
    return {
        kind: SiteStatistics(
            variants=variants[kind],
            training_variants=training[kind],
            variance={name: one.variance for name, one in spreads[kind].items() if one.count > 1},
        )
        for kind in VARIANT_TYPES
    }


def type_of(ref: str, alts: str) -> VariantType:
    """By VariantRecalibrator's modes: a SNP when all alleles are as long as REF, anything else an indel."""
    return "snp" if all(len(one) == len(ref) and not one.startswith("<") for one in alts.split(",")) else "indel"


class _Ahead:
    """A sorted stream of resource records, asked for ascending positions."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = _unfiltered(lines)
        self._next = next(self._lines, None)
        self._at = 0
        self._kinds: set[VariantType] = set()

    def has(self, position: int, kind: VariantType) -> bool:
        if position != self._at:
            self._at, self._kinds = position, set()
            while self._next is not None and self._next[0] <= position:
                if self._next[0] == position:
                    self._kinds.add(self._next[1])
                self._next = next(self._lines, None)
        return kind in self._kinds


def _unfiltered(lines: Iterable[str]) -> Iterator[tuple[int, VariantType]]:
    for line in lines:
        columns = line.split("\t", 8)
        if columns[_FILTER] in _UNFILTERED:
            yield int(columns[_POS]), type_of(columns[_REF], columns[_ALT])


def _values(entries: str) -> Iterator[tuple[str, float]]:
    for entry in entries.split(";"):
        name, _, text = entry.partition("=")
        try:
            value = float(text)
        except ValueError:
            continue  # a flag, a list or a string: none that a model takes
        if math.isfinite(value):
            yield name, value


class _Spread:
    """Welford's running variance: one pass, and no difference of large sums."""

    def __init__(self) -> None:
        self.count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        step = value - self._mean
        self._mean += step / self.count
        self._squares += step * (value - self._mean)

    @property
    def variance(self) -> float:
        return self._squares / (self.count - 1)


def _other_header(one: Path, first: Path) -> Rejected:
    return reject(
        code="VCF_HEADER",
        message=f"the header differs from that of {first.name}",
        where=one.name,
        rule="the intervals of a freeze are called by one engine against one reference",
        fix="genotype the freeze's intervals again with one engine",
    )
