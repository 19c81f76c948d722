"""Make Kafka's topics what contracts/topics.py declares."""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import for_code

from chassis.errors import ToolFailed
from chassis.messaging.security import plain_options
from chassis.settings import KafkaSettings
from contracts.topics import TOPICS

TOPIC_EXISTS = 36
"""Kafka's error code; it comes inside the response, not as an exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    created: tuple[str, ...]
    widened: tuple[str, ...]
    kept: tuple[str, ...]


async def apply_topics(settings: KafkaSettings, *, single_partition: bool = False) -> Applied:
    """Create what is missing and widen what has too few partitions; nothing is ever deleted.

    `single_partition` is for a laptop: every topic has one partition. Raises ToolFailed when Kafka refuses.
    """
    admin = AIOKafkaAdminClient(**plain_options(settings))
    await admin.start()
    try:
        wanted = {topic.name: 1 if single_partition else topic.partitions for topic in TOPICS}
        response = await admin.create_topics(
            [
                NewTopic(
                    name=topic.name,
                    num_partitions=wanted[topic.name],
                    replication_factor=settings.replication,
                    topic_configs=dict(topic.config),
                )
                for topic in TOPICS
            ]
        )
        created, existing = [], []
        for name, code, *_ in response.topic_errors:
            if code == TOPIC_EXISTS:
                existing.append(name)
            elif code:
                raise ToolFailed(tool="kafka", status=code, said=f"topic {name}: {for_code(code).__name__}")
            else:
                created.append(name)
        described = (
            {d["topic"]: len(d["partitions"]) for d in await admin.describe_topics(existing)} if existing else {}
        )
        narrow = {name: wanted[name] for name in existing if described.get(name, 0) < wanted[name]}
        if narrow:
            await admin.create_partitions({name: NewPartitions(total_count=count) for name, count in narrow.items()})
        kept = tuple(name for name in existing if name not in narrow)
        return Applied(created=tuple(created), widened=tuple(narrow), kept=kept)
    finally:
        await admin.close()
