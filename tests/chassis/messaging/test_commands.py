"""Commands that every service obeys, through real processes: cancel, withdrawal, decisions on its quarantine. Who
asked is kept."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from datetime import date
from typing import Any

import pytest

from chassis.ledger.ledger import Ledger
from contracts.events import QuarantineDecisionRequested, SampleTagRequested, SampleWithdrawalRequested
from tests.conftest import until
from tests.support import tiny
from tests.support.messages import ACTOR, cancel, delivery_of, tag
from tests.support.site import Site, sample_key, state_of
from tests.support.working import enqueue


async def fetch(ledger: Ledger, query: str, *arguments: object) -> list[Any]:
    async with ledger.connection() as conn:
        return list(await conn.fetch(query, *arguments))


@pytest.mark.usefixtures("tiny_begins_now")
async def test_commands_by_event(site: Site, ledger: Ledger) -> None:
    await site.start("consume", tiny.BUILDER)
    cancelled, withdrawn = sample_key(), sample_key()
    await enqueue(ledger, tiny.steps_task(cancelled), tiny.steps_task(withdrawn))

    asked = cancel(cancelled)
    await site.publish(asked)
    await site.publish(
        SampleWithdrawalRequested(request_id=uuid.uuid4(), sample=withdrawn, deadline=date(2031, 1, 1), actor=ACTOR)
    )
    for sample in (cancelled, withdrawn):
        await until(lambda sample=sample: _is(state_of(ledger, f"steps:{sample}"), "cancelled"))
    (audit,) = await fetch(ledger, "select * from audit where request_id = $1", asked.request_id)
    assert (audit["type"], audit["subject"], audit["actor"], audit["reason"]) == (
        "work.cancel.requested",
        cancelled,
        "ada",
        "not needed",
    )
    # the tombstone meets what comes later
    await site.publish(tag(withdrawn))
    await enqueue(ledger, tiny.steps_task(withdrawn, later=True))
    assert await fetch(ledger, "select from task where subject = $1 and state <> 'cancelled'", withdrawn) == []

    bad = [delivery_of(tag(sample_key(), word)) for word in ("replayed", "discarded")]
    for delivery in bad:
        await site.publish_raw(SampleTagRequested.TYPE, b"{no json", list(delivery.headers))
    await until(lambda: _count(ledger, "quarantine where state = 'held' and topic = 'sample.tag.requested'", 2))
    items = [row["id"] for row in await fetch(ledger, "select id from quarantine where state = 'held' order by id")]
    # what replay acts on is what was kept, so mend the kept body in place of the handler
    async with ledger.connection() as conn:
        await conn.execute("update quarantine set body = $2 where id = $1", items[0], bad[0].body)
    for item, decision in zip(items, ("replay", "discard"), strict=True):
        await site.publish(
            QuarantineDecisionRequested(
                request_id=uuid.uuid4(), service=tiny.NAME, item=item, decision=decision, actor=ACTOR, reason="looked"
            )
        )
    await site.publish(
        QuarantineDecisionRequested(
            request_id=uuid.uuid4(), service="other", item=items[0], decision="discard", actor=ACTOR, reason="not ours"
        )
    )
    await until(lambda: _count(ledger, "quarantine where state = 'held'", 0))
    states = {row["id"]: row["state"] for row in await fetch(ledger, "select id, state from quarantine")}
    assert states == {items[0]: "replayed", items[1]: "discarded"}
    replayed = bad[0].key.decode() if bad[0].key else ""
    assert await state_of(ledger, f"steps:{replayed}") == "ready"
    await until(lambda: _count(ledger, "decision", 0))


async def _is(value: Awaitable[str | None], wanted: str) -> bool:
    return await value == wanted


async def _count(ledger: Ledger, what: str, wanted: int) -> bool:
    return (await fetch(ledger, f"select count(*) from {what}"))[0]["count"] == wanted
