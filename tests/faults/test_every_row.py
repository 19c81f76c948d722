"""docs/reliability.md says which test proves which promise: each of the 44 faults has one, each named one is there."""

from __future__ import annotations

import ast
import re

from tests.support.site import ROOT

FAULTS = range(1, 45)
_NAMED = re.compile(r"`(test_\w+)`")


def functions() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def test_each_fault_has_a_test_and_the_page_names_tests_that_are_there() -> None:
    there = functions()
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = set(_NAMED.findall(page))
    assert named - there == set(), "the page names tests that are not there"
    for fault in FAULTS:
        [row] = re.findall(rf"^\| {fault} \| .*$", page, re.MULTILINE)
        proving = {name for name in _NAMED.findall(row) if name.startswith(f"test_fault_{fault:02d}_")}
        assert proving, f"no test proves fault {fault}"
    unnamed = {name for name in there if name.startswith("test_fault_")} - named
    assert unnamed == set(), "tests of faults that the page does not name"
