"""After a restore from backup: when has the consumer passed everything that was written in the meantime?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from chassis.ledger import incarnation
from chassis.ledger.ledger import Ledger
from chassis.ledger.queue import NOTIFY, channel
from chassis.ledger.trouble import TROUBLE
from chassis.messaging.security import plain_options
from chassis.settings import KafkaSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


async def catching_up(ledger: Ledger, settings: KafkaSettings, *, group: str) -> None:
    """Look until nothing is left behind; ends then, at once where no restore was. Any number of processes may."""
    while True:
        try:
            async with ledger.connection() as conn:
                if not await incarnation.behind(conn):
                    return
            await _until_passed(ledger, settings, group)
        except (KafkaError, *TROUBLE) as error:
            log.warning("cannot tell whether the consumer has caught up", extra={"error": type(error).__name__})
            await asyncio.sleep(LOOK_SECONDS)


async def _until_passed(ledger: Ledger, settings: KafkaSettings, group: str) -> None:
    # not subscribed, so that it asks about the group without being a member
    asking = AIOKafkaConsumer(**plain_options(settings), group_id=group, enable_auto_commit=False)
    await asking.start()
    try:
        while True:
            async with ledger.connection() as conn:
                spans = await incarnation.behind(conn)
            if not spans:
                break
            partitions = [TopicPartition(span.topic, span.partition) for span in spans]
            # assigned, so that it learns of all topics at once; paused, so that it reads none
            asking.assign(partitions)
            asking.pause(*partitions)
            settled = await _settled(asking, partitions)
            async with ledger.connection() as conn:
                for tp, offset in settled.items():
                    await incarnation.caught_up(conn, topic=tp.topic, partition=tp.partition, offset=offset)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await asking.stop()
    async with ledger.connection() as conn:
        await conn.execute(NOTIFY, channel(ledger.service))
    log.info("the consumer has caught up with the log after the restore: work goes on")


async def _settled(asking: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Up to which offset each partition is settled; what retention took from the log need not be waited for."""
    begins = await asking.beginning_offsets(list(partitions))
    return {tp: max(begin, await asking.committed(tp) or 0) for tp, begin in begins.items()}
