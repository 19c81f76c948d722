"""The columnar genotyper compiled once for all processes of the run; whoever comes second waits."""

from __future__ import annotations

import pytest

from services.jointcall.columnar.warm import warm


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    warm()
