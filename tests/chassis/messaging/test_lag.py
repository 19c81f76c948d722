"""How far a consumer is behind, told without asking anybody: from its own polls and what it settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from chassis.ledger.ledger import Ledger, Tx
from chassis.messaging.consumer import Consumption, group_of
from chassis.settings import KafkaSettings
from contracts.events import SampleTagRequested
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.support.consuming import Offsets, tagging
from tests.support.messages import tag
from tests.support.site import Site, sample_key

TOPIC = SampleTagRequested.TYPE
FIRST, SECOND, THIRD = (TopicPartition(TOPIC, number) for number in range(3))


async def test_events_that_wait_behind_a_slow_handler_are_its_lag(
    site: Site, ledger: Ledger, endpoints: Endpoints
) -> None:
    gate = asyncio.Event()

    async def slow(tx: Tx, event: SampleTagRequested) -> None:
        if event.tag == "slow":
            await gate.wait()

    service = tagging(slow)
    await Offsets(bootstrap=endpoints.kafka_bootstrap, group=group_of(service.name)).begin_now((TOPIC,))
    consuming = Consumption(service=service, ledger=ledger, settings=KafkaSettings(bootstrap=endpoints.kafka_bootstrap))
    assert await consuming.lag() == {TOPIC: 0}, "not started"
    sample = sample_key()
    # all there when the first is fetched: a client knows the end of a partition as of its last fetch
    await site.publish(tag(sample, "one"), tag(sample, "slow"), tag(sample, "three"))
    await consuming.start()
    try:
        await until(lambda: _is(consuming, 2))
        gate.set()
        await until(lambda: _is(consuming, 0))
    finally:
        await consuming.stop()


async def _is(consuming: Consumption, lag: int) -> bool:
    return await consuming.lag() == {TOPIC: lag}


class Client:
    """Ends and positions by partition."""

    def __init__(self, ends: dict[TopicPartition, int | None], positions: dict[TopicPartition, int]) -> None:
        self.ends, self.positions = ends, positions

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.ends)

    def highwater(self, tp: TopicPartition) -> int | None:
        return self.ends[tp]

    def position(self, tp: TopicPartition) -> Awaitable[int]:
        async def found() -> int:
            if tp not in self.positions:
                raise IllegalStateError("given away meanwhile")
            return self.positions[tp]

        return found()


async def test_what_was_settled_counts_before_the_position_until_the_partition_is_given_away(
    ledger: Ledger,
) -> None:
    """A client reads ahead of its handler; a partition that went and came back begins where the group is."""

    async def nothing(tx: Tx, event: SampleTagRequested) -> None:
        pass

    consuming = Consumption(service=tagging(nothing), ledger=ledger, settings=KafkaSettings(bootstrap="127.0.0.1:1"))
    client: Any = Client({FIRST: 10, SECOND: None, THIRD: 7}, {FIRST: 9})
    consuming._subscriber.consumer = client
    consuming._membership.settled[FIRST] = 4
    assert await consuming.lag() == {TOPIC: 6}
    consuming._membership.on_partitions_revoked([FIRST])
    assert await consuming.lag() == {TOPIC: 1}
