"""One small population for all tests that only read it."""

import pytest

from console.demo.population import Population, simulate

SEED = 11


@pytest.fixture(scope="session")
def population() -> Population:
    return simulate(people=4, newcomers=2, seed=SEED, total_bp=50_000)
