"""Which rule decides how a variant type is filtered, and that it says so."""

from __future__ import annotations

import math

import pytest

from contracts.events import FilterDecision
from services.vqsr.rules import ANNOTATIONS, GENOMES_WORTH, Minimums, VariantType, decide, fall_back

MINIMUMS = Minimums(samples=30, training_snps=5000, training_indels=2000)
ALL_VARY = dict.fromkeys(ANNOTATIONS["snp"], 1.0)


def snps(
    *, samples: int = 30, training_variants: int = 5000, annotation_variance: dict[str, float] = ALL_VARY
) -> FilterDecision:
    return decide(
        "snp",
        samples=samples,
        training_variants=training_variants,
        minimums=MINIMUMS,
        annotation_variance=annotation_variance,
    )


def test_a_cohort_that_meets_the_minimums_gets_a_model() -> None:
    decision = snps()
    assert decision.method == "vqsr"
    assert decision.annotations == ANNOTATIONS["snp"]
    assert decision.dropped_annotations == ()
    assert "30 samples and 5000 training snps" in decision.rule


@pytest.mark.parametrize(
    ("variant_type", "training", "least"), [("snp", 4999, "5000"), ("indel", 1999, "2000"), ("indel", 0, "2000")]
)
def test_too_small_an_overlap_with_the_training_sites(variant_type: VariantType, training: int, least: str) -> None:
    decision = decide(
        variant_type, samples=1000, training_variants=training, minimums=MINIMUMS, annotation_variance=ALL_VARY
    )
    assert decision.method == "hard-filter"
    assert f"{training} {variant_type}s are in the training resources, fewer than the {least}" in decision.rule


def test_too_few_samples() -> None:
    decision = snps(samples=29, training_variants=999_999)
    assert decision.method == "hard-filter"
    assert "29 samples are fewer than 30" in decision.rule


def test_a_genomes_worth_of_sites_makes_up_for_samples() -> None:
    assert snps(samples=1, training_variants=GENOMES_WORTH["snp"]).method == "vqsr"


@pytest.mark.parametrize("still", [{"MQ": 0.0}, {"MQ": 1e-11}, {"MQ": math.nan}, {}])
def test_an_annotation_that_does_not_vary_is_dropped_by_name(still: dict[str, float]) -> None:
    others = {name: 1.0 for name in ANNOTATIONS["snp"] if name != "MQ"}
    decision = snps(annotation_variance={**others, **still})
    assert decision.method == "vqsr"
    assert decision.dropped_annotations == ("MQ",)
    assert "MQ" not in decision.annotations


def test_fewer_than_two_annotations_make_no_model() -> None:
    decision = snps(annotation_variance={"QD": 1.0})
    assert decision.method == "hard-filter"
    assert decision.annotations == ()
    assert len(decision.dropped_annotations) == len(ANNOTATIONS["snp"]) - 1
    assert "1 of 7 annotations vary" in decision.rule
    assert snps(annotation_variance={"QD": 1.0, "FS": 1.0}).method == "vqsr"


def test_a_model_that_could_not_be_fitted_falls_back_and_says_why() -> None:
    decision = fall_back(snps(), reason="NaN LOD value assigned " * 40)
    assert decision.method == "hard-filter"
    assert decision.annotations == ()
    assert "could not be fitted (NaN LOD" in decision.rule
    assert decision.training_variants == 5000
