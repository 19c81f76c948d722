"""Everything that lies in Kafka, as it lies there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.topics import TOPICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers.get("ce_id", "")

    @property
    def subject(self) -> str:
        return self.headers.get("ce_subject", "")


async def read_all(bootstrap: str, topics: Iterable[str] | None = None) -> list[Record]:
    """Every record of these topics (of all, by default) from the first to what is the last now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        names = sorted(topics if topics is not None else (topic.name for topic in TOPICS))
        # one partition each, as on a laptop
        partitions = [TopicPartition(name, 0) for name in names]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        left = {tp for tp in partitions if begins[tp] < ends[tp]}
        found: list[Record] = []
        while left:
            for tp, batch in (await consumer.getmany(timeout_ms=200)).items():
                found += [_record(one) for one in batch if one.offset < ends[tp]]
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
        return found
    finally:
        await consumer.stop()


async def lag(bootstrap: str, groups: Mapping[str, Iterable[str]]) -> int:
    """Records that a group has not settled yet, over all groups and the topics that each reads."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await asyncio.gather(consumer.start(), admin.start())
    try:
        partitions = {TopicPartition(name, 0) for topics in groups.values() for name in topics}
        ends = await consumer.end_offsets(list(partitions))
        left = 0
        for group, topics in groups.items():
            settled = await admin.list_consumer_group_offsets(group)
            for tp in (TopicPartition(name, 0) for name in topics):
                left += ends[tp] - (settled[tp].offset if tp in settled else 0)
        return left
    finally:
        await asyncio.gather(consumer.stop(), admin.close())


def _record(one: object) -> Record:
    return Record(
        topic=one.topic,  # type: ignore[attr-defined]
        partition=one.partition,  # type: ignore[attr-defined]
        offset=one.offset,  # type: ignore[attr-defined]
        key=one.key or b"",  # type: ignore[attr-defined]
        headers={name: value.decode(errors="replace") for name, value in one.headers},  # type: ignore[attr-defined]
        body=one.value or b"",  # type: ignore[attr-defined]
    )
