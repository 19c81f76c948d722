"""What is GATK's own: how many gaussians a training set carries."""

from __future__ import annotations

import pytest

from services.vqsr.engines.gatk import gaussians


@pytest.mark.parametrize(
    ("kind", "training", "most"), [("snp", 1000, 2), ("snp", 5000, 5), ("snp", 10**6, 6), ("indel", 10**6, 4)]
)
def test_small_training_sets_get_few_gaussians(kind: str, training: int, most: int) -> None:
    assert gaussians("snp" if kind == "snp" else "indel", training) == most
