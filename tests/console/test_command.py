"""The command's frame: help, exit codes, and errors in one paragraph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from console.app import hoisted
from tests.console.conftest import ROOT, Command, environment

COMMANDS = (
    *("init", "up", "doctor", "reference", "status", "runs", "samples", "trace", "cohort", "panel"),
    *("cancel", "quarantine", "archive", "consume", "work", "topics", "demo"),
)
HEAVY = ("pysam", "jpype", "pyarrow", "msprime", "moto", "jgo", "asyncpg", "aiokafka", "alembic", "pydantic", "duckdb")


def test_help_names_every_command_and_every_exit_code(cohortstream_process: Command) -> None:
    ran = cohortstream_process("--help")
    assert ran.code == 0
    assert not [name for name in COMMANDS if f" {name} " not in ran.out]
    assert "Exit codes: 0 done; 1" in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 100


@pytest.mark.parametrize("group", ["samples", "cohort", "archive", "quarantine", "reference"])
def test_a_group_without_a_command_says_what_it_has(cohortstream: Command, group: str) -> None:
    ran = cohortstream(group)
    assert ran.code in (0, 2)
    assert "Commands" in ran.out + ran.err


def test_help_loads_nothing_heavy() -> None:
    """Start-up stays quick because commands import what they need when they run."""
    program = f"""
import sys
from console.app import build
from typer.main import get_command
get_command(build())
print(*sorted(set(sys.modules) & set({HEAVY!r})))
"""
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == []


def test_an_unknown_option_is_a_wrong_command_line(cohortstream: Command) -> None:
    ran = cohortstream("status", "--nope")
    assert ran.code == 2
    assert "No such option: --nope" in ran.paragraph


def test_an_unknown_command_names_the_nearest(cohortstream: Command) -> None:
    ran = cohortstream("statu")
    assert ran.code == 2
    assert "Did you mean 'status'?" in ran.paragraph


def test_a_typo_in_the_configuration_is_refused_with_the_nearest_key(
    cohortstream_process: Command, tmp_path: Path
) -> None:
    (tmp_path / "cohortstream.toml").write_text("[ingest]\nscan_secnds = 3\n", encoding="utf-8")
    ran = cohortstream_process("status")
    assert ran.code == 3
    assert "CONFIG_UNKNOWN: ingest.scan_secnds is no setting" in ran.paragraph
    assert "did you mean ingest.scan_seconds?" in ran.paragraph
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("place", ["before", "after", "variable"])
def test_the_configuration_can_be_named_before_and_after_the_command_and_by_variable(
    cohortstream: Command, place: str
) -> None:
    named = {"before": ("--config", "nix.toml", "runs"), "after": ("runs", "--config=nix.toml"), "variable": ("runs",)}
    more = {"COHORTSTREAM_CONFIG": "nix.toml"} if place == "variable" else {}
    ran = cohortstream(*named[place], **more)
    assert ran.code == 3
    assert "CONFIG_MISSING" in ran.paragraph
    assert "[nix.toml]" in ran.paragraph


def test_words_after_a_double_dash_are_left_alone() -> None:
    assert hoisted(["samples", "show", "--debug", "--", "--config", "x"]) == [
        *("--debug", "samples", "show", "--", "--config", "x"),
    ]


def test_servers_out_of_reach_are_one_paragraph_and_exit_code_4(cohortstream: Command, tmp_path: Path) -> None:
    config = tmp_path / "cohortstream.toml"
    config.write_text(
        '[kafka]\nbootstrap = "127.0.0.1:1"\n[ledger]\ndsn = "postgresql://me:hush@127.0.0.1:1/c"\n', encoding="utf-8"
    )
    for arguments in (("status",), ("topics", "apply")):
        ran = cohortstream(*arguments)
        assert ran.code == 4, ran.err
        assert "127.0.0.1:1" in ran.paragraph
        assert "To mend it:" in ran.paragraph
        assert "Traceback" not in ran.err
        assert "hush" not in ran.err


def test_a_wrong_kafka_password_is_named_as_a_possible_cause(cohortstream: Command, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret", encoding="utf-8")
    (tmp_path / "cohortstream.toml").write_text(
        '[kafka]\nbootstrap = "127.0.0.1:1"\nsasl_username = "me"\nsasl_password_file = "password"\n', encoding="utf-8"
    )
    ran = cohortstream("topics", "apply")
    assert ran.code == 4
    assert "check the password in kafka.sasl_password_file" in ran.paragraph


def test_a_site_that_does_not_run_is_said_so(cohortstream: Command) -> None:
    ran = cohortstream("status")
    assert ran.code == 4
    assert "no site runs on" in ran.paragraph


def test_debug_shows_the_traceback(cohortstream_process: Command) -> None:
    ran = cohortstream_process("status", "--debug")
    assert "Traceback" in ran.err
    assert ran.code == 1


def test_an_unknown_service_is_refused_by_name(cohortstream: Command) -> None:
    for role in ("consume", "work"):
        ran = cohortstream(role, "aligned")
        assert ran.code == 3
        assert "SERVICE_UNKNOWN" in ran.paragraph
        assert "align" in ran.paragraph


def test_a_freeze_says_who_takes_part(cohortstream: Command) -> None:
    for arguments in ((), ("--all", "--tag", "trio")):
        ran = cohortstream("cohort", "freeze", "mine", *arguments)
        assert ran.code == 2
        assert "say who takes part" in ran.paragraph
