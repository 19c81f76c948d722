"""Faults of events: consumers killed at the worst moments, duplicates, disorder, poison, a broker that goes."""

from __future__ import annotations

import asyncio
import itertools
import signal
import uuid
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from chassis.ledger.ledger import Ledger, open_ledger
from chassis.messaging.common import with_common
from chassis.messaging.consumer import group_of
from chassis.messaging.receive import Receipt, receive
from chassis.service import Service, build
from contracts.events import Event, SampleTagRequested, SampleWithdrawalRequested
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.faults import invariants
from tests.faults.conftest import Settled
from tests.support import tiny
from tests.support.consuming import Offsets, consuming, fresh_name
from tests.support.messages import ACTOR, delivery_of, tag
from tests.support.site import Site, sample_key, state_of
from tests.support.working import enqueue, worker_of

pytestmark = pytest.mark.usefixtures("tiny_begins_now")

TOPIC = SampleTagRequested.TYPE


def tiny_of(site: Site) -> Service:
    """The whole of tiny, in a consumer group of its own."""
    return replace(with_common(build(tiny.BUILDER, site.settings)), name=fresh_name())


async def fetch(ledger: Ledger, query: str, *arguments: object) -> list[Any]:
    async with ledger.connection() as conn:
        return list(await conn.fetch(query, *arguments))


async def test_fault_04_an_event_published_twice_acts_once(site: Site, ledger: Ledger, settled: Settled) -> None:
    """The relay is killed after Kafka took the event and before its row was marked."""
    task = tiny.steps_task(sample_key(), chunks=1)
    await enqueue(ledger, task)
    struck = await site.start("consume", tiny.BUILDER, fault="after-publish=SIGKILL")
    async with worker_of(site, ledger):
        assert await struck.ended() == -signal.SIGKILL
    assert len(await fetch(ledger, "select from outbox")) == 1

    await site.start("consume", tiny.BUILDER)

    counts = await settled(task.key)
    assert (counts.published[task.subject], counts.distinct[task.subject]) == (2, 1)
    await until(lambda: _caught_up(site))
    assert (await invariants.check(ledger, site.endpoints.kafka_bootstrap)).acted[task.subject] == 1


async def test_fault_05_a_consumer_killed_before_its_offset_commit_acts_once(
    site: Site, ledger: Ledger, settled: Settled
) -> None:
    sample = sample_key()
    struck = await site.start("consume", tiny.BUILDER, fault="before-offset-commit=SIGKILL")
    await site.publish(tag(sample))
    assert await struck.ended() == -signal.SIGKILL
    assert len(await fetch(ledger, "select from inbox where subject = $1", sample)) == 1
    before = await Offsets(bootstrap=site.endpoints.kafka_bootstrap, group=group_of(tiny.NAME)).committed(TOPIC)

    await site.start("consume", tiny.BUILDER)
    async with worker_of(site, ledger):
        await settled(f"steps:{sample}")
    await until(lambda: _caught_up(site))

    assert len(await fetch(ledger, "select from inbox where subject = $1 and type = $2", sample, TOPIC)) == 1
    assert len(await fetch(ledger, "select from task")) == 1
    after = await Offsets(bootstrap=site.endpoints.kafka_bootstrap, group=group_of(tiny.NAME)).committed(TOPIC)
    assert after == (before or 0) + 1, "the same record was delivered again and settled"


async def test_fault_12_two_coordinators_make_one_plan(site: Site, ledger: Ledger, database: str) -> None:
    """The same event at both, and two requests that come to the same plan."""
    service = tiny_of(site)
    sample = sample_key()
    same, other = tag(sample), tag(sample)
    async with open_ledger(dsn=database, service=tiny.NAME) as second:
        deliveries = [delivery_of(event) for event in (same, same, other, same, other, same)]
        receipts = await asyncio.gather(
            *(receive(at, service.subscriptions, delivery) for delivery in deliveries for at in (ledger, second))
        )
    assert receipts.count(Receipt.handled) == 2
    assert receipts.count(Receipt.duplicate) == len(receipts) - 2
    assert [row["key"] for row in await fetch(ledger, "select key from task")] == [f"steps:{sample}"]
    assert len(await fetch(ledger, "select from inbox")) == 2


async def test_fault_21_the_same_event_many_times_is_one_task(site: Site, ledger: Ledger, endpoints: Endpoints) -> None:
    service, sample = tiny_of(site), sample_key()
    async with consuming(service, ledger, endpoints.kafka_bootstrap) as offsets:
        await site.publish(*[tag(sample, request_id=uuid.UUID(int=1))] * 7)
        await until(lambda: offsets.caught_up((TOPIC,)))
    assert [row["key"] for row in await fetch(ledger, "select key from task")] == [f"steps:{sample}"]
    assert len(await fetch(ledger, "select from inbox")) == 1
    assert await fetch(ledger, "select from quarantine") == []


async def test_fault_22_any_order_of_events_ends_the_same(site: Site, ledger: Ledger, endpoints: Endpoints) -> None:
    """A request, the same request again, and a withdrawal: in every order no work is left, and nothing revives it."""
    service = tiny_of(site)
    orders = list(itertools.permutations(("request", "request again", "withdrawal")))
    samples = [sample_key() for _ in orders]
    topics = (TOPIC, SampleWithdrawalRequested.TYPE)
    async with consuming(service, ledger, endpoints.kafka_bootstrap) as offsets:
        for step in range(3):
            # across topics Kafka keeps no order: each step waits, so that these are the orders
            await site.publish(*(_event(order[step], sample) for order, sample in zip(orders, samples, strict=True)))
            await until(lambda: offsets.caught_up(topics))
    states = {row["subject"]: row["state"] for row in await fetch(ledger, "select subject, state from task")}
    assert states == dict.fromkeys(samples, "cancelled")
    tombstones = {row["subject"] for row in await fetch(ledger, "select subject from withdrawn")}
    assert tombstones == set(samples)


async def test_fault_23_poison_is_quarantined_once_and_the_partition_moves_on(
    site: Site, ledger: Ledger, endpoints: Endpoints
) -> None:
    """Also when the group is rewound and meets it again."""
    service, sample = tiny_of(site), sample_key()
    async with consuming(service, ledger, endpoints.kafka_bootstrap) as offsets:
        start = await offsets.end(TOPIC)
        await site.publish(tag(sample_key(), "poison"), tag(sample))
        await until(lambda: offsets.caught_up((TOPIC,)))
    await offsets.rewind(TOPIC, start)
    async with consuming(service, ledger, endpoints.kafka_bootstrap, from_now=False):
        await until(lambda: offsets.caught_up((TOPIC,)))
    held = await fetch(ledger, 'select "offset", code, state from quarantine')
    assert [tuple(row) for row in held] == [(start, "HANDLER_FAILED", "held")]
    assert [row["key"] for row in await fetch(ledger, "select key from task")] == [f"steps:{sample}"]


def _event(name: str, sample: str) -> Event:
    request = uuid.uuid5(uuid.NAMESPACE_OID, sample)
    match name:
        case "withdrawal":
            return SampleWithdrawalRequested(request_id=request, sample=sample, deadline=date(2031, 1, 1), actor=ACTOR)
        case _:
            return tag(sample, request_id=request)


async def _done(ledger: Ledger, key: str) -> bool:
    return await state_of(ledger, key) == "done"


async def _caught_up(site: Site) -> bool:
    offsets = Offsets(bootstrap=site.endpoints.kafka_bootstrap, group=group_of(tiny.NAME))
    return await offsets.caught_up((TOPIC, "sample.withdrawn"))
