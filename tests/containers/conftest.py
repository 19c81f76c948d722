"""One set of servers in containers for all tests of this folder, set up as a site's are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.servers import Servers, running_servers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.containers)


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running_servers(tmp_path_factory.mktemp("containers")) as running:
        yield running


@pytest.fixture(scope="session")
async def servers(started: Servers) -> Servers:
    """Postgres, Kafka and the store, with ledgers, topics, the bucket and everyone's account."""
    await started.set_up()
    return started
