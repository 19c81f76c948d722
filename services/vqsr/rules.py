"""When a model is fitted and when hard filters do instead: pure, and said in words that travel with the panel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contracts.events import FilterDecision

VariantType = Literal["snp", "indel"]
VARIANT_TYPES: tuple[VariantType, ...] = ("snp", "indel")
"""Mixed and symbolic sites count as indels, as VariantRecalibrator's modes have it."""

ANNOTATIONS: Mapping[VariantType, tuple[str, ...]] = {
    "snp": ("QD", "MQ", "MQRankSum", "ReadPosRankSum", "FS", "SOR", "DP"),
    "indel": ("QD", "MQRankSum", "ReadPosRankSum", "FS", "SOR", "DP"),
}
"""GATK's recommendation for genomes; MQ is left out for indels, whose reads map worse even when the indel is true."""

FEWEST_ANNOTATIONS = 2  # one annotation is a threshold: a mixture of gaussians has nothing to add
ZERO_VARIANCE = 1e-10
"""VariantRecalibrator refuses a standard deviation below 1e-5 among its training sites."""

GENOMES_WORTH: Mapping[VariantType, int] = {"snp": 1_000_000, "indel": 100_000}
"""Training sites that a single whole genome brings. GATK's advice is some 30 exomes or one genome: with as many
sites the number of samples does not matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimums:
    """The least a model is fitted on, by this site's own statement (VariantRecalibrator itself exits 0 with three
    sites)."""

    samples: int
    training_snps: int
    training_indels: int

    def training(self, variant_type: VariantType) -> int:
        return self.training_snps if variant_type == "snp" else self.training_indels


def decide(
    variant_type: VariantType,
    *,
    samples: int,
    training_variants: int,
    minimums: Minimums,
    annotation_variance: Mapping[str, float],
) -> FilterDecision:
    """How to filter this type.

    `training_variants` are the cohort's sites that the training resources hold; `annotation_variance` is measured
    over those (absent or NaN: seen in fewer than two of them). The first rule that speaks against a model is the
    one stated.
    """
    plural = f"{variant_type}s"
    kept = tuple(one for one in ANNOTATIONS[variant_type] if _varies(annotation_variance.get(one)))
    dropped = tuple(one for one in ANNOTATIONS[variant_type] if one not in kept)
    least = minimums.training(variant_type)
    against: str | None = None
    if training_variants < least:
        against = (
            f"{training_variants} {plural} are in the training resources, "
            f"fewer than the {least} that a model is fitted on"
        )
    elif samples < minimums.samples and training_variants < GENOMES_WORTH[variant_type]:
        against = (
            f"{samples} samples are fewer than {minimums.samples}, and {training_variants} training {plural} "
            f"are less than a genome's worth ({GENOMES_WORTH[variant_type]})"
        )
    elif len(kept) < FEWEST_ANNOTATIONS:
        against = (
            f"{len(kept)} of {len(ANNOTATIONS[variant_type])} annotations vary among the training {plural}, "
            f"fewer than {FEWEST_ANNOTATIONS}"
        )
    if against is not None:
        return FilterDecision(
            variant_type=variant_type,
            method="hard-filter",
            rule=f"hard filters: {against}",
            training_variants=training_variants,
            dropped_annotations=dropped,
        )
    return FilterDecision(
        variant_type=variant_type,
        method="vqsr",
        rule=f"a model: {samples} samples and {training_variants} training {plural} meet the minimums "
        f"({minimums.samples} samples or a genome's worth; {least} training {plural})",
        training_variants=training_variants,
        annotations=kept,
        dropped_annotations=dropped,
    )


def fall_back(decision: FilterDecision, *, reason: str) -> FilterDecision:
    """The decision after a model was tried and could not be fitted; `reason` as the tool said it."""
    return FilterDecision(
        variant_type=decision.variant_type,
        method="hard-filter",
        rule=f"hard filters: a model was tried and could not be fitted ({reason})"[:500],
        training_variants=decision.training_variants,
        dropped_annotations=decision.dropped_annotations,
    )


def _varies(variance: float | None) -> bool:
    return variance is not None and not math.isnan(variance) and variance >= ZERO_VARIANCE
