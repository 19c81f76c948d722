"""A service's consumer or relay in the test's own process, in a consumer group that is new and begins now."""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from chassis.ledger.ledger import Ledger, Tx
from chassis.messaging.consumer import Consumption, group_of
from chassis.messaging.relay import relay
from chassis.service import Service, Subscriptions
from chassis.settings import KafkaSettings
from contracts.events import SampleTagRequested


def fresh_name() -> str:
    """A service of this name has a consumer group that nobody used before."""
    return "tiny_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))


def tagging(handler: Callable[[Tx, SampleTagRequested], Awaitable[None]], *, name: str | None = None) -> Service:
    """A service that listens to one topic."""
    subscriptions = Subscriptions()
    subscriptions.on(SampleTagRequested, handler)
    return Service(name=name or fresh_name(), subscriptions=subscriptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """What a group has committed, and where its topics end."""

    bootstrap: str
    group: str

    async def committed(self, topic: str, partition: int = 0) -> int | None:
        async with _client(self.bootstrap, self.group) as consumer:
            found: int | None = await consumer.committed(TopicPartition(topic, partition))
            return found

    async def end(self, topic: str, partition: int = 0) -> int:
        async with _client(self.bootstrap, self.group) as consumer:
            tp = TopicPartition(topic, partition)
            return int((await consumer.end_offsets([tp]))[tp])

    async def begin_now(self, topics: tuple[str, ...]) -> None:
        """Pass over what other tests published."""
        async with _client(self.bootstrap, self.group) as consumer:
            partitions = [TopicPartition(topic, 0) for topic in topics]
            consumer.assign(partitions)
            await consumer.commit(dict(await consumer.end_offsets(partitions)))

    async def rewind(self, topic: str, offset: int) -> None:
        """As after a restore from backup: what came since comes again."""
        async with _client(self.bootstrap, self.group) as consumer:
            tp = TopicPartition(topic, 0)
            consumer.assign([tp])
            await consumer.commit({tp: offset})

    async def caught_up(self, topics: tuple[str, ...]) -> bool:
        """Has the group settled everything that was published?"""
        async with _client(self.bootstrap, self.group) as consumer:
            partitions = [TopicPartition(topic, 0) for topic in topics]
            ends = await consumer.end_offsets(partitions)
            done = [(await consumer.committed(tp) or 0) >= ends[tp] for tp in partitions]
            return all(done)


@asynccontextmanager
async def _client(bootstrap: str, group: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def pass_over(service: Service, bootstrap: str) -> None:
    """Let the service's own group begin now. Waits while a consumer that was killed is still a member."""

    async def passed() -> bool:
        try:
            await Offsets(bootstrap=bootstrap, group=group_of(service.name)).begin_now(service.subscriptions.topics)
        except KafkaError:
            return False
        return True

    async with asyncio.timeout(60):
        while not await passed():
            await asyncio.sleep(0.1)


@asynccontextmanager
async def consuming(
    service: Service, ledger: Ledger, bootstrap: str, *, from_now: bool = True
) -> AsyncIterator[Offsets]:
    """Consume from now on, or from where the group is; the service's ledger may be that of any name."""
    offsets = Offsets(bootstrap=bootstrap, group=group_of(service.name))
    if from_now:
        await offsets.begin_now(service.subscriptions.topics)
    consumption = Consumption(service=service, ledger=ledger, settings=KafkaSettings(bootstrap=bootstrap))
    await consumption.start()
    try:
        yield offsets
    finally:
        await consumption.stop()


@asynccontextmanager
async def relaying(ledger: Ledger, bootstrap: str) -> AsyncIterator[asyncio.Task[None]]:
    running = asyncio.create_task(relay(ledger, KafkaSettings(bootstrap=bootstrap)))
    try:
        yield running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await running
