"""The consumer on real Kafka: every delivery is settled, exactly its own offset is committed, nothing blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

import asyncpg
import pytest

from chassis.ledger.ledger import Ledger, Tx, open_ledger
from contracts.events import MAX_EVENT_BYTES, SampleTagRequested
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.support.consuming import consuming, tagging
from tests.support.messages import delivery_of, tag
from tests.support.proxy import Proxy, proxy_of
from tests.support.site import Site, producer, sample_key

TOPIC = SampleTagRequested.TYPE


@dataclass
class Seen:
    """What the handler met; `broken` samples are a bug of it, `gates` hold it up."""

    tags: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)

    calls: int = 0

    async def called_twice(self) -> bool:
        return self.calls >= 2

    async def __call__(self, tx: Tx, event: SampleTagRequested) -> None:
        self.calls += 1
        if event.tag in self.gates:
            await self.gates[event.tag].wait()
        if event.tag in self.broken:
            raise RuntimeError("a bug")
        self.tags.append(event.tag)


async def held(ledger: Ledger) -> list[asyncpg.Record]:
    async with ledger.connection() as conn:
        return await conn.fetch('select * from quarantine order by "offset"')


async def test_each_message_commits_its_own_offset(site: Site, ledger: Ledger, endpoints: Endpoints) -> None:
    """A message in hand is not committed by the ones before it."""
    seen = Seen(gates={"slow": asyncio.Event()})
    async with consuming(tagging(seen), ledger, endpoints.kafka_bootstrap) as offsets:
        start = await offsets.end(TOPIC)
        sample = sample_key()
        await site.publish(tag(sample, "one"), tag(sample, "slow"), tag(sample, "three"))
        await until(lambda: _is(offsets.committed(TOPIC), start + 1))
        assert seen.tags == ["one"]
        seen.gates["slow"].set()
        await until(lambda: _is(offsets.committed(TOPIC), start + 3))
    assert seen.tags == ["one", "slow", "three"]


async def test_a_consumer_that_stops_in_a_handler_commits_nothing_of_it(
    site: Site, ledger: Ledger, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.messaging.consumer.GRACE_SECONDS", 0.2)
    seen = Seen(gates={"two": asyncio.Event()})
    service = tagging(seen)
    sample = sample_key()
    async with consuming(service, ledger, endpoints.kafka_bootstrap) as offsets:
        start = await offsets.end(TOPIC)
        await site.publish(tag(sample, "one"))
        await until(lambda: _is(offsets.committed(TOPIC), start + 1))
        await site.publish(tag(sample, "two"))
        await until(seen.called_twice)
    assert seen.tags == ["one"]
    again = Seen()
    service = tagging(again, name=service.name)
    async with consuming(service, ledger, endpoints.kafka_bootstrap, from_now=False) as offsets:
        await until(lambda: _is(offsets.committed(TOPIC), start + 2))
    assert again.tags == ["two"]


async def test_what_cannot_be_read_is_quarantined_once_and_the_partition_moves_on(
    site: Site, ledger: Ledger, endpoints: Endpoints
) -> None:
    """Faults 23 and 24: broken JSON, a later major version, an oversize body, headers that are no text, null headers,
    no headers, no value, a conflict, a handler's bug; and between them good events, in order."""
    seen = Seen(broken={"bug"})
    sample = sample_key()
    good = [tag(sample, f"good-{number}") for number in range(3)]
    whole = delivery_of(tag(sample, "x"))
    headers = dict(whole.headers)
    other_content = tag(sample, "other", request_id=good[0].request_id)
    future = headers | {"ce_type": headers["ce_type"].replace(b".v1", b".v2")}
    big = b'{"padding": "' + b"x" * MAX_EVENT_BYTES + b'"}'
    async with consuming(tagging(seen), ledger, endpoints.kafka_bootstrap) as offsets:
        start = await offsets.end(TOPIC)
        await site.publish(good[0])
        await site.publish_raw(TOPIC, b'{"name": "Lovelace"', list(headers.items()))
        await site.publish_raw(TOPIC, whole.body, list(future.items()))
        await site.publish_raw(TOPIC, big, list(headers.items()))
        await site.publish(good[1])
        await site.publish_raw(TOPIC, whole.body, [*headers.items(), ("x-bytes", b"\xff\xfe\x00")])  # ours are sound
        await site.publish_raw(TOPIC, whole.body, [("ce_id", b"\xff\xfe"), ("x", None)])  # type: ignore[list-item]
        await site.publish_raw(TOPIC, whole.body, [])
        async with producer(endpoints.kafka_bootstrap) as out:
            await out.send_and_wait(TOPIC, None, key=b"k", headers=list(headers.items()))
        await site.publish(other_content)
        await site.publish(tag(sample, "bug"))
        await site.publish(good[2])
        await until(lambda: _is(offsets.committed(TOPIC), start + 12))
    assert seen.tags == ["good-0", "good-1", "x", "good-2"]
    assert [(row["offset"] - start, row["code"]) for row in await held(ledger)] == [
        (1, "EVENT_DECODE"),
        (2, "EVENT_VERSION"),
        (3, "EVENT_TOO_LARGE"),
        (6, "ENVELOPE"),
        (7, "ENVELOPE"),
        (8, "EVENT_DECODE"),
        (9, "IDEMPOTENCY_CONFLICT"),
        (10, "HANDLER_FAILED"),
    ]
    for row in await held(ledger):
        assert "Lovelace" not in str(row["rejection"]), "no payload is echoed"


