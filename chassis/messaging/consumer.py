"""FastStream subscribers over `receive`: manual acknowledgement, exact commits, delayed retries, a watchdog."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from chassis.faultpoints import point
from chassis.health.pulse import Beat, unwatched
from chassis.ledger.ledger import Ledger
from chassis.ledger.quarantine import Delivery
from chassis.ledger.trouble import passes
from chassis.messaging.receive import receive
from chassis.service import Service
from chassis.settings import KafkaSettings
from chassis.telemetry.instruments import consumer_lag

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""How long a partition rests when the ledger cannot be reached."""
SILENCE_SECONDS = 60.0
"""Without a successful poll for so long the process ends, so that its supervisor starts a fresh one."""
WATCH_SECONDS = 5.0
QUIET_SECONDS = 15.0
"""Kafka answers a poll at least every 100 ms; after so long without an answer it counts as away."""
GRACE_SECONDS = 10.0
"""For the handler in hand when the process is told to stop; then its transaction is rolled back."""
GOODBYE_SECONDS = 3.0
POSITION_SECONDS = 1.0


class ConsumerSilent(Exception):
    """The consumer no longer polls although it has partitions."""


def group_of(service: str) -> str:
    return f"cohortstream.{service}"


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Whether the group has told this member its partitions; none may be meant, for one that stands by."""

    def __init__(self) -> None:
        self.told = False
        self.settled: dict[TopicPartition, int] = {}
        """The offset after the last event that was settled here, of partitions that were not given away since."""

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.told = False
        self.settled.clear()

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.told = True


class Consumption:
    """One service's consumer. `start` returns when it is assigned or soon will be; `watch` ends only in trouble."""

    def __init__(self, *, service: Service, ledger: Ledger, settings: KafkaSettings) -> None:
        from chassis.messaging.security import client_options, security_of

        self._service = service
        self._ledger = ledger
        self._resting: dict[TopicPartition, asyncio.TimerHandle] = {}
        self._membership = _Membership()
        self._unpolled_since: float | None = None
        self._broker = KafkaBroker(
            settings.bootstrap,
            client_id=f"cohortstream-{service.name}",
            security=security_of(settings),
            graceful_timeout=GRACE_SECONDS,
            logger=None,
            apply_types=False,
            allow_auto_create_topics=False,
            **client_options(),
        )
        self._subscriber: Any = self._broker.subscriber(
            *service.subscriptions.topics,
            group_id=group_of(service.name),
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            parser=_parse,
            decoder=_whole,
            fetch_max_wait_ms=100,
            session_timeout_ms=10_000,
            max_poll_records=100,
            listener=self._membership,
        )
        self._subscriber(self._on_message)

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        """Leave the group; without a broker that takes leave, go all the same."""
        for handle in self._resting.values():
            handle.cancel()
        try:
            async with asyncio.timeout(GRACE_SECONDS + GOODBYE_SECONDS):
                await self._broker.stop()
        except TimeoutError:
            log.warning("Kafka did not take leave; the group will notice by itself")

    async def watch(self, beat: Beat = unwatched) -> None:
        """Raises ConsumerSilent when polling has stopped."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            beat()
            consumer_lag(service=self._service.name, lag=await self.lag())
            silent = self.silent_for()
            if silent > SILENCE_SECONDS:
                raise ConsumerSilent(f"no successful poll for {silent:.0f} s")

    async def lag(self) -> dict[str, int]:
        """Events not settled yet by topic, as the last answers to this consumer's own polls tell: nobody is asked.

        A partition of which nothing was fetched yet has none.
        """
        found = dict.fromkeys(self._service.subscriptions.topics, 0)
        consumer = self._subscriber.consumer
        for tp in list(consumer.assignment()) if consumer is not None else ():
            end = consumer.highwater(tp) if tp in consumer.assignment() else None
            if end is not None:
                at = self._membership.settled.get(tp)
                found[tp.topic] += max(0, end - (at if at is not None else await _position(consumer, tp, end)))
        return found

    def silent_for(self) -> float:
        """Seconds since the newest successful poll of any partition, or since there were partitions to poll; 0 without
        any, and while all of them rest."""
        consumer = self._subscriber.consumer
        partitions = [tp for tp in consumer.assignment() if tp not in self._resting] if consumer is not None else []
        polled = [stamp / 1000 for tp in partitions if (stamp := consumer.last_poll_timestamp(tp))]
        if polled or not partitions:
            self._unpolled_since = None
        elif self._unpolled_since is None:
            self._unpolled_since = time.time()
        newest = max(polled, default=self._unpolled_since)
        return max(0.0, time.time() - newest) if newest is not None else 0.0

    def why_not(self) -> str | None:
        """Why events do not come; None when they do."""
        if self._subscriber.consumer is None or not self._membership.told:
            return "no partitions are assigned yet"
        silent = self.silent_for()
        return f"no answer for {silent:.0f} s" if silent > QUIET_SECONDS else None

    async def _on_message(self, message: KafkaMessage) -> None:
        record: Any = message.raw_message
        consumer: Any = message.consumer
        partition = TopicPartition(record.topic, record.partition)
        delivery = Delivery(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            headers=tuple((name, value or b"") for name, value in record.headers),
            body=record.value or b"",
        )
        try:
            await receive(self._ledger, self._service.subscriptions, delivery)
        except Exception as error:  # what is not settled must come again: the next commit would pass it over
            if passes(error):
                log.warning("the ledger cannot be reached; the event waits", extra={"error": type(error).__name__})
            else:
                log.exception("an event can be neither handled nor quarantined; it waits")
            self._rest(consumer, partition, record.offset)
            return
        self._membership.settled[partition] = record.offset + 1
        point("before-offset-commit", of=self._service.name)
        await self._commit(consumer, partition, record.offset + 1)

    async def _commit(self, consumer: Any, partition: TopicPartition, offset: int) -> None:
        """Commit exactly this record: FastStream's own ack would commit the position on all partitions."""
        from aiokafka.errors import KafkaError

        try:
            await consumer.commit({partition: offset})
        except KafkaError as error:
            # A rebalance took the partition: its next owner meets the event again, and the inbox absorbs it.
            log.warning("an offset could not be committed", extra={"error": type(error).__name__})

    def _rest(self, consumer: Any, partition: TopicPartition, offset: int) -> None:
        """Come back to this record later; other partitions flow on."""
        consumer.pause(partition)
        consumer.seek(partition, offset)

        def resume() -> None:
            self._resting.pop(partition, None)
            if partition in consumer.assignment():
                consumer.resume(partition)

        self._resting[partition] = asyncio.get_running_loop().call_later(RETRY_SECONDS, resume)


async def _position(consumer: Any, tp: TopicPartition, end: int) -> int:
    """Until an event is settled here, the position is where the group has come to; `end` where it is not known."""
    from aiokafka.errors import KafkaError

    try:
        async with asyncio.timeout(POSITION_SECONDS):
            return int(await consumer.position(tp))
    except (TimeoutError, KafkaError):
        return end


async def _parse(record: ConsumerRecord[Any, Any], original: Any) -> Any:
    """FastStream decodes headers as UTF-8 and would fail on others: give it none, and keep the record as it came."""
    parsed = await original(replace(record, headers=()))
    parsed.raw_message = record
    return parsed


async def _whole(message: KafkaMessage) -> KafkaMessage:
    """FastStream hands the handler what the decoder returns: the handler wants the record, not its body."""
    return message
