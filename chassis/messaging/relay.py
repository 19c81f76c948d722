"""The relay: one leader per service sends the outbox to Kafka, in id order, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis.faultpoints import point
from chassis.health.pulse import Beat, unwatched
from chassis.ledger import outbox
from chassis.ledger.ledger import Ledger
from chassis.ledger.outbox import Unsent
from chassis.messaging.publication import publication
from chassis.messaging.security import plain_options
from chassis.settings import KafkaSettings
from chassis.telemetry.instruments import outbox_backlog

log = logging.getLogger(__name__)

BATCH = 500
POLL_SECONDS = 1.0
"""A notification wakes the relay at once; this is for the one that got lost."""
STANDBY_SECONDS = 2.0
TROUBLE = (
    KafkaError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asked just when the server ended the connection
    OSError,
    TimeoutError,
)
MOST_BACKOFF = 15.0
GOODBYE_SECONDS = 5.0


async def relay(ledger: Ledger, settings: KafkaSettings, *, beat: Beat = unwatched) -> None:
    """Relay for ever. Any number of processes may: one leads by a session lock, the others stand by."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_measuring(ledger))
        failures = 0
        while True:
            try:
                await _lead(ledger, settings, beat)
                failures = 0
            except TROUBLE as error:
                failures += 1
                log.warning("the relay rests", extra={"error": type(error).__name__, "failures": failures})
                beat()
                await asyncio.sleep(min(MOST_BACKOFF, 0.5 * 2.0 ** min(failures, 6)))


async def _lead(ledger: Ledger, settings: KafkaSettings, beat: Beat) -> None:
    conn = await ledger.dedicated()
    try:
        while not await outbox.try_lead(conn, ledger.service):
            beat()
            await asyncio.sleep(STANDBY_SECONDS)
        producer = AIOKafkaProducer(
            **plain_options(settings),
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            client_id=f"cohortstream-{ledger.service}-relay",
        )
        await producer.start()
        try:
            woken = asyncio.Event()
            conn.add_termination_listener(lambda _: woken.set())
            await conn.add_listener(outbox.channel(ledger.service), lambda *_: woken.set())
            while True:
                woken.clear()
                while batch := await outbox.unsent(conn, limit=BATCH):
                    await _send(producer, batch)
                    point("after-publish", of=ledger.service)
                    await outbox.mark_sent(conn, [row.id for row in batch])
                    beat()
                beat()
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    pass
        finally:
            await _part(producer)
    finally:
        conn.terminate()


async def _measuring(ledger: Ledger) -> None:
    """Beside the sending, which stands still while Kafka is away: just then the backlog must be seen to grow."""
    while True:
        try:
            async with ledger.connection() as conn:
                row = await conn.fetchrow(outbox.BACKLOG)
        except TROUBLE:
            log.warning("the ledger cannot be reached; the outbox is not measured")
        else:
            assert row is not None
            outbox_backlog(service=ledger.service, backlog=row["backlog"], oldest=row["oldest"], now=row["now"])
        await asyncio.sleep(POLL_SECONDS)


async def _part(producer: AIOKafkaProducer) -> None:
    """What was not acknowledged stays in the outbox, so a broker that is away need not be waited for."""
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await producer.stop()
    except TimeoutError:
        log.warning("Kafka did not take the relay's leave")


async def _send(producer: AIOKafkaProducer, batch: Sequence[Unsent]) -> None:
    """Pipelined: the idempotent producer keeps the order within a partition, whatever it has to send again."""
    told = [publication(row.message) for row in batch]
    acknowledgements = [
        await producer.send(row.message.topic, row.message.body, key=row.message.key, headers=list(one.headers))
        for row, one in zip(batch, told, strict=True)
    ]
    for one, sent in zip(told, await asyncio.gather(*acknowledgements), strict=True):
        one.sent(partition=sent.partition, offset=sent.offset)