async def test_an_outage_of_the_ledger_holds_the_partition_and_loses_nothing(
    site: Site, ledger: Ledger, database: str, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.messaging.consumer.RETRY_SECONDS", 0.3)
    seen = Seen()
    sample = sample_key()
    async with (
        proxy_of(database) as (proxy, dsn),
        open_ledger(dsn=dsn, service="tiny") as far,
        consuming(tagging(seen), far, endpoints.kafka_bootstrap) as offsets,
    ):
        start = await offsets.end(TOPIC)
        await site.publish(tag(sample, "a"))
        await until(lambda: _is(offsets.committed(TOPIC), start + 1))
        proxy.cut()
        await site.publish(tag(sample, "b"), tag(sample, "c"), tag(sample, "d"))
        await until(lambda: _refused(proxy, 3))
        assert await offsets.committed(TOPIC) == start + 1
        proxy.mend()
        await until(lambda: _is(offsets.committed(TOPIC), start + 4))
    assert seen.tags == ["a", "b", "c", "d"]
    assert await held(ledger) == []


async def test_a_delivery_that_cannot_even_be_quarantined_waits(
    site: Site, ledger: Ledger, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next message's commit must not pass it over."""
    monkeypatch.setattr("chassis.messaging.consumer.RETRY_SECONDS", 0.1)
    seen = Seen(broken={"bug"})
    sample = sample_key()
    async with ledger.connection() as conn:
        await conn.execute("alter table quarantine rename to elsewhere")
    async with consuming(tagging(seen), ledger, endpoints.kafka_bootstrap) as offsets:
        start = await offsets.end(TOPIC)
        await site.publish(tag(sample, "bug"), tag(sample, "good"))
        await until(seen.called_twice)
        assert await offsets.committed(TOPIC) == start
        async with ledger.connection() as conn:
            await conn.execute("alter table elsewhere rename to quarantine")
        await until(lambda: _is(offsets.committed(TOPIC), start + 2))
    assert seen.tags == ["good"]
    assert [row["offset"] for row in await held(ledger)] == [start]


async def _is(value: Awaitable[int | None], wanted: int) -> bool:
    return await value == wanted


async def _any(rows: Awaitable[list[asyncpg.Record]]) -> bool:
    return bool(await rows)


async def _refused(proxy: Proxy, times: int) -> bool:
    return proxy.refused >= times
