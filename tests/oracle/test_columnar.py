"""The columnar joint genotyper against GATK: a quick selection. `python -m tests.oracle` runs the long one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.cohorts import Cohort, write
from tests.oracle.judge import columnar, judge
from tests.oracle.made import cohort, draw
from tests.oracle.sources import KEPT_COHORTS

pytestmark = pytest.mark.tools

QUICK_BP = {"1kg-chr22": 60_000, "simulated-finest": 8_000, "simulated-reblocked": 8_000}
"""At the end of a cohort, where the whole takes GATK long; all of them whole in the long run."""
ALL_SITES_BP = 3000


def ending(cohort: Cohort, length: int) -> Cohort:
    return replace(cohort, first=max(cohort.first, cohort.last - length))


# the default bands are among those of mixed ploidy
@pytest.mark.parametrize("name", sorted(KEPT_COHORTS.keys() - {"simulated-default"}))
def test_kept_cohorts(name: str, tmp_path: Path) -> None:
    kept = KEPT_COHORTS[name](tmp_path)
    report = judge(ending(kept, QUICK_BP.get(name, kept.last)), columnar(), tmp_path)
    assert report.good, report.table()
    assert report.sites >= 3


@pytest.mark.parametrize("name", ["1kg-chr22", "simulated-mixed-ploidy", "forms"])
def test_kept_cohorts_with_all_sites(name: str, tmp_path: Path) -> None:
    report = judge(ending(KEPT_COHORTS[name](tmp_path), ALL_SITES_BP), columnar(), tmp_path, all_sites=True)
    assert report.good, report.table()


@pytest.mark.parametrize(("seed", "people"), [(1, 3), (2, 12), (3, 30)])
def test_made_cohorts(seed: int, people: int, tmp_path: Path) -> None:
    made = cohort(seed, tmp_path, people=people, sites=150)
    for all_sites in (False, True):
        report = judge(made, columnar(), tmp_path, all_sites=all_sites)
        assert report.good, report.table()


# the same examples each time: GATK's answers to them are kept
@settings(max_examples=10, derandomize=True, database=None)
@given(rng=st.randoms(use_true_random=False), people=st.integers(1, 4), sites=st.integers(1, 6))
def test_cohorts_that_shrink(rng: Random, people: int, sites: int) -> None:
    texts = draw(rng, people=people, sites=sites)
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        report = judge(write(texts, Path(folder)), columnar(), Path(folder))
    assert report.good, f"{texts}\n{report.table()}"
