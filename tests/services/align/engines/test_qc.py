"""The verdict follows thresholds that are data."""

import dataclasses
from pathlib import Path

import pytest

from chassis.errors import Rejected
from contracts.values import QcStatus
from services.align.engines.metrics import median
from services.align.engines.protocol import CramMetrics
from services.align.engines.registry import engine_for, versions_of
from services.align.qc import load_rules, verdict

GOOD = CramMetrics(
    reads=1000,
    mapped=0.99,
    duplication=0.1,
    mean_coverage=31.0,
    insert_median=400.0,
    fingerprint="0" * 64,
    libraries=("L",),
    read_groups=("F.1.A",),
)


def test_a_good_sample_passes_every_built_in_set() -> None:
    for name in ("default", "demo", "tiny"):
        given = verdict(load_rules(name), GOOD)
        assert (given.status, given.rules, given.reasons) == (QcStatus.passed, name, ())


def test_thresholds_themselves_pass() -> None:
    edge = dataclasses.replace(GOOD, mean_coverage=20.0, mapped=0.95, duplication=0.30, insert_median=200.0)

    assert verdict(load_rules("default"), edge).status is QcStatus.passed


def test_each_threshold_missed_is_a_reason_and_the_worst_is_the_verdict() -> None:
    rules = load_rules("default")
    held = dataclasses.replace(GOOD, duplication=0.5)
    failed = dataclasses.replace(held, mean_coverage=3.0)

    assert verdict(rules, held).status is QcStatus.held
    assert verdict(rules, failed).status is QcStatus.failed
    assert verdict(rules, failed).reasons == ("mean_coverage 3 is below 20", "duplication 0.5 is above 0.3")


def test_a_figure_that_is_no_number_passes_nothing() -> None:
    assert verdict(load_rules("default"), dataclasses.replace(GOOD, mapped=float("nan"))).status is QcStatus.failed


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("[a]\nreads = { at_least = 1, otherwise = 'fail' }", "b", "only a"),
        ("[a]\nreads = { otherwise = 'fail' }", "a", "either at_least or at_most"),
        ("[a]\nreads = { at_least = 1, otherwise = 'maybe' }", "a", "a.reads.otherwise"),
        ("[a]\ncoverage = { at_least = 1, otherwise = 'fail' }", "a", "a.coverage is no figure"),
        ("[a]\nlibraries = { at_least = 1, otherwise = 'fail' }", "a", "a.libraries is no figure"),
        ("[a]", "a", "empty"),
        ("a = 1", "a", "a.: "),
        ("[a", "a", "cannot be read"),
    ],
)
def test_rules_that_are_none_are_refused(tmp_path: Path, text: str, name: str, says: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)

    with pytest.raises(Rejected) as refused:
        load_rules(name, path=path)

    assert refused.value.rejection.code == "CONFIG_QC_RULES"
    assert says in refused.value.rejection.message


def test_the_median_of_counted_values() -> None:
    from collections import Counter

    assert median(Counter()) == 0.0
    assert median(Counter({5: 1})) == 5.0
    assert median(Counter({1: 1, 9: 1})) == 5.0
    assert median(Counter({1: 2, 7: 1, 9: 2})) == 7.0
    assert median(Counter({3: 10, 400: 1})) == 3.0


def test_an_engine_that_is_not_there_is_a_matter_of_the_settings() -> None:
    with pytest.raises(Rejected, match="CONFIG_ENGINE"):
        engine_for("abacus", memory_mb=1000)
    with pytest.raises(Rejected, match="CONFIG_ENGINE"):
        versions_of("abacus")
    assert "GATK 4.6.2.0" in versions_of("cpu")
