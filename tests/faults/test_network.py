"""Faults of the network to the broker, which itself is well: it goes on without those whom it does not hear."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import NewTask
from chassis.messaging.consumer import group_of
from chassis.messaging.topics import apply_topics
from chassis.settings import KafkaSettings
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import done
from tests.support import tiny
from tests.support.behind import Behind, broker_behind
from tests.support.messages import tag
from tests.support.site import Site, sample_key
from tests.support.working import enqueue, worker_of

TIMES = 3


@pytest.fixture
async def behind(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Behind]:
    with tempfile.TemporaryDirectory(prefix="cohortstream-behind-") as folder:
        async with broker_behind(Path(folder), monkeypatch) as found:
            await apply_topics(KafkaSettings(bootstrap=found.direct), single_partition=True)
            yield found


@pytest.fixture
async def near(behind: Behind, endpoints: Endpoints, database: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Its processes come through the proxy, and one consumes and relays."""
    through = Site(folder=tmp_path, endpoints=replace(endpoints, kafka_bootstrap=behind.via), database=database)
    await through.start("consume", tiny.BUILDER)
    yield through
    await through.stop()


async def members(behind: Behind) -> int:
    """Of tiny's consumer group, as the broker sees it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=behind.direct)
    await admin.start()
    try:
        [answer] = await admin.describe_consumer_groups([group_of(tiny.NAME)])
        [(*_, found, _operations)] = answer.groups
        return len(found)
    finally:
        await admin.close()


async def test_fault_19_a_network_to_the_broker_that_breaks_again_and_again(
    near: Site, behind: Behind, ledger: Ledger, settled: Settled
) -> None:
    first, *others = (tiny.steps_task(sample_key(), chunks=1) for _ in range(TIMES + 1))
    async with worker_of(near, ledger):
        await enqueue(ledger, first)
        await settled(first.key, bootstrap=behind.direct)
        for task in others:
            await _done_while_cut(task, behind, ledger)
        await settled(first.key, *(task.key for task in others), bootstrap=behind.direct)


async def test_fault_19_a_network_to_the_broker_that_is_silent_until_the_consumer_is_given_up(
    near: Site, behind: Behind, ledger: Ledger, settled: Settled
) -> None:
    """Nothing is refused and nothing answered. What came meanwhile is found by the consumer when it is let in again."""
    first, during = (tiny.steps_task(sample_key(), chunks=1) for _ in range(2))
    told = sample_key()
    async with worker_of(near, ledger):
        await enqueue(ledger, first)
        await settled(first.key, bootstrap=behind.direct)
        assert await members(behind) > 0

        behind.proxy.silence()
        await enqueue(ledger, during)
        direct = replace(near, endpoints=replace(near.endpoints, kafka_bootstrap=behind.direct))
        await direct.publish(tag(told))
        await until(lambda: done(ledger, during.key))
        await until(lambda: _given_up(behind))
        behind.proxy.mend()

        await settled(first.key, during.key, f"steps:{told}", bootstrap=behind.direct)


async def _done_while_cut(task: NewTask, behind: Behind, ledger: Ledger) -> None:
    refused = behind.proxy.refused
    behind.proxy.cut()
    await enqueue(ledger, task)
    await until(lambda: done(ledger, task.key))
    await until(lambda: _refused_since(behind, refused))
    behind.proxy.mend()


async def _refused_since(behind: Behind, before: int) -> bool:
    return behind.proxy.refused > before


async def _given_up(behind: Behind) -> bool:
    return await members(behind) == 0
