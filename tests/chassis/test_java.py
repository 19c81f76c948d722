"""Which Java is used, and what a person is told when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.errors import Rejected, ToolFailed
from chassis.tools.java import find_java, java_version


def java_that_says(folder: Path, line: str, status: int = 0) -> Path:
    path = folder / "java"
    path.write_text(f"#!/bin/sh\necho '{line}' >&2\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COHORTSTREAM_JAVA", raising=False)


def test_the_installed_runtime_is_found_and_new_enough() -> None:
    assert java_version(find_java(None))[0] >= 17


def test_a_named_java_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = java_that_says(tmp_path, 'openjdk version "21.0.8" 2026-07-15')
    monkeypatch.setenv("COHORTSTREAM_JAVA", str(named))
    assert find_java(None) == named
    assert java_version(named) == (21, 0, 8)


def test_a_java_home_will_do(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    java = java_that_says(tmp_path / "bin", "")
    assert find_java(str(tmp_path)) == java


def test_a_java_that_is_not_there_is_refused_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        find_java(str(tmp_path / "none"))
    assert refused.value.rejection.code == "JAVA_MISSING"
    assert "cohortstream[embedded]" in refused.value.rejection.fix


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="JAVA_TOO_OLD"):
        java_version(java_that_says(tmp_path, 'java version "11.0.2"'))


def test_what_does_not_answer_as_java_is_a_failed_tool(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="ended with 3"):
        java_version(java_that_says(tmp_path, "no such thing", status=3))
