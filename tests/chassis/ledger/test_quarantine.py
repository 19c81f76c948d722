"""The quarantine, on real Postgres, with replays through a service's handlers."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from chassis.errors import Rejection
from chassis.ledger import quarantine
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.quarantine import Delivery
from chassis.messaging.receive import Receipt, receive, replay
from chassis.service import Subscriptions
from contracts.events import SampleTagRequested
from tests.support.messages import delivery_of, tag
from tests.support.site import sample_key

REASON = Rejection(code="EVENT_DECODE", message="no\x00event", where="here", rule="be one", fix="mend it")


def handling(*, broken: bool) -> tuple[Subscriptions, list[str]]:
    seen: list[str] = []

    async def on_tag(tx: Tx, event: SampleTagRequested) -> None:
        if broken:
            raise RuntimeError("a bug")
        seen.append(event.sample)

    subscriptions = Subscriptions()
    subscriptions.on(SampleTagRequested, on_tag)
    return subscriptions, seen


async def items(ledger: Ledger) -> list[asyncpg.Record]:
    async with ledger.connection() as conn:
        return await conn.fetch("select * from quarantine order by id")


async def hold(ledger: Ledger, delivery: Delivery) -> int | None:
    async with ledger.transaction() as tx:
        return await quarantine.hold(tx, delivery, REASON)


async def test_one_delivery_is_held_once(ledger: Ledger) -> None:
    delivery = delivery_of(tag(sample_key()))
    assert await hold(ledger, delivery) is not None
    assert await hold(ledger, delivery) is None
    assert len(await items(ledger)) == 1


async def test_a_delivery_comes_back_to_the_byte(ledger: Ledger) -> None:
    """Headers that are no text included; a NUL, which Postgres cannot keep, costs only itself."""
    delivery = replace(
        delivery_of(tag(sample_key())), key=None, headers=(("ce_id", b"\xff\x00"), ("x", b"")), body=b"\x00\xfe"
    )
    item = await hold(ledger, delivery)
    assert item is not None
    async with ledger.transaction() as tx:
        assert await quarantine.take(tx, item) == delivery
    assert (await items(ledger))[0]["rejection"]["message"] == "no\ufffdevent"


async def test_a_replay_after_the_mending_acts_once(ledger: Ledger) -> None:
    sample = sample_key()
    delivery = delivery_of(tag(sample))
    broken, _ = handling(broken=True)
    assert await receive(ledger, broken, delivery) is Receipt.quarantined
    (item,) = await items(ledger)
    assert (item["state"], item["code"]) == ("held", "HANDLER_FAILED")

    assert await replay(ledger, broken, item["id"], actor="ada", reason="try") is Receipt.quarantined
    assert (await items(ledger))[0]["state"] == "held", "it failed again, so it stays"

    mended, seen = handling(broken=False)
    assert await replay(ledger, mended, item["id"], actor="ada", reason="mended") is Receipt.handled
    assert await replay(ledger, mended, item["id"], actor="ada", reason="again") is None
    assert seen == [sample]
    (item,) = await items(ledger)
    assert (item["state"], item["decided_by"], item["decision_reason"]) == ("replayed", "ada", "mended")


async def test_a_replay_of_what_came_again_meanwhile_does_nothing(ledger: Ledger) -> None:
    event = tag(sample_key())
    broken, _ = handling(broken=True)
    await receive(ledger, broken, delivery_of(event))
    mended, seen = handling(broken=False)
    assert await receive(ledger, mended, delivery_of(event)) is Receipt.handled
    (item,) = await items(ledger)
    assert await replay(ledger, mended, item["id"], actor="ada", reason="late") is Receipt.duplicate
    assert len(seen) == 1


async def test_a_discarded_item_cannot_be_replayed(ledger: Ledger) -> None:
    item = await hold(ledger, delivery_of(tag(sample_key())))
    assert item is not None
    async with ledger.transaction() as tx:
        await quarantine.decide(tx, item, replayed=False, actor="ada", reason="noise")
    mended, seen = handling(broken=False)
    assert await replay(ledger, mended, item, actor="ada", reason="no") is None
    assert seen == []
    assert (await items(ledger))[0]["state"] == "discarded"


async def test_a_still_held_item_says_todays_reason(ledger: Ledger) -> None:
    item = await hold(ledger, delivery_of(tag(sample_key())))
    assert item is not None
    async with ledger.transaction() as tx:
        await quarantine.still_held(tx, item, replace(REASON, code="ENVELOPE"))
    assert (await items(ledger))[0]["code"] == "ENVELOPE"
