"""The command as a person runs it: in a process of its own, with no settings of the shell's."""

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

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0


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


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COHORTSTREAM_")}
    if "COHORTSTREAM_CACHE" in os.environ:
        kept["COHORTSTREAM_CACHE"] = os.environ["COHORTSTREAM_CACHE"]
    # a terminal of a fixed width; TERM=dumb keeps escapes out
    return kept | {"COLUMNS": "100", "TERM": "dumb", "PYTHONPATH": str(ROOT)} | more


@pytest.fixture
def cohortstream(tmp_path: Path) -> Command:
    """`cohortstream("status", "--json")`, run in the test's folder."""

    def run(*arguments: str | Path, cwd: Path | None = None, **more: str) -> Ran:
        said = subprocess.run(
            [sys.executable, "-m", "console.app", *map(str, arguments)],
            cwd=cwd or tmp_path,
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return Ran(code=said.returncode, out=said.stdout, err=said.stderr)

    return run
