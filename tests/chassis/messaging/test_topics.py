"""`topics apply` on real Kafka: it creates and widens, and the second time does nothing."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from chassis.messaging import topics
from chassis.messaging.topics import apply_topics
from chassis.settings import KafkaSettings
from contracts.topics import TOPICS
from deploy.embedded.stack import Endpoints


async def partitions_of(bootstrap: str, names: list[str]) -> dict[str, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return {d["topic"]: len(d["partitions"]) for d in await admin.describe_topics(names)}
    finally:
        await admin.close()


async def test_apply_creates_widens_and_keeps(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    """On two topics of our own names, as the session's others are in use."""
    suffix = secrets.token_hex(4)
    wide, narrow = (replace(topic, name=f"{topic.name}.{suffix}", partitions=3) for topic in TOPICS[:2])
    monkeypatch.setattr(topics, "TOPICS", (wide, narrow))
    settings = KafkaSettings(bootstrap=endpoints.kafka_bootstrap)

    first = await apply_topics(settings, single_partition=True)
    assert set(first.created) == {wide.name, narrow.name}
    assert await partitions_of(endpoints.kafka_bootstrap, [wide.name, narrow.name]) == {wide.name: 1, narrow.name: 1}

    monkeypatch.setattr(topics, "TOPICS", (wide, replace(narrow, partitions=1)))
    second = await apply_topics(settings)
    assert (second.created, second.widened, second.kept) == ((), (wide.name,), (narrow.name,))
    assert await partitions_of(endpoints.kafka_bootstrap, [wide.name, narrow.name]) == {wide.name: 3, narrow.name: 1}

    third = await apply_topics(settings, single_partition=True)
    assert (third.created, third.widened) == ((), ()), "never made narrower, never made anew"
    assert (await partitions_of(endpoints.kafka_bootstrap, [wide.name]))[wide.name] == 3
