"""Samples named by people: by label, by project and label, by key."""

from __future__ import annotations

import pytest

from chassis.errors import Rejected
from console.labels import Labels

ONE, TWO, THREE = (f"smp_{digit * 24}" for digit in "123")


@pytest.fixture
def labels() -> Labels:
    return Labels(
        [
            {"key": ONE, "project": "GENOMES", "label": "HG00100", "version": 1},
            {"key": TWO, "project": "GENOMES", "label": "twin", "version": 2},
            {"key": THREE, "project": "PILOT", "label": "twin", "version": 1},
        ]
    )


def code_of(labels: Labels, named: str) -> tuple[str, str]:
    with pytest.raises(Rejected) as refused:
        labels.resolve(named)
    return refused.value.rejection.code, refused.value.rejection.fix


def test_a_sample_is_found_by_label_by_project_and_label_and_by_key(labels: Labels) -> None:
    assert labels.resolve("HG00100") == labels.resolve("GENOMES/HG00100") == labels.resolve(ONE) == ONE
    assert labels.resolve("PILOT/twin") == THREE


def test_a_label_of_two_projects_is_ambiguous_and_says_both(labels: Labels) -> None:
    assert code_of(labels, "twin") == ("SAMPLE_AMBIGUOUS", "say GENOMES/twin or PILOT/twin")


def test_an_unknown_name_suggests_the_nearest(labels: Labels) -> None:
    assert code_of(labels, "HG0010") == ("SAMPLE_UNKNOWN", "did you mean HG00100?")
    assert code_of(labels, "OTHER/HG00100")[0] == "SAMPLE_UNKNOWN"


def test_a_key_is_taken_at_its_word_only_where_no_label_is_known(labels: Labels) -> None:
    stranger = f"smp_{'f' * 24}"
    assert Labels([]).resolve(stranger) == stranger
    assert code_of(labels, stranger)[0] == "SAMPLE_UNKNOWN"


def test_a_subject_is_shown_with_its_label_and_others_as_they_are(labels: Labels) -> None:
    assert labels.shown(TWO) == "twin (GENOMES)"
    assert labels.shown("mine:1") == "mine:1"
