"""Figures of a panel, counted from its VCFs in one pass: over the records, and per sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chassis.errors import reject
from chassis.tools import vcf
from contracts.events import PanelSummary
from services.annotate import consequences, records
from services.annotate.records import AlleleType, Genotype, Record

UNFILTERED = "."
"""Stands for records to which no filter was applied."""


@dataclass(slots=True, kw_only=True)
class SampleCounts:
    """One sample's genotypes. All but `called` and `missing` are over records that passed. A genotype is heterozygous
    when its alleles differ and one of them is an ALT; `*` is no ALT, since its variant is another record."""

    name: str
    called: int = 0
    missing: int = 0
    heterozygous: int = 0
    homozygous: int = 0
    """Homozygous for an ALT; hemizygous calls count here."""
    snps: int = 0
    """SNP alleles carried, once or twice."""
    indels: int = 0
    transitions: int = 0
    transversions: int = 0
    singletons: int = 0
    """ALT alleles that the whole panel holds once, in this sample."""
    depth: int = 0
    """Sum of FORMAT/DP over all records that have it."""
    depth_records: int = 0

    @property
    def het_hom(self) -> float | None:
        return _ratio(self.heterozygous, self.homozygous)

    @property
    def ti_tv(self) -> float | None:
        return _ratio(self.transitions, self.transversions)

    @property
    def mean_depth(self) -> float | None:
        return _ratio(self.depth, self.depth_records)


@dataclass(slots=True, kw_only=True)
class PanelCounts:
    """What the counting leaves. `filters` counts records by FILTER, `consequences` ALT alleles of passed records by
    their most severe consequence, `contigs` records by contig."""

    samples: tuple[SampleCounts, ...]
    variants: int = 0
    snps: int = 0
    indels: int = 0
    passed: int = 0
    multiallelic: int = 0
    transitions: int = 0
    transversions: int = 0
    filters: Counter[str] = field(default_factory=Counter)
    consequences: Counter[str] = field(default_factory=Counter)
    contigs: Counter[str] = field(default_factory=Counter)

    def summary(self) -> PanelSummary:
        """As it travels in panel.released."""
        return PanelSummary(
            samples=len(self.samples),
            variants=self.variants,
            snps=self.snps,
            indels=self.indels,
            passed=self.passed,
            ti_tv=_rounded(_ratio(self.transitions, self.transversions)),
            het_hom=_rounded(
                _ratio(sum(s.heterozygous for s in self.samples), sum(s.homozygous for s in self.samples))
            ),
            filtered_rate=round(1 - self.passed / self.variants, 6) if self.variants else 0.0,
        )


def count(vcfs: Sequence[Path]) -> PanelCounts:
    """Count a panel's VCFs (BGZF, same samples in each, no record twice).

    Raises Rejected: EMPTY_INPUT (no VCF, or none with samples), SAMPLE_MISMATCH, VCF_HEADER.
    """
    names = [vcf.samples_of(vcf.header_of(path)) for path in vcfs]
    if not names or not names[0]:
        raise reject(
            code="EMPTY_INPUT",
            message="there is no VCF with samples to count",
            where="the panel",
            rule="a panel has one VCF or more, with its samples",
            fix="gather the panel's intervals first",
        )
    for path, columns in zip(vcfs, names, strict=True):
        if columns != names[0]:
            raise reject(
                code="SAMPLE_MISMATCH",
                message="its sample columns differ from the first VCF's",
                where=path.name,
                rule="all VCFs of a panel have the same samples in the same order",
                fix="gather the panel's intervals again",
            )
    counts = PanelCounts(samples=tuple(SampleCounts(name=name) for name in names[0]))
    for path in vcfs:
        for record in records.read(path):
            try:
                _count_record(counts, record)
            except (ValueError, IndexError):
                raise reject(
                    code="VCF_HEADER",
                    message="a genotype, a depth or a consequence cannot be read",
                    where=f"{path.name}, {record.contig}:{record.position}",
                    rule="INFO and FORMAT fields hold what the VCF specification says",
                    fix="write the file again",
                ) from None
    return counts


def _count_record(counts: PanelCounts, record: Record) -> None:
    types = [records.allele_type(record.ref, alt) for alt in record.alts]
    counts.variants += 1
    counts.contigs[record.contig] += 1
    counts.filters[record.filters or UNFILTERED] += 1
    counts.snps += AlleleType.snp in types
    counts.indels += AlleleType.indel in types
    counts.multiallelic += sum(kind is not AlleleType.spanning_deletion for kind in types) > 1
    fields = [dict(zip(record.format, column.split(":"), strict=False)) for column in record.columns]
    genotypes = [records.genotype(one.get("GT", records.MISSING)) for one in fields]
    for sample, genotype, one in zip(counts.samples, genotypes, fields, strict=True):
        sample.called += genotype.called
        sample.missing += not genotype.called
        depth = one.get("DP", records.MISSING)
        if depth != records.MISSING:
            sample.depth += int(depth)
            sample.depth_records += 1
    if record.passed:
        counts.passed += 1
        _count_passed(counts, record, types, genotypes)


def _count_passed(
    counts: PanelCounts, record: Record, types: Sequence[AlleleType], genotypes: Sequence[Genotype]
) -> None:
    copies = Counter(allele for genotype in genotypes for allele in genotype.alleles if allele)
    told = consequences.of(record.info)
    transitions = frozenset(
        index
        for index, (alt, kind) in enumerate(zip(record.alts, types, strict=True), start=1)
        if kind is AlleleType.snp and records.is_transition(record.ref, alt)
    )
    for index, kind in enumerate(types, start=1):
        worst = consequences.worst(told, index)
        if worst is not None:
            counts.consequences[worst.consequence] += 1
        if kind is AlleleType.snp:
            counts.transitions += index in transitions
            counts.transversions += index not in transitions
    for sample, genotype in zip(counts.samples, genotypes, strict=True):
        own = {index for index in genotype.alleles if index and types[index - 1] is not AlleleType.spanning_deletion}
        if not own:
            continue
        if genotype.called:
            sample.heterozygous += len(set(genotype.alleles)) > 1
            sample.homozygous += len(set(genotype.alleles)) == 1
        for index in own:
            sample.snps += types[index - 1] is AlleleType.snp
            sample.indels += types[index - 1] is AlleleType.indel
            sample.singletons += copies[index] == 1
            if types[index - 1] is AlleleType.snp:
                sample.transitions += index in transitions
                sample.transversions += index not in transitions


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 6)
