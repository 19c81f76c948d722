"""A freeze, in words."""

from __future__ import annotations

from typing import Any

import pytest

from console.cohorting import show_cohort

FREEZE: dict[str, Any] = {
    "freeze": "north:2",
    "state": "released",
    "since": None,
    "samples": 10,
    "engine": "columnar",
    "requested_by": "ada",
    "waits_for": None,
    "why": None,
    "reuse": None,
    "begun_with": None,
    "intervals": 4,
    "genotyped": 4,
    "interval_rows": None,
    "slowest": [],
}


@pytest.mark.parametrize(("left_out", "said"), [(1, "1 site is left out"), (1234, "1,234 sites are left out")])
def test_sites_that_nobody_gets_are_told(left_out: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_cohort(FREEZE | {"left_out": left_out})
    shown = capsys.readouterr().out
    assert said in shown and "no PL" in shown and "HaplotypeCaller -ERC GVCF" in shown


@pytest.mark.parametrize("left_out", [0, None])
def test_where_there_are_none_nothing_is_said(left_out: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    show_cohort(FREEZE | {"left_out": left_out})
    assert "left out" not in capsys.readouterr().out
