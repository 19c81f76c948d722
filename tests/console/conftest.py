"""The command as a person runs it, with no settings of the shell's: in this process (quick), or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from console.app import build

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0
TERMINAL = {"COLUMNS": "100", "TERM": "dumb"}
"""Of a fixed width, and without escapes."""


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def paragraph(self) -> str:
        """What stands on stderr, its lines joined."""
        return " ".join(self.err.split())


Command = Callable[..., Ran]


@pytest.fixture
def cohortstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`cohortstream("status", "--json")`, in the test's folder."""
    for name in [name for name in os.environ if name.startswith("COHORTSTREAM_") and name != "COHORTSTREAM_CACHE"]:
        monkeypatch.delenv(name)
    for name, value in TERMINAL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*arguments: str | Path, cwd: Path | None = None, **more: str) -> Ran:
        if cwd is not None:
            monkeypatch.chdir(cwd)
        said = runner.invoke(build(), [str(word) for word in arguments], env=more)
        if said.exception is not None and not isinstance(said.exception, SystemExit):
            raise said.exception
        return Ran(code=said.exit_code, out=said.stdout, err=said.stderr)

    return run


@pytest.fixture
def cohortstream_process(tmp_path: Path) -> Command:
    """The same in a process of its own."""

    def run(*arguments: str | Path, cwd: Path | None = None) -> Ran:
        said = subprocess.run(
            [sys.executable, "-m", "console.app", *map(str, arguments)],
            cwd=cwd or tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return Ran(code=said.returncode, out=said.stdout, err=said.stderr)

    return run


def environment() -> dict[str, str]:
    """What a person's shell would give, without settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COHORTSTREAM_")}
    if "COHORTSTREAM_CACHE" in os.environ:
        kept["COHORTSTREAM_CACHE"] = os.environ["COHORTSTREAM_CACHE"]
    return kept | TERMINAL | {"PYTHONPATH": str(ROOT)}
