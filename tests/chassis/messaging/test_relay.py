"""The relay on real Kafka: everything in the outbox is sent, in order, by one leader, however long it takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.ledger import outbox
from chassis.ledger.ledger import Ledger, open_ledger
from contracts.events import SampleWithdrawn
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.support.consuming import relaying
from tests.support.proxy import Proxy, proxy_of
from tests.support.site import sample_key

TOPIC = SampleWithdrawn.TYPE


async def add(ledger: Ledger, *events: SampleWithdrawn) -> None:
    async with ledger.transaction() as tx:
        await outbox.add(tx, *events)


async def drained(ledger: Ledger) -> bool:
    async with ledger.connection() as conn:
        return bool(await conn.fetchval("select not exists (select from outbox)"))


async def services_of(bootstrap: str, sample: str) -> list[str]:
    """The `service` of every sample.withdrawn of a sample, in the order of the log."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(TOPIC, 0)
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        found = []
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [json.loads(r.value)["service"] for r in records if r.key == sample.encode()]
        return found
    finally:
        await consumer.stop()


def told(sample: str, *numbers: int) -> list[SampleWithdrawn]:
    return [SampleWithdrawn(sample=sample, service=f"s{number}") for number in numbers]


async def test_what_is_committed_is_sent_in_order(topics: None, ledger: Ledger, endpoints: Endpoints) -> None:
    samples = [sample_key() for _ in range(3)]
    for number in range(10):
        await add(ledger, *(event for sample in samples for event in told(sample, number)))
    async with relaying(ledger, endpoints.kafka_bootstrap):
        await until(lambda: drained(ledger))
        await add(ledger, *told(samples[0], 10))
        await until(lambda: drained(ledger), seconds=5)
    expected = [f"s{number}" for number in range(10)]
    assert await services_of(endpoints.kafka_bootstrap, samples[0]) == [*expected, "s10"]
    assert await services_of(endpoints.kafka_bootstrap, samples[1]) == expected


async def test_an_outage_delays_and_never_drops(
    topics: None, ledger: Ledger, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to the database is cut again and again while events are added; order per key holds."""
    monkeypatch.setattr("chassis.messaging.relay.MOST_BACKOFF", 0.2)
    sample = sample_key()
    await add(ledger, *told(sample, 0))
    async with (
        proxy_of(ledger.dsn) as (proxy, dsn),
        open_ledger(dsn=dsn, service=ledger.service) as far,
        relaying(far, endpoints.kafka_bootstrap),
    ):
        await until(lambda: drained(ledger))
        for number in range(1, 4):
            refused = proxy.refused
            proxy.cut()
            await add(ledger, *told(sample, number))
            await until(lambda refused=refused: _more(proxy, refused))
            proxy.mend()
            await until(lambda: drained(ledger))
    services = await services_of(endpoints.kafka_bootstrap, sample)
    assert list(dict.fromkeys(services)) == ["s0", "s1", "s2", "s3"]


async def test_a_second_relay_stands_by_and_takes_over(
    topics: None, ledger: Ledger, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.messaging.relay.STANDBY_SECONDS", 0.1)
    sample = sample_key()
    async with relaying(ledger, endpoints.kafka_bootstrap) as first:
        await until(lambda: _led(ledger))
        async with relaying(ledger, endpoints.kafka_bootstrap):
            await add(ledger, *told(sample, 1, 2))
            await until(lambda: drained(ledger))
            assert await services_of(endpoints.kafka_bootstrap, sample) == ["s1", "s2"], "one sent, the other did not"
            first.cancel()
            await add(ledger, *told(sample, 3))
            await until(lambda: drained(ledger))
    assert await services_of(endpoints.kafka_bootstrap, sample) == ["s1", "s2", "s3"]


async def _led(ledger: Ledger) -> bool:
    async with ledger.connection() as conn:
        return bool(await conn.fetchval("select exists (select from pg_locks where locktype = 'advisory' and granted)"))


async def _more(proxy: Proxy, than: int) -> bool:
    return proxy.refused > than
