"""On which engines a row runs. `make test` runs the seeded ones, `make faults` those on the real tools."""

from __future__ import annotations

import pytest

seeded = pytest.mark.parametrize("running", ["seeded"], indirect=True)
seeded_and_real = pytest.mark.parametrize(
    "running", ["seeded", pytest.param("real", marks=pytest.mark.real_tools)], indirect=True
)
