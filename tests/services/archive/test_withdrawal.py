"""A withdrawn sample's artifacts go by the deadline, as all destroying is done; what keeps them a while is said."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from pathlib import Path

import pytest

from chassis.errors import Rejected
from contracts.events import SampleWithdrawalRequested
from contracts.values import ArtifactKind
from services.archive.inventory import Inventory
from services.archive.policies import load_rules
from tests.services.archive.yard import Yard, cram_ready, hold, hold_released, journey, own_journey, sample
from tests.support import events

pytestmark = pytest.mark.stack


def withdrawn(*, deadline: date = date(2099, 1, 1)) -> SampleWithdrawalRequested:
    return SampleWithdrawalRequested(
        request_id=uuid.uuid4(), sample=sample().key, deadline=deadline, actor=events.PERSON, reason="a letter"
    )


async def test_a_hold_keeps_it_and_the_status_names_a_person(yard: Yard) -> None:
    told = await own_journey(yard)
    await yard.hear(*told.facts, hold(told.cram), withdrawn())
    await yard.work()
    assert await yard.sweep() == 6
    await yard.pass_grace()
    await yard.work()
    await yard.sweep()
    assert await yard.why_not(told.cram) == ["held by tester: looking at it"]
    [line] = await yard.rows("select * from status_subject where state like 'withdrawn%'")
    assert line["state"] == "withdrawn: purging"
    assert line["waits_for"].startswith("a person: 1 of its objects are held; 1 objects to be purged by 2099-01-01")
    assert await yard.told("sample.withdrawn") == []

    await yard.hear(hold_released(told.cram))
    assert await yard.sweep() == 1
    await yard.pass_grace()
    await yard.work()
    await yard.sweep()
    assert len(await yard.told("sample.withdrawn")) == 1
    [audit] = await yard.rows("select reason from status_audit where type = 'sample.withdrawal.requested'")
    assert audit["reason"] == "a letter"


async def test_a_freeze_under_way_keeps_it_until_there_is_no_more_time(yard: Yard) -> None:
    """The freeze is never released; the deadline is four days off."""
    told = await own_journey(yard)
    async with yard.ledger.connection() as conn:
        today = await conn.fetchval("select ledger_now()::date")
    await yard.hear(*told.facts[:4], withdrawn(deadline=today + timedelta(days=4)))
    await yard.work()
    assert await yard.sweep() == 1, "its card, which no freeze reads"
    [why] = [why for why in await yard.why_not(told.gvcf) if "there is time until" in why]
    assert why.startswith("the open freeze c:1 needs its sample")
    await yard.pass_time(timedelta(days=4))
    assert await yard.sweep() == 6
    await yard.pass_grace()
    await yard.work()
    assert len(await yard.told("artifact.purged")) == 7


async def test_what_is_another_samples_too_stays(yard: Yard) -> None:
    """The same bytes under one name: the other sample has no copy of its own."""
    told = await journey(yard)
    await yard.hear(*told.facts, cram_ready(sample(2), told.cram), withdrawn())
    await yard.work()
    await yard.sweep()
    assert f"it is of {events.sample_of(2)} too" in await yard.why_not(told.cram)
    await yard.pass_grace()
    await yard.work()
    assert await yard.store.head(told.cram.uri) is not None


async def test_what_attempts_left_goes_too(yard: Yard) -> None:
    """A checkpoint of a dead attempt bears the sample's key in its name; no event ever named it."""
    key = f"working/align/align-{sample().key}-v1/1-1/lane.bam"
    left = await yard.put(ArtifactKind.lane_bam, key, b"left", subject=sample().key)
    other = await yard.put(
        ArtifactKind.lane_bam, f"working/align/align-{sample(2).key}/1-1/lane.bam", b"other", subject=sample(2).key
    )
    await yard.hear(withdrawn())
    inventory = Inventory(ledger=yard.ledger, store=yard.store, rules=yard.rules)
    await inventory.run()
    await yard.sweep()
    await yard.pass_grace()
    await yard.work()
    assert await yard.store.head(left.uri) is None
    assert await yard.store.head(other.uri) is not None


def test_no_policy_of_a_file_is_called_withdrawal(tmp_path: Path) -> None:
    path = tmp_path / "policies.toml"
    path.write_text('[[policy]]\nname = "withdrawal"\nkind = "log"\npurge = true\n', encoding="utf-8")
    with pytest.raises(Rejected, match="the archive's own"):
        load_rules(path)
