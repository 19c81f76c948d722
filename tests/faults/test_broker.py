"""Faults of the broker: killed, silent for long, and a partition that changes hands in the middle of a handler."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from chassis.ledger import outbox
from chassis.ledger.ledger import Ledger, Tx
from chassis.messaging.common import with_common
from chassis.messaging.consumer import Consumption
from chassis.service import Service, Subscriptions, build
from chassis.settings import KafkaSettings
from chassis.telemetry import instruments
from contracts.events import SampleTagRequested, SampleWithdrawn
from deploy.embedded.stack import EmbeddedStack
from tests.conftest import LedgerFor, until
from tests.faults.conftest import Settled
from tests.faults.signs import done
from tests.support import tiny
from tests.support.consuming import consuming, fresh_name, relaying
from tests.support.messages import tag
from tests.support.site import Site, sample_key
from tests.support.working import enqueue, worker_of

TOPIC = SampleTagRequested.TYPE


def tiny_of(site: Site) -> Service:
    """The whole of tiny, in a consumer group of its own."""
    return replace(with_common(build(tiny.BUILDER, site.settings)), name=fresh_name())


async def unsent(ledger: Ledger) -> int:
    async with ledger.connection() as conn:
        return int(await conn.fetchval("select count(*) from outbox"))


@pytest.mark.usefixtures("tiny_begins_now")
async def test_fault_18_a_broker_that_is_killed_and_comes_back_loses_nothing(
    site: Site,
    ledger: Ledger,
    ledger_for: LedgerFor,
    settled: Settled,
    stack: EmbeddedStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Work goes on meanwhile, and who is told to stop does stop."""
    monkeypatch.setattr("chassis.messaging.consumer.GRACE_SECONDS", 0.5)
    monkeypatch.setattr("chassis.messaging.consumer.GOODBYE_SECONDS", 0.5)
    monkeypatch.setattr("chassis.messaging.relay.GOODBYE_SECONDS", 1.0)
    first, during, after = (tiny.steps_task(sample_key(), chunks=1) for _ in range(3))
    other = await ledger_for("other")
    bootstrap = site.endpoints.kafka_bootstrap
    await site.start("consume", tiny.BUILDER)
    async with worker_of(site, ledger), AsyncExitStack() as leaving:
        await leaving.enter_async_context(consuming(tiny_of(site), ledger, bootstrap))
        await leaving.enter_async_context(relaying(other, bootstrap))
        await enqueue(ledger, first)
        await settled(first.key)

        await asyncio.to_thread(stack.kafka.kill)
        try:
            await enqueue(ledger, during)
            await until(lambda: done(ledger, during.key))
            async with other.transaction() as tx:
                await outbox.add(tx, SampleWithdrawn(sample=sample_key(), service="other"))
            async with asyncio.timeout(30):
                await leaving.aclose()
            assert (await unsent(ledger), await unsent(other)) == (1, 1)
        finally:
            await asyncio.to_thread(stack.kafka.start)

        await site.publish(tag(after.subject))
        await settled(first.key, during.key, after.key)


async def test_fault_19_while_the_broker_is_away_the_outbox_grows_and_says_so_and_then_drains(
    site: Site,
    ledger: Ledger,
    announced: None,
    settled: Settled,
    stack: EmbeddedStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It holds its connections and answers nobody; `announced` relays in this process, so that its metrics are here."""
    monkeypatch.setattr("chassis.messaging.relay.POLL_SECONDS", 0.1)
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(instruments, "meter", lambda: meters.get_meter("test"))
    tasks = [tiny.steps_task(sample_key(), chunks=1) for _ in range(3)]
    async with worker_of(site, ledger):
        await enqueue(ledger, tasks[0])
        await settled(tasks[0].key)

        stack.kafka.process.suspend()
        try:
            await enqueue(ledger, *tasks[1:])
            await until(lambda: done(ledger, *(task.key for task in tasks)))
            assert await unsent(ledger) == 2
            await until(lambda: _shows(reader, backlog=2, older_than=1.0))
        finally:
            stack.kafka.process.resume()

        counts = await settled(*(task.key for task in tasks))
        await until(lambda: _shows(reader, backlog=0))
    assert all(distinct == 1 for distinct in counts.distinct.values())
    meters.shutdown()


async def test_fault_20_a_partition_taken_in_the_middle_of_a_handler_acts_once(
    site: Site, ledger: Ledger, topics: None, settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next owner meets the event while the first still works on it, and finds it taken."""
    group, receipts = f"cohortstream.{fresh_name()}", []
    monkeypatch.setattr("chassis.messaging.consumer.group_of", lambda _: group)
    monkeypatch.setattr("tests.support.consuming.group_of", lambda _: group)
    monkeypatch.setattr("chassis.messaging.receive.received", lambda **found: receipts.append(found["receipt"]))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(tx: Tx, event: SampleTagRequested) -> None:
        begun.set()
        await tiny.on_tag(tx, event)
        await go_on.wait()

    sample, bootstrap = sample_key(), site.endpoints.kafka_bootstrap
    # partitions are dealt out by the order of the members' names: whoever is called so comes first
    next_owner = replace(_listening(tiny.on_tag), name="a")
    async with consuming(replace(_listening(slowly), name="b"), ledger, bootstrap) as offsets:
        await site.publish(tag(sample))
        await begun.wait()

        taker = Consumption(service=next_owner, ledger=ledger, settings=KafkaSettings(bootstrap=bootstrap))
        await taker.start()
        await until(lambda: _waits_for_the_first(ledger))
        go_on.set()
        await until(lambda: offsets.caught_up((TOPIC,)))
        assert sorted(receipts) == ["duplicate", "handled"]
        await taker.stop()
    monkeypatch.undo()

    service = replace(with_common(build(tiny.BUILDER, site.settings)), name=fresh_name())
    async with consuming(service, ledger, bootstrap), relaying(ledger, bootstrap), worker_of(site, ledger):
        await settled(f"steps:{sample}")
    async with ledger.connection() as conn:
        assert await conn.fetchval("select count(*) from inbox where subject = $1 and type = $2", sample, TOPIC) == 1
        assert await conn.fetchval("select count(*) from task") == 1


def _listening(handler: Any) -> Service:
    subscriptions = Subscriptions()
    subscriptions.on(SampleTagRequested, handler)
    return Service(name="unnamed", subscriptions=subscriptions)


async def _waits_for_the_first(ledger: Ledger) -> bool:
    """Does a second transaction wait for the inbox row of the first?"""
    async with ledger.connection() as conn:
        return bool(
            await conn.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
                " and datname = current_database() and query ilike '%inbox%')"
            )
        )


async def _shows(reader: InMemoryMetricReader, *, backlog: int, older_than: float = -1.0) -> bool:
    document = reader.get_metrics_data()
    found = {
        metric.name: point.value
        for resource in (document.resource_metrics if document else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name.startswith("cohortstream.outbox")
    }
    if not found:
        return False
    return found["cohortstream.outbox.backlog"] == backlog and found["cohortstream.outbox.oldest"] > older_than
