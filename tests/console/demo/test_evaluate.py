"""The comparison's figures on VCFs made by hand, whose answers are known."""

from pathlib import Path

import pytest

from console.demo.alleles import Allele
from console.demo.evaluate import Counts, Discordance, Evaluation, evaluate
from console.demo.population import Population, write_reference, write_truth

#            1234567890123456789012345678901234567890
REFERENCE = "GATCCACACACATGGTTTTACGTAGCTAGGATCCATTGAC"
SAMPLES = ("A", "B")


def _vcf(path: Path, *records: str, samples: tuple[str, ...] = SAMPLES) -> Path:
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID=c,length={len(REFERENCE)}>",
        '##FILTER=<ID=LowQD,Description="low">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]),
    ]
    for record in records:
        position, ref, alt, status, *genotypes = record.split()
        lines.append("\t".join(["c", position, ".", ref, alt, ".", status, ".", "GT", *genotypes]))
    path.write_text("\n".join(lines) + "\n")
    return path


class Case:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reference = folder / "reference.fa"
        self.reference.write_text(f">c\n{REFERENCE}\n")

    def compare(self, *, truth: list[str], panel: list[str], bed: str | None = None) -> Evaluation:
        confident = None
        if bed is not None:
            confident = self.folder / "confident.bed"
            confident.write_text(bed)
        return evaluate(
            truth_vcf=_vcf(self.folder / "truth.vcf", *truth),
            panel_vcfs=[_vcf(self.folder / "panel.vcf", *panel)],
            samples=SAMPLES,
            reference=self.reference,
            confident=confident,
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_an_equal_panel_is_perfect(case: Case) -> None:
    records = ["1 G A PASS 0|1 1|1", "12 AT A PASS 1|0 0|0"]
    result = case.compare(truth=records, panel=records)
    assert result.passing.snp == Counts(truth=2, panel=2, matched=2, compared=2)
    assert result.passing.indel == Counts(truth=1, panel=1, matched=1, compared=1)
    assert result.passing.concordance == 1.0
    assert result.discordances == ()


def test_a_missed_site_costs_recall_alone(case: Case) -> None:
    result = case.compare(truth=["1 G A PASS 0|1 1|1", "20 C T PASS 0|1 0|0"], panel=["1 G A PASS 0/1 1/1"])
    assert result.passing.snp == Counts(truth=3, panel=2, matched=2, compared=2)
    assert result.passing.snp.recall == pytest.approx(2 / 3)
    assert result.passing.snp.precision == 1.0
    assert result.passing.snp.concordance == 1.0
    assert result.discordances == (
        Discordance(allele=Allele(contig="c", position=19, ref="C", alt="T"), sample="A", truth=1, panel=0),
    )


def test_an_extra_site_costs_precision_alone(case: Case) -> None:
    result = case.compare(truth=["1 G A PASS 0|1 1|1"], panel=["1 G A PASS 0/1 1/1", "20 C T PASS 0/0 0/1"])
    assert result.passing.snp == Counts(truth=2, panel=3, matched=2, compared=2)
    assert result.passing.snp.recall == 1.0
    assert result.passing.snp.precision == pytest.approx(2 / 3)


def test_a_wrong_zygosity_costs_recall_precision_and_concordance(case: Case) -> None:
    result = case.compare(truth=["1 G A PASS 0|1 1|1"], panel=["1 G A PASS 1/1 1/1"])
    assert result.passing.snp == Counts(truth=2, panel=2, matched=1, compared=2)
    assert result.passing.concordance == 0.5


def test_the_same_genotype_in_the_wrong_person_is_a_miss_and_an_error(case: Case) -> None:
    result = case.compare(truth=["1 G A PASS 0|1 0|0"], panel=["1 G A PASS 0/0 0/1"])
    assert result.passing.snp == Counts(truth=1, panel=1, matched=0, compared=1)


def test_a_record_with_several_alleles_is_as_good_as_several_records(case: Case) -> None:
    result = case.compare(
        truth=["1 G A PASS 0|1 0|0", "1 G T PASS 0|0 1|1", "12 ATG A PASS 1|0 0|0", "12 A AC PASS 0|1 0|0"],
        panel=["1 G A,T PASS 0/1 2/2", "12 ATG A,ACTG PASS 1/2 0/0"],
    )
    assert result.passing.snp == Counts(truth=2, panel=2, matched=2, compared=2)
    assert result.passing.indel == Counts(truth=2, panel=2, matched=2, compared=2)


def test_an_indel_is_the_same_wherever_in_its_repeat_it_is_written(case: Case) -> None:
    # the truth writes the loss of one CA at the repeat's left end, the panel at its right end and with spare bases
    assert REFERENCE[3:12] == "CCACACACA"
    result = case.compare(truth=["4 CCA C PASS 0|1 1|1"], panel=["9 CACA CA PASS 0/1 1/1"])
    assert result.passing.indel == Counts(truth=2, panel=2, matched=2, compared=2)


def test_a_substitution_of_several_bases_is_its_snps(case: Case) -> None:
    result = case.compare(truth=["1 G A PASS 0|1 0|0", "3 T C PASS 0|1 0|0"], panel=["1 GAT AAC PASS 0/1 0/0"])
    assert result.passing.snp == Counts(truth=2, panel=2, matched=2, compared=2)


def test_a_star_is_dosage_zero_of_the_records_other_alleles(case: Case) -> None:
    # given a deletion on one haplotype with a SNP on the other: 1|0 and *|T in the truth
    truth = ["19 TACGT T PASS 1|0 0|0", "21 C T,* PASS 2|1 0|0"]
    panel = ["19 TACGT T PASS 0/1 0/0", "21 C *,T PASS 1/2 0/0"]
    result = case.compare(truth=truth, panel=panel)
    assert result.passing.snp == Counts(truth=1, panel=1, matched=1, compared=1)
    assert result.passing.indel == Counts(truth=1, panel=1, matched=1, compared=1)


def test_a_no_call_is_not_recalled_and_not_an_error(case: Case) -> None:
    result = case.compare(
        truth=["1 G A PASS 0|1 0|0", "20 C T PASS 0|1 1|1"], panel=["1 G A PASS ./. ./.", "20 C T PASS ./1 1/1"]
    )
    assert result.passing.snp == Counts(truth=3, panel=1, matched=1, compared=1)
    assert result.passing.snp.precision == 1.0


def test_an_unknown_truth_counts_nowhere(case: Case) -> None:
    result = case.compare(truth=["1 G A PASS .|. 0|1"], panel=["1 G A PASS 0/1 0/1"])
    assert result.passing.snp == Counts(truth=1, panel=1, matched=1, compared=1)


def test_records_that_did_not_pass_count_only_in_the_second_set_of_figures(case: Case) -> None:
    result = case.compare(
        truth=["1 G A PASS 0|1 0|0", "20 C T PASS 0|1 0|0"],
        panel=["1 G A PASS 0/1 0/0", "20 C T LowQD 0/1 0/0", "25 C G . 0/1 0/0"],
    )
    assert result.passing.snp == Counts(truth=2, panel=1, matched=1, compared=1)
    assert result.every.snp == Counts(truth=2, panel=3, matched=2, compared=2)
    assert result.filters == {"PASS": 1, "LowQD": 1, ".": 1}


def test_alleles_outside_the_confident_regions_count_nowhere(case: Case) -> None:
    result = case.compare(
        truth=["1 G A PASS 0|1 0|0", "20 C T PASS 0|1 0|0"], panel=["25 C G PASS 0/1 0/0"], bed="c\t10\t20\n"
    )
    assert result.passing.snp == Counts(truth=1, panel=0, matched=0, compared=0)


def test_a_panel_may_come_in_parts(case: Case, tmp_path: Path) -> None:
    parts = [_vcf(tmp_path / "1.vcf", "1 G A PASS 0/1 0/0"), _vcf(tmp_path / "2.vcf", "20 C T PASS 0/1 0/0")]
    truth = _vcf(tmp_path / "t.vcf", "1 G A PASS 0|1 0|0", "20 C T PASS 0|1 0|0")
    result = evaluate(truth_vcf=truth, panel_vcfs=parts, samples=["A"], reference=case.reference)
    assert result.passing.snp == Counts(truth=2, panel=2, matched=2, compared=2)


def test_rates_over_nothing_are_null_in_json(case: Case) -> None:
    told = case.compare(truth=["1 G A PASS 0|1 0|0"], panel=["1 G A PASS 0/1 0/0"]).to_json()
    assert told["recall"] == {"snp": 1.0, "indel": None}
    assert told["precision"] == {"snp": 1.0, "indel": None}
    assert told["genotype_concordance"] == 1.0
    assert told["all_records"]["recall"] == {"snp": 1.0, "indel": None}


def test_a_missing_sample_and_another_reference_are_named(case: Case, tmp_path: Path) -> None:
    truth = _vcf(tmp_path / "t.vcf", "1 G A PASS 0|1", samples=("A",))
    with pytest.raises(ValueError, match=r"t\.vcf has no column for B"):
        evaluate(truth_vcf=truth, panel_vcfs=[], samples=SAMPLES, reference=case.reference)
    with pytest.raises(ValueError, match=r"panel\.vcf, c:5: not of this reference"):
        case.compare(truth=["1 G A PASS 0|1 0|0"], panel=["5 GGG G PASS 0/1 0/0"])


def test_the_simulated_truth_compared_with_itself_is_perfect(population: Population, tmp_path: Path) -> None:
    reference = write_reference(population, tmp_path / "reference.fa")
    truth = write_truth(population, tmp_path / "truth.vcf.gz")
    result = evaluate(truth_vcf=truth, panel_vcfs=[truth], samples=population.samples, reference=reference)
    assert result.passing == result.every
    assert result.passing.snp.recall == result.passing.indel.precision == result.passing.concordance == 1.0
    assert result.passing.indel.truth > 20
