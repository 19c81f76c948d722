"""Faults of brokers, consumers and databases, struck in the whole system while a cohort is on its way."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from datetime import date
from uuid import uuid4

from console import commands_out
from contracts.events import SampleWithdrawalRequested
from tests.faults.whole.rows import seeded, seeded_and_real
from tests.support.flow.plant import Plant
from tests.support.flow.records import read_all
from tests.support.proxy import Proxy

TASKS = "select count(*) from task where kind <> 'act'"
"""Acts of the archive follow from the time that passes, not from events."""
LEASED = "select count(*) from task where state = 'leased'"
EXPIRED = "select count(*) from task where state = 'leased' and lease_until < ledger_now()"


@seeded_and_real
async def test_fault_04_a_relay_killed_when_kafka_has_what_it_has_not_marked(plant: Plant) -> None:
    going = await plant.submit()
    await going.called()
    plant.arm("jointcall.after-publish", signal.SIGKILL)
    await going.freeze()
    await plant.struck("jointcall.after-publish")
    assert await going.panel() == plant.undisturbed
    await plant.quiet()
    told = Counter(one.event_id for one in await read_all(plant.bootstrap) if going.cohort.encode() in one.body)
    assert max(told.values()) == 2, "it was published again, under the same id"


@seeded_and_real
async def test_fault_05_a_consumer_killed_between_its_inbox_and_its_offset(plant: Plant) -> None:
    plant.arm("annotate.before-offset-commit", signal.SIGKILL)
    going = await plant.submit()
    await going.called()
    await going.freeze()
    await plant.struck("annotate.before-offset-commit")
    assert await going.panel() == plant.undisturbed


@seeded
async def test_fault_12_two_coordinators_and_one_request_asked_three_times(plant: Plant) -> None:
    async with plant.another("jointcall", "consume"):
        going = await plant.submit()
        await going.called()
        request = await going.freeze()
        await plant.publish(request, request)
        assert await going.panel() == plant.undisturbed
        await plant.quiet()
    assert await plant.value("jointcall", "select count(*) from task where key like $1", f"plan:{going.cohort}:%") == 1


@seeded_and_real
async def test_fault_15_a_database_that_dies_while_work_is_claimed(plant: Plant) -> None:
    going = await plant.submit()
    await going.called()
    await going.freeze()
    await plant.until(lambda: _some(plant, "jointcall", LEASED))
    await asyncio.to_thread(plant.stack.postgres.kill)
    await asyncio.to_thread(plant.stack.postgres.start)
    assert await going.panel() == plant.undisturbed


@seeded
async def test_fault_16_the_answer_to_a_commit_is_lost(plant: Plant) -> None:
    going = await plant.submit()
    await going.called()
    await going.freeze()
    for _ in range(3):
        plant.between.database(lambda proxy: proxy.swallow(b"COMMIT", reply_only=True))
        await plant.until(lambda: _swallowed(plant))
    assert await going.panel() == plant.undisturbed


@seeded
async def test_fault_17_a_database_that_is_silent_for_longer_than_the_lease(plant: Plant) -> None:
    plant.arm("align.after-upload", signal.SIGSTOP)
    going = await plant.submit()
    await plant.struck("align.after-upload")
    plant.between.database(Proxy.silence)
    await plant.until(lambda: _some(plant, "align", EXPIRED))
    plant.between.database(Proxy.mend)
    assert await going.panel() == plant.undisturbed


@seeded_and_real
async def test_fault_18_a_broker_that_dies_and_comes_back(plant: Plant) -> None:
    going = await plant.submit()
    await going.called()
    await going.freeze()
    await plant.until(lambda: _some(plant, "jointcall", LEASED))
    await asyncio.to_thread(plant.stack.kafka.kill)
    await asyncio.to_thread(plant.stack.kafka.start)
    assert await going.panel() == plant.undisturbed


@seeded
async def test_fault_19_a_broker_that_is_away_while_work_goes_on(plant: Plant) -> None:
    plant.arm("align.after-upload", signal.SIGSTOP)
    going = await plant.submit()
    child = await plant.struck("align.after-upload")
    await asyncio.to_thread(plant.stack.kafka.stop)
    plant.resume(child)
    await plant.until(lambda: _some(plant, "align", "select count(*) - 5 from outbox"))
    await asyncio.to_thread(plant.stack.kafka.start)
    assert await going.panel() == plant.undisturbed


@seeded
async def test_fault_20_consumers_come_and_go_while_events_flow(plant: Plant) -> None:
    going = await plant.submit()
    async with plant.another("vqsr", "consume"), plant.another("annotate", "consume"):
        await going.called()
        await going.freeze()
    assert await going.panel() == plant.undisturbed


@seeded
async def test_fault_21_every_event_comes_again(plant: Plant) -> None:
    going = await plant.submit()
    assert await going.panel() == plant.undisturbed
    await plant.quiet()
    before = {service: await plant.value(service, TASKS) for service in plant.ledgers}
    for record in await read_all(plant.bootstrap):
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        await plant.publish_raw(record.topic, record.body, headers)
    await plant.quiet()
    assert {service: await plant.value(service, TASKS) for service in plant.ledgers} == before


@seeded
async def test_fault_23_poison_in_every_topic_of_the_flow(plant: Plant) -> None:
    topics = ("run.completed", "gvcf.ready", "cohort.frozen", "interval.genotyped", "panel.recalibrated")
    going = await plant.submit()
    for topic in topics:
        await plant.publish_raw(topic, b"{not json", [("ce_id", str(uuid4()).encode()), ("ce_type", topic.encode())])
    assert await going.panel() == plant.undisturbed
    await plant.quiet()
    held = await plant.rows("vqsr", "select topic from quarantine where body = $1", b"{not json")
    assert sorted(row["topic"] for row in held) == ["cohort.frozen", "interval.genotyped"]


@seeded
async def test_fault_44_a_withdrawal_overtakes_the_samples_gvcf(plant: Plant) -> None:
    """The others of its run go on; what is frozen later is frozen without it."""
    plant.arm("align.after-upload", signal.SIGSTOP)
    going = await plant.submit()
    child = await plant.struck("align.after-upload")
    _, *rest = going.labels
    key = going.keys[0]
    await plant.publish(
        SampleWithdrawalRequested(
            request_id=uuid4(), sample=key, deadline=date(2031, 1, 1), actor=commands_out.actor(), reason="consent"
        )
    )
    await plant.until(lambda: _some(plant, "jointcall", "select count(*) from withdrawn where subject = $1", key))
    plant.resume(child)
    await going.called(*rest)
    await plant.quiet()
    assert await plant.value("jointcall", "select count(*) from status_sample where key = $1", key) in (0, 1)
    await going.freeze(*rest)
    assert (await going.released())["summary"]["samples"] == len(rest)


async def _some(plant: Plant, service: str, query: str, *values: object) -> bool:
    return bool((await plant.value(service, query, *values) or 0) > 0)


async def _swallowed(plant: Plant) -> bool:
    return plant.between.swallowed
