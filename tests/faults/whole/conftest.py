"""The plant that all rows of this package strike."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults import i4, invariants
from tests.support.flow.plant import Plant, running_plant


@pytest.fixture(scope="package")
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plant]:
    """The six services on servers of their own, with the engines that the test names (`seeded` or `real`). When the
    last test has ended, I4 over everything that the archive knows."""
    async with running_plant(tmp_path_factory.mktemp("plant") / request.param, engines=request.param) as plant:
        yield plant
        plant.heal()
        await plant.quiet()
        await i4.nothing_lost(plant.ledgers["archive"], plant.store, plant.bootstrap)


@pytest.fixture
async def plant(running: Plant) -> AsyncIterator[Plant]:
    """A plant that is whole when the test begins, and, when the test has ended well, I1 to I4 over all that it did."""
    running.heal()
    yield running
    running.heal()
    await running.quiet()
    assert await invariants.check_plant(running) > 0
