"""A key that is none: refused with the nearest that is, in the file, in the environment, in the policies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.settings import load
from services.archive.policies import load_rules
from tests.faults.bad_input.said import assert_says

FILE: Mapping[str, tuple[str, str]] = {
    "a key": ("[ingest]\nscan_secnds = 3\n", "did you mean ingest.scan_seconds?"),
    "a section": ("[jointcal]\nchunk_bp = 1000\n", "did you mean jointcall"),
    "a key at the top": ('state_dirr = "x"\n', "did you mean state_dir?"),
    "a key in the wrong section": ("[align]\ncoverage_policy = 'note'\n", "did you mean jointcall.coverage_policy?"),
    "a section below a section": ("[worker.lease]\nseconds = 3\n", "did you mean worker.lease_seconds?"),
}


@pytest.mark.parametrize("name", FILE)
def test_a_typo_in_the_file_names_the_nearest_key(name: str, tmp_path: Path) -> None:
    text, fix = FILE[name]
    path = tmp_path / "cohortstream.toml"
    path.write_text(text)
    with pytest.raises(Rejected) as refused:
        load(path, environ={})
    assert_says(refused.value.rejection, "CONFIG_UNKNOWN", where=str(path), fix=fix, withheld=("'note'",))


@pytest.mark.parametrize(
    ("variable", "fix"),
    [
        ("COHORTSTREAM_KAFKA__BOOTSTRAPS", "did you mean COHORTSTREAM_KAFKA__BOOTSTRAP?"),
        ("COHORTSTREAM_KAFKA_BOOTSTRAP", "did you mean COHORTSTREAM_KAFKA__BOOTSTRAP?"),
        ("COHORTSTREAM_STORE__SECRET_KEYS", "did you mean COHORTSTREAM_STORE__SECRET_KEY?"),
    ],
)
def test_a_typo_in_the_environment_names_the_nearest_variable_and_withholds_its_value(variable: str, fix: str) -> None:
    with pytest.raises(Rejected) as refused:
        load(None, environ={variable: "hunter2"})
    assert_says(refused.value.rejection, "CONFIG_UNKNOWN", where="environment", fix=fix, withheld=("hunter2",))


def test_a_typo_in_a_policy_names_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "policies.toml"
    path.write_text('[[policy]]\nname = "p"\nkind = "cram"\nstorage_clas = "GLACIER"\n')
    with pytest.raises(Rejected) as refused:
        load_rules(path)
    assert_says(refused.value.rejection, "CONFIG_UNKNOWN", where=str(path), fix="did you mean storage_class?")


def test_the_mended_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "cohortstream.toml"
    path.write_text("[ingest]\nscan_seconds = 3\n[jointcall]\ncoverage_policy = 'refuse'\n")
    settings = load(path, environ={})
    assert (settings.ingest.scan_seconds, settings.jointcall.coverage_policy) == (3.0, "refuse")
