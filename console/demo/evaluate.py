"""How well a panel tells what a truth set says: recall, precision and concordance of people's genotypes.

The unit is a *genotype*: one person's dosage (0, 1 or 2 copies) of one alternate allele. Records are split into their
alternate alleles, and each allele is brought to its left-aligned, parsimonious form against the reference, so that two
spellings of one change are one allele; dosages of the same allele in several records add up.

- truth: genotypes of dosage 1 or 2 in the truth VCF;
- panel: genotypes of dosage 1 or 2 in the panel, where the truth does not say "unknown";
- matched: genotypes whose dosage is the same, and not 0, in both;
- **recall** = matched / truth, **precision** = matched / panel. A wrong zygosity counts against both;
- **concordance** = matched / those truth genotypes whose allele the panel has and whose person it calls there: how
  often the panel has the right dosage where it has an opinion about the allele.

SNPs are alleles of one base for one base; all others are indels. Substitutions of several bases are taken apart into
SNPs first. The *primary* figures take a record of the panel into account when its FILTER is PASS (an unset FILTER is
not PASS); the same figures over all records stand beside them. The truth is taken whole.

`*` is no allele of its own: a person with `*` has dosage 0 of the record's other alleles, which is what the upstream
deletion says; symbolic alleles are no alleles either. A genotype with a missing allele (`./.`, `./1`) is unknown: in
the panel it is not recalled and not an error; in the truth it takes the genotype out of every figure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.demo.alleles import Allele, decompose

PASS = "PASS"  # noqa: S105 a filter's name
# a person's dosage by allele and sample; None is unknown, and an allele or sample that is not there has dosage 0
Dosages = Mapping[Allele, Mapping[str, int | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Genotypes of one kind of allele; `compared` is concordance's denominator. A rate over nothing is None."""

    truth: int = 0
    panel: int = 0
    matched: int = 0
    compared: int = 0

    @property
    def recall(self) -> float | None:
        return self.matched / self.truth if self.truth else None

    @property
    def precision(self) -> float | None:
        return self.matched / self.panel if self.panel else None

    @property
    def concordance(self) -> float | None:
        return self.matched / self.compared if self.compared else None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            truth=self.truth + other.truth,
            panel=self.panel + other.panel,
            matched=self.matched + other.matched,
            compared=self.compared + other.compared,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """SNPs and indels apart."""

    snp: Counts
    indel: Counts

    @property
    def concordance(self) -> float | None:
        return (self.snp + self.indel).concordance

    def to_json(self) -> dict[str, Any]:
        kinds = {"snp": self.snp, "indel": self.indel}
        return {
            "recall": {kind: counts.recall for kind, counts in kinds.items()},
            "precision": {kind: counts.precision for kind, counts in kinds.items()},
            "concordance": {kind: counts.concordance for kind, counts in kinds.items()},
            "genotypes": {
                kind: {"truth": counts.truth, "panel": counts.panel, "matched": counts.matched}
                for kind, counts in kinds.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """A genotype that truth and panel tell differently; None is unknown."""

    allele: Allele
    sample: str
    truth: int
    panel: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The primary figures (PASS records), those of all records, and what lies behind the primary ones.

    `filters` counts the panel's records by their FILTER; `discordances` are sorted by place.
    """

    samples: tuple[str, ...]
    passing: Accuracy
    every: Accuracy
    filters: Mapping[str, int]
    discordances: tuple[Discordance, ...]

    def to_json(self) -> dict[str, Any]:
        """Rates by kind at the top level are the primary ones; `genotype_concordance` is over both kinds."""
        return {
            "samples": len(self.samples),
            "genotype_concordance": self.passing.concordance,
            **self.passing.to_json(),
            "all_records": {"genotype_concordance": self.every.concordance, **self.every.to_json()},
            "filters": dict(self.filters),
        }


def evaluate(
    *,
    truth_vcf: Path,
    panel_vcfs: Sequence[Path],
    samples: Sequence[str],
    reference: Path,
    confident: Path | None = None,
) -> Evaluation:
    """Compare the panel's genotypes of `samples` with the truth's; the module's text defines every figure.

    `panel_vcfs` are the panel's parts (contigs or intervals), which share no record. `confident` is a BED file: alleles
    whose normal position (REF's first base) lies outside it count nowhere. The reference must be indexable: a `.fai`
    is made beside it when there is none. Raises ValueError when a VCF lacks one of the samples, or when a REF is not
    what the reference says.
    """
    import pysam

    with pysam.FastaFile(str(reference)) as fasta:
        genome = {contig: fasta.fetch(contig).upper() for contig in fasta.references}
    regions = None if confident is None else read_bed(confident)
    truth, _ = _read_dosages([truth_vcf], samples, genome, regions, only_pass=False)
    passing, filters = _read_dosages(panel_vcfs, samples, genome, regions, only_pass=True)
    every, _ = _read_dosages(panel_vcfs, samples, genome, regions, only_pass=False)
    return Evaluation(
        samples=tuple(samples),
        passing=_accuracy(truth, passing, samples),
        every=_accuracy(truth, every, samples),
        filters=filters,
        discordances=tuple(_discordances(truth, passing, samples)),
    )


def read_bed(path: Path) -> dict[str, list[tuple[int, int]]]:
    """The regions of a BED file (0-based, half-open) by contig."""
    regions: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "track", "browser")):
            contig, start, end, *_ = line.split("\t")
            regions[contig].append((int(start), int(end)))
    return dict(regions)


def _read_dosages(
    paths: Sequence[Path],
    samples: Sequence[str],
    genome: Mapping[str, str],
    regions: Mapping[str, Sequence[tuple[int, int]]] | None,
    *,
    only_pass: bool,
) -> tuple[dict[Allele, dict[str, int | None]], dict[str, int]]:
    """Dosages by allele and sample over all files, and the number of records with each FILTER."""
    import pysam

    dosages: dict[Allele, dict[str, int | None]] = defaultdict(dict)
    filters: Counter[str] = Counter()
    for path in paths:
        with pysam.VariantFile(str(path)) as vcf:
            lacking = sorted(set(samples) - set(vcf.header.samples))
            if lacking:
                raise ValueError(f"{path.name} has no column for {', '.join(lacking)}")
            for record in vcf:
                status = ";".join(map(str, record.filter.keys())) or "."
                filters[status] += 1
                if only_pass and status != PASS:
                    continue
                for number, alt in enumerate(record.alts or (), start=1):
                    for allele in _alleles(path, genome, record, alt):
                        if regions is None or _inside(regions, allele):
                            _add(dosages[allele], record, number, samples)
    return dict(dosages), dict(filters)


def _alleles(path: Path, genome: Mapping[str, str], record: Any, alt: str) -> list[Allele]:
    try:
        return decompose(genome[record.contig], record.contig, record.start, record.ref, alt)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path.name}, {record.contig}:{record.pos}: not of this reference ({error})") from error


def _inside(regions: Mapping[str, Sequence[tuple[int, int]]], allele: Allele) -> bool:
    return any(start <= allele.position < end for start, end in regions.get(allele.contig, ()))


def _add(dosages: dict[str, int | None], record: Any, number: int, samples: Sequence[str]) -> None:
    for sample in samples:
        genotype = record.samples[sample].get("GT") or (None,)
        known = dosages.get(sample)
        if None in genotype:
            # another record may know what this one does not
            dosages[sample] = known
        else:
            dosages[sample] = (known or 0) + genotype.count(number)


def _pairs(truth: Dosages, panel: Dosages, samples: Sequence[str]) -> Iterator[tuple[Allele, str, int, int | None]]:
    """Every genotype whose truth is known, with both dosages; an allele that a side lacks has dosage 0 there."""
    for allele in sorted(truth.keys() | panel.keys()):
        for sample in samples:
            said = truth.get(allele, {}).get(sample, 0)
            if said is not None:
                yield allele, sample, said, panel.get(allele, {}).get(sample, 0)


def _accuracy(truth: Dosages, panel: Dosages, samples: Sequence[str]) -> Accuracy:
    tallies: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for allele, _, said, found in _pairs(truth, panel, samples):
        tally = tallies[allele.is_snp]
        tally["truth"] += said > 0
        tally["panel"] += found is not None and found > 0
        tally["matched"] += said > 0 and found == said
        tally["compared"] += said > 0 and allele in panel and found is not None
    return Accuracy(snp=Counts(**tallies[True]), indel=Counts(**tallies[False]))


def _discordances(truth: Dosages, panel: Dosages, samples: Sequence[str]) -> Iterator[Discordance]:
    for allele, sample, said, found in _pairs(truth, panel, samples):
        if found != said and (said > 0 or found is not None):
            yield Discordance(allele=allele, sample=sample, truth=said, panel=found)
