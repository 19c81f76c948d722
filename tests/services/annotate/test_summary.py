"""The figures of a release, against a count by hand and against pysam's; and a report that says how it was filtered."""

from __future__ import annotations

import html
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

from chassis.errors import Rejected
from contracts.events import FilterDecision, PanelSummary
from contracts.values import Provenance, ReferenceId
from services.annotate import report, summary

Line = Callable[..., str]
WriteVcf = Callable[..., Path]

REFERENCE = ReferenceId(name="tiny", digest="0" * 32)
PROVENANCE = Provenance(tool="bcftools-csq", version="1.24", parameters="0" * 64)
FALLBACK = (
    FilterDecision(variant_type="snp", method="hard-filter", rule="fewer than 30 samples", training_variants=12),
    FilterDecision(variant_type="indel", method="hard-filter", rule="fewer than 30 samples", training_variants=3),
)


@pytest.fixture
def panel(write_vcf: WriteVcf, record: Line) -> list[Path]:
    first = [
        record("chr1", 10, "A", "G", "0/1", "1/1", "./."),  # transition
        record("chr1", 20, "A", "C", "0/1", "0/0", "0/0"),  # transversion, singleton
        record("chr1", 30, "A", "G,T", "1/2", "0/1", "0/0"),  # one of each
        record("chr1", 40, "CAT", "C,GAT", "0/1", "0/2", "0/0"),  # a deletion, and a SNP written with its REF
        record("chr1", 41, "A", "*,G", "0/1", "1/2", "1/1"),  # `*` is a variant of another record
        record("chr1", 50, "A", "G", "1/1", "1/1", "1/1", filters="QD2"),
    ]
    second = [
        record("chr2", 5, "A", "AT", "0|1", "1", ".", info="BCSQ=frameshift|G,intron|G;BCSQ_ALLELE=1,1"),
        record("chr2", 9, "A", "C", "0/0", "0/0", "0/0", filters="."),
    ]
    return [write_vcf("1.vcf.gz", first), write_vcf("2.vcf.gz", second)]


def test_a_count_by_hand(panel: list[Path]) -> None:
    counts = summary.count(panel)
    assert counts.summary() == PanelSummary(
        samples=3,
        variants=8,
        snps=7,
        indels=2,
        passed=6,
        # A>G at 10, 30, 41; A>C at 20, A>T at 30, C>G at 40
        ti_tv=1.0,
        # het: 10, 20, 30, 40 and chr2:5 in the first, 30, 40, 41 in the second; hom: 10 and chr2:5 in the second
        het_hom=4.0,
        filtered_rate=0.25,
    )
    first, second, third = counts.samples
    assert (first.heterozygous, first.homozygous, first.snps, first.indels) == (5, 0, 4, 2)
    assert (second.heterozygous, second.homozygous, second.snps, second.indels) == (3, 2, 4, 1)
    assert (third.heterozygous, third.homozygous, third.missing, third.called) == (0, 0, 2, 6)
    assert (first.singletons, second.singletons) == (3, 2)
    assert first.ti_tv == 1.0
    assert first.mean_depth == 15.0
    assert third.het_hom is None
    assert counts.filters == Counter({"PASS": 6, "QD2": 1, ".": 1})
    assert counts.consequences == Counter({"frameshift": 1})
    assert counts.contigs == Counter({"chr1": 6, "chr2": 2})
    assert counts.multiallelic == 2


def test_ratios_without_a_denominator_are_absent(write_vcf: WriteVcf, record: Line) -> None:
    for lines in ([], [record("chr1", 10, "A", "AT", "0/1", "0/0", "0/0")]):
        counted = summary.count([write_vcf("in.vcf.gz", lines)]).summary()
        assert counted.ti_tv is None
        assert counted.het_hom is None
        assert counted.filtered_rate == 0


