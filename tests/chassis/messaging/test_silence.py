"""A consumer that no longer polls ends its process; one with nothing to poll, or with a partition at rest, does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from chassis.ledger.ledger import Ledger, Tx
from chassis.messaging import consumer as messaging
from chassis.messaging.consumer import ConsumerSilent, Consumption
from chassis.settings import KafkaSettings
from contracts.events import SampleTagRequested
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.support.consuming import tagging

TP = TopicPartition("sample.tag.requested", 0)


@asynccontextmanager
async def consumption(ledger: Ledger, bootstrap: str) -> AsyncIterator[Consumption]:
    made = Consumption(service=tagging(_nothing), ledger=ledger, settings=KafkaSettings(bootstrap=bootstrap))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def test_a_consumer_that_stops_to_poll_is_silent_and_the_watch_ends_it(
    topics: None, ledger: Ledger, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polling is stopped within the client, which keeps its partitions all the while: the trouble a client reports to
    nobody."""
    monkeypatch.setattr(messaging, "WATCH_SECONDS", 0.05)
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    async with consumption(ledger, endpoints.kafka_bootstrap) as consuming:
        watch = asyncio.create_task(consuming.watch(beat))
        try:
            await until(lambda: _is(consuming.why_not() is None and beats > 3))
            client: Any = consuming._subscriber.consumer
            assert client.assignment()
            assert not watch.done()
            client.pause(*client.assignment())
            monkeypatch.setattr(messaging, "SILENCE_SECONDS", 0.6)
            monkeypatch.setattr(messaging, "QUIET_SECONDS", 0.5)
            with pytest.raises(ConsumerSilent, match="no successful poll for"):
                async with asyncio.timeout(20):
                    await watch
            said = consuming.why_not()
            assert said is not None and said.startswith("no answer for")
        finally:
            watch.cancel()


class Client:
    """A client with partitions and the time, in seconds, of their last poll."""

    def __init__(self, polled: dict[TopicPartition, float | None]) -> None:
        self.polled = polled

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.polled)

    def last_poll_timestamp(self, tp: TopicPartition) -> float | None:
        stamp = self.polled[tp]
        return None if stamp is None else stamp * 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    stands = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(messaging, "time", SimpleNamespace(time=lambda: stands.now))
    return stands


def unstarted(ledger: Ledger, client: Client) -> Consumption:
    made = Consumption(service=tagging(_nothing), ledger=ledger, settings=KafkaSettings())
    made._subscriber = SimpleNamespace(consumer=client)
    return made


async def test_silence_counts_from_the_last_poll_or_from_the_assignment(ledger: Ledger, clock: SimpleNamespace) -> None:
    client = Client({})
    consuming = unstarted(ledger, client)
    assert consuming.why_not() == "no partitions are assigned yet"
    assert consuming.silent_for() == 0
    consuming._membership.on_partitions_assigned(set())
    assert consuming.why_not() is None, "it stands by"
    client.polled = {TP: None}
    assert consuming.silent_for() == 0
    clock.now += 40
    assert consuming.silent_for() == 40, "assigned, and never polled since"
    client.polled = {TP: 1035.0, TopicPartition("other", 0): 1039.0}
    assert consuming.silent_for() == 1
    client.polled = {TP: None}
    assert consuming.silent_for() == 0, "assigned anew"


async def test_a_partition_that_rests_is_not_silent(ledger: Ledger, clock: SimpleNamespace) -> None:
    client = Client({TP: 900.0})
    consuming = unstarted(ledger, client)
    assert consuming.silent_for() == 100
    handle = asyncio.get_running_loop().call_later(60, lambda: None)
    consuming._resting[TP] = handle
    assert consuming.silent_for() == 0
    handle.cancel()


async def _nothing(tx: Tx, event: SampleTagRequested) -> None:
    return None


async def _is(held: bool) -> bool:
    return held
