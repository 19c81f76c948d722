"""Where Kafka's log ends, how far groups have come, and both of these set back: for backup and restore."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from chassis.messaging.security import plain_options
from chassis.settings import KafkaSettings

Offsets = dict[TopicPartition, int]
PATIENCE_SECONDS = 30.0
"""A group whose member was killed forgets it after its session timeout."""
TOPIC_UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A record of the log, whole."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None


class GroupBusy(Exception):
    """The consumer group still has members."""


class Log:
    """Kafka's log as backup and restore see it. Use `open_log`."""

    def __init__(self, *, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, settings: KafkaSettings) -> None:
        self._admin = admin
        self._reader = reader
        self._settings = settings

    async def cluster(self) -> str:
        """The cluster's id: offsets mean something within it alone."""
        return str((await self._admin.describe_cluster())["cluster_id"])

    async def span(self, topics: Sequence[str]) -> tuple[Offsets, Offsets]:
        """First offset and the one past the last, by partition; topics that are not there have none. Milliseconds from
        the second call on: the first one learns where the partitions lie."""
        described = await self._admin.describe_topics(list(topics))
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            if topic["error_code"] != TOPIC_UNKNOWN
            for partition in topic["partitions"]
        ]
        if self._reader.assignment() != set(partitions):
            # assigned, so that the client learns of all topics at once; paused, so that it reads none
            self._reader.assign(partitions)
            self._reader.pause(*partitions)
        begins = await self._reader.beginning_offsets(partitions)
        return dict(begins), dict(await self._reader.end_offsets(partitions))

    async def committed(self, group: str) -> Offsets:
        """How far the group has come. A broker that has just started finds its groups after a while: waited for."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    found = await self._admin.list_consumer_group_offsets(group)
                except KafkaError as error:
                    if not error.retriable:
                        raise
                    await asyncio.sleep(0.3)
                else:
                    return {tp: kept.offset for tp, kept in found.items() if kept.offset >= 0}

    async def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set where a group without members reads on. Raises GroupBusy when it keeps having some."""
        if not offsets:
            return
        async with self._member(group) as asking:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not await _committed(asking, offsets):  # noqa: ASYNC110  Kafka tells nobody when a member is gone
                        await asyncio.sleep(0.3)
            except TimeoutError:
                raise GroupBusy(group) from None

    async def records(self, tp: TopicPartition, first: int, past: int) -> AsyncIterator[Logged]:
        """The partition's records from `first` up to `past`, of those that `span` was asked about."""
        reader = self._reader
        reader.seek(tp, first)
        reader.resume(tp)
        try:
            while await reader.position(tp) < past:
                for record in (await reader.getmany(tp, timeout_ms=1000)).get(tp, ()):
                    if record.offset < past:
                        yield _logged(record)
        finally:
            reader.pause(tp)

    async def publish(self, records: Iterable[Logged]) -> int:
        """Write records again, as they were. Returns how many."""
        producer = AIOKafkaProducer(**plain_options(self._settings), acks="all", enable_idempotence=True)
        await producer.start()
        try:
            count = 0
            for record in records:
                await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))
                count += 1
            return count
        finally:
            await producer.stop()

    @asynccontextmanager
    async def _member(self, group: str) -> AsyncIterator[AIOKafkaConsumer]:
        asking = AIOKafkaConsumer(
            **plain_options(self._settings), group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await asking.start()
        try:
            yield asking
        finally:
            await asking.stop()


def _logged(record: Any) -> Logged:
    return Logged(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=tuple((name, value or b"") for name, value in record.headers),
        value=record.value,
    )


async def _committed(asking: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> bool:
    try:
        asking.assign(list(offsets))
        await asking.commit(dict(offsets))
    except KafkaError as error:
        if not error.retriable and error.errno not in (22, 25, 27):  # generation, unknown member, rebalance
            raise
        return False
    return True


@asynccontextmanager
async def open_log(settings: KafkaSettings) -> AsyncIterator[Log]:
    """Raises aiokafka's errors when Kafka does not answer."""
    admin = AIOKafkaAdminClient(**plain_options(settings))
    reader = AIOKafkaConsumer(**plain_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await admin.start()
        await reader.start()
        yield Log(admin=admin, reader=reader, settings=settings)
    finally:
        await reader.stop()
        await admin.close()