def test_the_counts_are_those_that_pysam_makes(write_vcf: WriteVcf, record: Line) -> None:
    rng = random.Random(11)
    lines = []
    for position in range(1, 400):
        ref = rng.choice("ACGT")
        alts = rng.sample([base for base in "ACGT" if base != ref] + [ref + "TT"], rng.choice([1, 1, 2]))
        texts = ["0/0", "0/1", "1/1", "./.", "0|1", *(["1/2", "2/2"] if len(alts) > 1 else [])]
        filters = rng.choice(["PASS", "PASS", "QD2"])
        lines.append(record("chr1", position, ref, ",".join(alts), *rng.choices(texts, k=3), filters=filters))
    path = write_vcf("in.vcf.gz", lines)
    pysam.tabix_index(str(path), preset="vcf")
    het: Counter[str] = Counter()
    hom: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    with pysam.VariantFile(str(path)) as opened:
        for one in opened:
            kinds = {"snp" if len(alt) == len(one.ref or "") else "indel" for alt in one.alts or ()}
            seen.update(["variants", *kinds])
            if "PASS" not in one.filter:
                continue
            seen.update(["passed"])
            for alt in one.alts or ():
                if len(alt) == 1:
                    seen.update(["ti" if {one.ref, alt} in ({"A", "G"}, {"C", "T"}) else "tv"])
            for name, call in one.samples.items():
                alleles = call.allele_indices
                if alleles and None not in alleles and any(alleles):
                    (hom if len(set(alleles)) == 1 else het)[name] += 1
    counts = summary.count([path])
    figures = counts.summary()
    assert (figures.variants, figures.snps, figures.indels) == (seen["variants"], seen["snp"], seen["indel"])
    assert figures.passed == seen["passed"]
    assert figures.ti_tv == pytest.approx(seen["ti"] / seen["tv"], abs=1e-6)
    assert figures.het_hom == pytest.approx(het.total() / hom.total(), abs=1e-6)
    assert {one.name: (one.heterozygous, one.homozygous) for one in counts.samples} == {
        name: (het[name], hom[name]) for name in het
    }


def test_what_cannot_be_counted_is_refused(write_vcf: WriteVcf, record: Line, panel: list[Path]) -> None:
    cases = {
        "EMPTY_INPUT": [write_vcf("sites.vcf.gz", [], samples=())],
        "SAMPLE_MISMATCH": [panel[0], write_vcf("other.vcf.gz", [], samples=("NA001",))],
        "VCF_HEADER": [write_vcf("bad.vcf.gz", [record("chr1", 5, "A", "C", "0/1", "x/y", "0/0")])],
    }
    for code, paths in cases.items():
        with pytest.raises(Rejected) as refused:
            summary.count(paths)
        assert refused.value.rejection.code == code
    with pytest.raises(Rejected):
        summary.count([])


def documented(panel: list[Path], *, gene_model: bool = True) -> dict[str, object]:
    return report.document(
        freeze="isles:2",
        reference=REFERENCE,
        counts=summary.count(panel),
        decisions=FALLBACK,
        provenance=PROVENANCE,
        gene_model=gene_model,
    )


def test_the_report_says_how_it_was_filtered(panel: list[Path], tmp_path: Path) -> None:
    written = report.write(documented(panel), tmp_path / "report")
    read = json.loads(written.json.read_text())
    assert read["summary"]["variants"] == 8
    assert [(one["variant_type"], one["method"]) for one in read["filtering"]] == [
        ("snp", "hard-filter"),
        ("indel", "hard-filter"),
    ]
    assert read["consequences"] == {"frameshift": 1}
    assert [one["sample"] for one in read["samples"]] == ["NA001", "NA002", "NA003"]
    page = html.unescape(written.html.read_text())
    for said in ("hard filters", "fewer than 30 samples", "NA002", "isles:2", "frameshift"):
        assert said in page
    # it opens without a network
    assert "http" not in page
    assert "src=" not in page


def test_the_report_says_when_there_is_no_gene_model(panel: list[Path]) -> None:
    assert "no gene model" in report.html(documented(panel, gene_model=False))
    assert "no gene model" not in report.html(documented(panel))


def test_names_in_the_report_are_text_not_markup(write_vcf: WriteVcf, record: Line) -> None:
    vcf = write_vcf("in.vcf.gz", [record("chr1", 5, "A", "C", "0/1")], samples=("<script>alert(1)</script>",))
    assert "<script>" not in report.html(documented([vcf]))
