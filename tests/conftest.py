"""The real thing for tests: one embedded stack a process, a fresh database for each test that asks for one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.migrate import migrate
from chassis.messaging.common import with_common
from chassis.messaging.topics import apply_topics
from chassis.settings import KafkaSettings, load
from deploy.embedded.stack import EmbeddedStack, Endpoints
from tests.support import tiny
from tests.support.consuming import pass_over
from tests.support.databases import empty_database
from tests.support.shares import Shares, turn_of
from tests.support.site import Site

# a shared machine may stop for a second in any example: time is measured in tests/bench, never judged in a test
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")

LedgerFor = Callable[..., Awaitable[Ledger]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return Shares(config, log)


@pytest.fixture(scope="session")
def stack() -> Iterator[EmbeddedStack]:
    """Kafka, Postgres and the object store, on loopback, until the session ends.

    Not under pytest's own folder: a second pytest closes that to other users, such as the one Postgres runs as.
    """
    embedded = EmbeddedStack(durable=False, restore_s=0.2)
    with tempfile.TemporaryDirectory(prefix="cohortstream-tests-") as folder:
        embedded.start(Path(folder))
        yield embedded
        embedded.stop()


@pytest.fixture(scope="session")
def endpoints(stack: EmbeddedStack) -> Endpoints:
    assert stack.endpoints is not None
    return stack.endpoints


@pytest.fixture(scope="session")
def postgres_dsn(endpoints: Endpoints) -> str:
    return endpoints.postgres_dsn


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[str]:
    """The DSN of an empty database, dropped afterwards."""
    async with empty_database(postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
async def ledger_for(database: str) -> AsyncIterator[LedgerFor]:
    """`await ledger_for("align", versions=None)`: a migrated ledger of that service."""
    async with AsyncExitStack() as stack:

        async def make(service: str, *, versions: Path | None = None, pool_size: int = 8) -> Ledger:
            await migrate(dsn=database, service=service, versions=versions)
            return await stack.enter_async_context(open_ledger(dsn=database, service=service, pool_size=pool_size))

        yield make


@pytest.fixture
async def ledger(ledger_for: LedgerFor) -> Ledger:
    """A migrated ledger of a service called `tiny`."""
    return await ledger_for("tiny", versions=tiny.VERSIONS)


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 30.0) -> None:
    """Wait for a condition that other processes make true; TimeoutError when they do not."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
async def topics(endpoints: Endpoints) -> None:
    """Every topic, with one partition each."""
    await apply_topics(KafkaSettings(bootstrap=endpoints.kafka_bootstrap), single_partition=True)


@pytest.fixture
async def tiny_begins_now(topics: None, endpoints: Endpoints) -> None:
    """Consumers of tiny do not meet what earlier tests published."""
    await pass_over(with_common(tiny.build(load(None, environ={}))), endpoints.kafka_bootstrap)


@pytest.fixture
async def site(topics: None, endpoints: Endpoints, database: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Settings and processes of services on the session's stack; the processes end with the test."""
    made = Site(folder=tmp_path, endpoints=endpoints, database=database)
    yield made
    await made.stop()
