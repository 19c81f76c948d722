"""How long things may stand still: the built-in times, a site's own over them, and what is none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Rejected
from chassis.health.expected import Usual, length, load_expected


def test_the_built_in_times_know_a_persons_states_from_the_machines() -> None:
    ingest = load_expected("ingest")
    assert ingest.of("run", "rejected") is None
    assert ingest.of("run", "copying") == timedelta(days=3)
    assert ingest.of("run", "a state of a later version") == timedelta(days=1)
    assert load_expected("align").of("sample", "calling") == timedelta(hours=1)
    assert load_expected("tiny").subjects == {}


def test_a_sites_own_file_holds_only_what_differs(tmp_path: Path) -> None:
    own = tmp_path / "expected.toml"
    own.write_text('[tasks]\nclaimed = "never"\n[subjects.align.sample]\ncalling = "90 s"\n', encoding="utf-8")
    align = load_expected("align", own=own)
    assert align.of("sample", "calling") == timedelta(seconds=90)
    assert align.of("sample", "aligning") == timedelta(hours=1)
    assert align.tasks.claimed is None
    assert align.tasks.at_least == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[subjects.align.sample]\ncalling = "soon"\n', "'soon' is no length of time"),
        ('[tasks]\nclaimed = "999999999999999 d"\n', "is too long: say 'never'"),
        ("[tasks]\nclaimed = 30\n", "30 is no length of time"),
        ('[tasks]\nclaimd = "1 h"\n', "claimd"),
        ('[task]\nclaimed = "1 h"\n', "there is no section [task]"),
        ("[tasks]\ntimes_usual = 0.5\n", "times_usual"),
        ('[tasks]\nat_least = "never"\n', "at_least"),
        ("subjects = 3\n", ""),
        ("[", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    own = tmp_path / "expected.toml"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(Rejected) as refused:
        load_expected("align", own=own)
    assert refused.value.rejection.code == "CONFIG_WATCH"
    assert message in refused.value.rejection.message


def test_a_task_may_take_some_times_as_long_as_is_usual() -> None:
    times = load_expected("align").tasks
    assert times.at_work(Usual(tasks=50, longest=timedelta(hours=2))) == timedelta(hours=8)
    assert times.at_work(Usual(tasks=50, longest=timedelta(seconds=2))) == timedelta(minutes=30)
    assert times.at_work(Usual(tasks=4, longest=timedelta(seconds=2))) == timedelta(hours=12)
    assert times.at_work(None) == timedelta(hours=12)


@given(st.one_of(st.text(max_size=12), st.floats(), st.none(), st.lists(st.integers())))
def test_anything_is_a_length_or_refused(said: object) -> None:
    try:
        found = length(said)
    except ValueError:
        return
    assert found is None or found >= timedelta(0)
