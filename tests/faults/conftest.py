"""What the fault tests ask again and again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.ledger.ledger import Ledger
from chassis.messaging.common import with_common
from chassis.settings import load
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.faults import invariants
from tests.faults.invariants import Counts
from tests.support import tiny
from tests.support.consuming import consuming, fresh_name, relaying
from tests.support.site import Site, state_of

Settled = Callable[..., Awaitable[Counts]]


@pytest.fixture
def settled(ledger: Ledger, endpoints: Endpoints) -> Settled:
    """`await settled("steps:...")`: those tasks done, their events sent and acted on, then the invariants. `bootstrap`:
    a broker that is not the session's."""

    async def wait(*keys: str, bootstrap: str = endpoints.kafka_bootstrap) -> Counts:
        async def quiet() -> bool:
            states = [await state_of(ledger, key) for key in keys]
            async with ledger.connection() as conn:
                acted = await conn.fetchval(
                    "select count(*) from task join seen on sample = subject where state = 'done'"
                )
                backlog = await conn.fetchval("select count(*) from outbox")
            return set(states) == {"done"} and acted >= len(keys) and backlog == 0

        await until(quiet, seconds=60)
        return await invariants.check(ledger, bootstrap)

    return wait


@pytest.fixture
async def announced(site: Site, ledger: Ledger) -> AsyncIterator[None]:
    """Relay and consumer of tiny in this process, for tests that strike others."""
    bootstrap = site.endpoints.kafka_bootstrap
    service = with_common(tiny.build(load(environ={})))
    async with consuming(replace(service, name=fresh_name()), ledger, bootstrap), relaying(ledger, bootstrap):
        yield


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """A folder in which tiny's chunks wait for a file of their name."""
    folder = tmp_path / "gates"
    folder.mkdir()
    return folder
