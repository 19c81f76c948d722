"""A ledger's lives, on real Postgres: what a lease, an event id and an object of a former life still count for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chassis.errors import Rejection
from chassis.ledger import incarnation, outbox, queue
from chassis.ledger.incarnation import Span
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.quarantine import Delivery
from chassis.ledger.tasks import Lease, NewTask
from chassis.messaging.receive import Receipt, receive
from chassis.service import Service, Subscriptions
from chassis.storage import keys, open_store
from chassis.storage.store import Store, tags_of
from chassis.worker.sweeper import sweep_orphans
from contracts.events import (
    QuarantineDecisionRequested,
    RunCompleted,
    SampleTagRequested,
    SampleWithdrawn,
    WorkCancelRequested,
)
from contracts.generate import schemas
from tests.support.messages import cancel, delivery_of, tag
from tests.support.site import Site

TTL = timedelta(minutes=1)
REJECTION = Rejection(code="BAD_INPUT", message="m", where="w", rule="r", fix="f")
SAMPLE = "smp_" + "0" * 24
FACT = SampleWithdrawn(sample=SAMPLE, service="tiny")

Write = Callable[[Tx, Lease], Awaitable[Any]]
WRITES: dict[str, Write] = {
    "renew": lambda tx, lease: queue.renew(tx.conn, lease, ttl=TTL),
    "checkpoint": lambda tx, lease: queue.checkpoint(tx.conn, lease, chunk="c", value={"uri": "u"}),
    "finish": lambda tx, lease: queue.finish(tx, lease, result={"by": "zombie"}),
    "fail": lambda tx, lease: queue.fail(tx, lease, REJECTION),
    "retry": lambda tx, lease: queue.retry(tx, lease, reason="r", after=TTL),
    "wait": lambda tx, lease: queue.retry(tx, lease, reason="r", after=TTL, waits_for="x"),
    "crash": lambda tx, lease: queue.crash(tx, lease, reason="r"),
    "release": lambda tx, lease: queue.release(tx, lease),
    "ended as": lambda tx, lease: queue.ended_as(tx.conn, lease),
}


async def fetch(ledger: Ledger, query: str, *arguments: object) -> list[Any]:
    async with ledger.connection() as conn:
        return [dict(row) for row in await conn.fetch(query, *arguments)]


async def claim(ledger: Ledger) -> Lease | None:
    async with ledger.connection() as conn:
        leases = await queue.claim(
            conn, pools=("default",), memory_classes=("small",), owner="w", host="h", ttl=TTL, limit=1
        )
    return leases[0] if leases else None


async def must_claim(ledger: Ledger) -> Lease:
    lease = await claim(ledger)
    assert lease is not None
    return lease


async def next_life(ledger: Ledger, number: int, *spans: Span, services: tuple[str, ...] = ("tiny",)) -> None:
    async with ledger.transaction() as tx:
        await incarnation.raise_to(tx, number)
        await incarnation.rewind(tx, spans, incarnation=number, services=services)


@pytest.fixture
async def two_leases(ledger: Ledger) -> tuple[Lease, Lease]:
    """A lease of the former life, and one of this life on the same task with the same epoch, as after a restore."""
    async with ledger.transaction() as tx:
        await queue.enqueue(tx, [NewTask(key="t", kind="steps", subject=SAMPLE)])
    former = await must_claim(ledger)
    await next_life(ledger, 2)
    async with ledger.connection() as conn:
        await conn.execute("update task set epoch = epoch - 1")  # the backup was taken before the claim
    held = await must_claim(ledger)
    assert (held.epoch, held.incarnation, former.incarnation) == (former.epoch, 2, 1)
    return former, held


@pytest.mark.parametrize("name", WRITES)
async def test_a_lease_of_a_former_life_writes_nothing(
    ledger: Ledger, two_leases: tuple[Lease, Lease], name: str
) -> None:
    former, held = two_leases
    before = await fetch(ledger, "select * from task"), await fetch(ledger, "select * from attempt")
    async with ledger.transaction() as tx:
        said = await WRITES[name](tx, former)
    assert said in (False, None, queue.Given(state=None))
    assert (await fetch(ledger, "select * from task"), await fetch(ledger, "select * from attempt")) == before

    async with ledger.transaction() as tx:
        assert await WRITES[name](tx, held) not in (False, None, queue.Given(state=None)), "this life's lease counts"


async def test_a_new_life_releases_the_leases_of_the_former_and_keeps_what_they_had_recorded(ledger: Ledger) -> None:
    async with ledger.transaction() as tx:
        await queue.enqueue(tx, [NewTask(key="t", kind="steps", subject=SAMPLE)])
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        await queue.checkpoint(tx.conn, lease, chunk="c", value={"uri": "u"})
    await next_life(ledger, 7)
    again = await must_claim(ledger)
    assert (again.incarnation, again.epoch, again.attempt) == (7, lease.epoch + 1, f"7-{lease.epoch + 1}")
    assert again.checkpoint == {"c": {"uri": "u"}}
    assert again.attempts == 1, "nobody is to blame: no budget was spent"


@pytest.mark.parametrize("number", [1, 2])
async def test_a_life_is_never_lived_twice(ledger: Ledger, number: int) -> None:
    await next_life(ledger, 2)
    with pytest.raises(ValueError, match="not beyond"):
        await next_life(ledger, number)


async def test_the_same_fact_in_another_life_is_another_event(ledger: Ledger) -> None:
    request = tag(SAMPLE)
    for number in (2, 3):
        async with ledger.transaction() as tx:
            await outbox.add(tx, FACT, request)
        await next_life(ledger, number)
    rows = await fetch(ledger, "select topic, event_id, headers from outbox order by id")
    facts = [row["event_id"] for row in rows if row["topic"] == FACT.TYPE]
    assert facts[0] == FACT.event_id, "in the first life the id is what the contract says"
    assert len(set(facts)) == 2
    assert {row["event_id"] for row in rows if row["topic"] == request.TYPE} == {request.event_id}, "asked once"
    assert all(["ce_id", str(row["event_id"])] in row["headers"] for row in rows)


def at(delivery: Delivery, offset: int) -> Delivery:
    return replace(delivery, offset=offset)


def told_by(service: str, event: Any) -> Delivery:
    delivery = delivery_of(event)
    source = ("ce_source", outbox.source_of(service).encode())
    return replace(
        delivery, headers=tuple(source if name == "ce_source" else (name, value) for name, value in delivery.headers)
    )


async def test_facts_told_after_the_backup_are_forgotten_and_nothing_else(ledger: Ledger) -> None:
    acted: list[Any] = []

    async def act(tx: Tx, event: Any) -> None:
        acted.append(event)

    subscriptions = Subscriptions()
    kinds = (SampleWithdrawn, SampleTagRequested, WorkCancelRequested, QuarantineDecisionRequested, RunCompleted)
    for kind in kinds:
        subscriptions.on(kind, act)
    service = Service(name="tiny", subscriptions=subscriptions)
    await next_life(ledger, 2, *(Span(topic=kind.TYPE, partition=0, first=10, past=20) for kind in kinds))
    decision = QuarantineDecisionRequested.model_validate(schemas.example("quarantine.decision.requested"))
    run = RunCompleted.model_validate(schemas.example("run.completed"))

    async def receipt(delivery: Delivery) -> Receipt:
        return await receive(ledger, service.subscriptions, delivery)

    for offset in (10, 19):
        assert await receipt(at(told_by("tiny", FACT), offset)) is Receipt.forgotten
    assert await receipt(at(delivery_of(decision), 12)) is Receipt.forgotten, "its item may be another one now"
    assert acted == []
    assert await fetch(ledger, "select from inbox") == [], "what is forgotten may come again"

    assert await receipt(at(delivery_of(tag(SAMPLE)), 12)) is Receipt.handled, "a person's command stands"
    assert await receipt(at(delivery_of(cancel(SAMPLE)), 12)) is Receipt.handled
    assert await receipt(at(told_by("ingest", run), 12)) is Receipt.handled, "the run folder may be gone"
    assert await receipt(at(told_by("lims", FACT), 12)) is Receipt.handled, "told by one that was not restored"
    assert await receipt(at(told_by("tiny", FACT), 9)) is Receipt.duplicate, "before the backup: a fact as any"
    other = SampleWithdrawn(sample="smp_" + "1" * 24, service="tiny")
    assert await receipt(at(told_by("tiny", other), 20)) is Receipt.handled, "told in this life"


async def test_no_lease_is_given_before_the_consumer_has_caught_up(ledger: Ledger) -> None:
    async with ledger.transaction() as tx:
        await queue.enqueue(tx, [NewTask(key="t", kind="steps", subject=SAMPLE)])
    await next_life(
        ledger,
        2,
        Span(topic="a", partition=0, first=5, past=9),
        Span(topic="b", partition=1, first=0, past=3),
    )
    async with ledger.connection() as conn:
        await incarnation.caught_up(conn, topic="a", partition=0, offset=9)
        await incarnation.caught_up(conn, topic="b", partition=1, offset=2)
        assert [span.topic for span in await incarnation.behind(conn)] == ["b"]
        assert await claim(ledger) is None
        await incarnation.caught_up(conn, topic="b", partition=1, offset=3)
    assert (await must_claim(ledger)).incarnation == 2


async def test_what_a_forgotten_life_left_in_the_store_is_not_swept(site: Site, ledger: Ledger) -> None:
    """People may have been told of it; what this ledger itself saw fail goes as always."""

    async def put(store: Store, task: str, number: int, epoch: int) -> str:
        prefix = keys.attempt(service="tiny", task_key=task, incarnation=number, epoch=epoch)
        tags = tags_of(kind="log", stage="tiny", subject=SAMPLE)
        return (await store.put_bytes(prefix.key("out"), b"x", tags=tags)).key

    async with ledger.transaction() as tx:
        await queue.enqueue(tx, [NewTask(key="known", kind="steps", subject=SAMPLE)])
    lease = await must_claim(ledger)
    async with ledger.transaction() as tx:
        await queue.crash(tx, lease, reason="seen by this ledger")
    async with open_store(site.settings.store) as store:
        crashed = await put(store, "known", 1, lease.epoch)
        kept = {await put(store, "known", 1, lease.epoch + 1), await put(store, "made-after-the-backup", 1, 1)}
        await next_life(ledger, 2)
        orphan = await put(store, "of-no-task", 2, 1)
        removed = await sweep_orphans(ledger, store, older_than=timedelta(seconds=-5))
        assert set(removed) == {crashed, orphan}
        assert {facts.key async for facts in store.list("working/tiny")} == kept
