"""The demo on containers shares the folder of runs with whoever else puts runs there."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from console.demo import composed
from console.demo.sources import one_kg
from deploy.compose.site import EVALUATION, Addresses, Container


@pytest.mark.parametrize("fails", [False, True])
def test_it_clears_its_own_run_folders_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    shutil.copy(EVALUATION, tmp_path / "cohortstream.toml")
    (tmp_path / "host.toml").touch()
    ports = dict.fromkeys(("kafka", "postgres", "store", "jaeger", "page", "prometheus"), 1)
    at = Addresses(**ports, project="p", site=tmp_path, runs=runs)
    up = (Container(service="kafka", state="running", health="healthy", exit_code=0),)

    class Journey:
        """Writes a run, and while it is under way somebody else's arrives."""

        def __init__(self, **_: Any) -> None:
            self.written: list[Path] = []

        async def travel(self) -> str:
            for name in ("ours", "somebody-elses"):
                (runs / name).mkdir()
            self.written.append(runs / "ours")
            if fails:
                raise RuntimeError("in vain")
            return "figures"

    async def fresh(*_: Any) -> None:
        return None

    monkeypatch.setattr(composed, "addresses", lambda: at)
    monkeypatch.setattr(composed, "containers", lambda: up)
    monkeypatch.setattr(composed, "Journey", Journey)
    monkeypatch.setattr(composed, "_require_fresh", fresh)
    monkeypatch.setattr(composed, "_require_fitting", lambda *_, **__: None)
    try:
        composed.perform(Console(file=io.StringIO()), one_kg(), tmp_path)
    except RuntimeError:
        assert fails
    assert [path.name for path in runs.iterdir()] == ["somebody-elses"]
