"""A gVCF that covers less than the calling intervals: noted, held or refused as the site says, and everyone else goes
on. Also a gVCF whose fault is found only when an interval reads it."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from chassis.errors import Rejection
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.messaging.receive import Receipt
from chassis.service import Service
from chassis.settings import JointcallSettings, Settings
from contracts.events import Event, FreezeFailed, GvcfReady, SampleFailed, SampleVerdictRequested
from services.jointcall import commits
from services.jointcall.main import build
from tests.conftest import LedgerFor
from tests.faults.bad_input.said import assert_says
from tests.support import events
from tests.support.deliver import deliver, outgoing

SHORT = {"covered_bp": 900, "declared_bp": 1000}
"""Of 1000 bases of the calling intervals, 900 have a record."""
WHOLE = {"covered_bp": 1003, "declared_bp": 1000}
"""A deletion may reach over an interval's end."""
FIX = "call the sample again over all calling intervals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    ledger: Ledger
    service: Service

    async def hear(self, *told: Event) -> None:
        assert set(await deliver(self.ledger, self.service, *told)) == {Receipt.handled}

    async def one(self, statement: str, *values: object) -> dict[str, Any]:
        async with self.ledger.connection() as conn:
            row = await conn.fetchrow(statement, *values)
        assert row is not None
        return dict(row)

    async def stands(self, number: int) -> tuple[str, str | None]:
        row = await self.one("select state, waits_for from status_subject where subject = $1", events.sample_of(number))
        return row["state"], row["waits_for"]

    async def freeze(self) -> dict[str, dict[str, Any]]:
        """Ask for the next freeze of all; its members, by sample."""
        await self.hear(events.freeze_requested())
        last = await self.one('select max("freeze") as id from status_freeze')
        async with self.ledger.connection() as conn:
            rows = await conn.fetch("select sample, gvcf from freeze_sample where freeze_id = $1", last["id"])
        return {row["sample"]: row["gvcf"] for row in rows}

    async def said(self, topic: str) -> list[str]:
        return [body for name, body in await outgoing(self.ledger) if name == topic]


@pytest.fixture
async def site_of(ledger_for: LedgerFor) -> AsyncIterator[Callable[[str], Any]]:
    async def make(policy: str) -> Site:
        settings = Settings(jointcall=JointcallSettings.model_validate({"coverage_policy": policy}))
        service = build(settings)
        return Site(ledger=await ledger_for("jointcall", versions=service.migrations), service=service)

    yield make


def spoken(number: int, word: str) -> SampleVerdictRequested:
    return SampleVerdictRequested(
        request_id=uuid.uuid4(), sample=events.sample_of(number), verdict=word, actor=events.PERSON, reason="seen"
    )


def again(number: int) -> GvcfReady:
    return events.gvcf_ready(number, version=2, **WHOLE)


async def test_note_takes_the_sample_and_says_so(site_of: Callable[[str], Any]) -> None:
    site = await site_of("note")
    await site.hear(events.gvcf_ready(1, **SHORT), events.gvcf_ready(2, **WHOLE), events.gvcf_ready(3))
    members = await site.freeze()
    assert set(members) == {events.sample_of(number) for number in (1, 2, 3)}
    assert members[events.sample_of(1)]["gaps_accepted"] is True, "its intervals take it with its gaps"
    assert "gaps_accepted" not in members[events.sample_of(2)]
    assert await site.stands(1) == ("ready for cohorts", None)
    row = await site.one("select reasons, finding from status_sample where key = $1", events.sample_of(1))
    assert row["reasons"] == ["GVCF_COVERAGE (note): it covers 900 of 1000 bases of the calling intervals"]
    where = f"the gVCF of version 1 of {events.sample_of(1)}"
    assert_says(Rejection(**row["finding"]["rejection"]), "GVCF_COVERAGE", where=where, fix=FIX)
    assert await site.said("sample.failed") == []

    await site.hear(again(1))
    row = await site.one("select reasons, finding from status_sample where key = $1", events.sample_of(1))
    assert (row["reasons"], row["finding"]) == ([], None)


async def test_hold_waits_for_a_person_or_a_better_gvcf(site_of: Callable[[str], Any]) -> None:
    site = await site_of("hold")
    await site.hear(
        spoken(1, "pass"), events.gvcf_ready(1, **SHORT), events.gvcf_ready(2), events.gvcf_ready(3, **SHORT)
    )
    assert set(await site.freeze()) == {events.sample_of(2)}, "a word from before it was found does not answer it"
    assert await site.stands(1) == ("held: GVCF_COVERAGE", "a person: samples pass; or its gVCF, called again")
    assert await site.said("sample.failed") == []

    await site.hear(spoken(1, "pass"), again(3))
    assert await site.stands(1) == ("ready for cohorts", None)
    members = await site.freeze()
    assert set(members) == {events.sample_of(number) for number in (1, 2, 3)}
    assert members[events.sample_of(1)]["gaps_accepted"] is True
    assert "gaps_accepted" not in members[events.sample_of(3)]


async def test_refuse_tells_that_the_sample_failed_until_it_is_called_again(site_of: Callable[[str], Any]) -> None:
    site = await site_of("refuse")
    await site.hear(events.gvcf_ready(1, **SHORT), events.gvcf_ready(2))
    (body,) = await site.said("sample.failed")
    failed = SampleFailed.model_validate_json(body)
    assert (failed.sample, failed.stage) == (events.sample_of(1), "jointcall")
    where = f"the gVCF of version 1 of {events.sample_of(1)}"
    assert_says(failed.rejection, "GVCF_COVERAGE", where=where, fix=FIX)
    await site.hear(spoken(1, "pass"))
    assert set(await site.freeze()) == {events.sample_of(2)}, "no word makes up for what is not there"
    assert await site.stands(1) == ("refused: GVCF_COVERAGE", "its gVCF, called again")

    await site.hear(again(1))
    assert await site.stands(1) == ("ready for cohorts", None)
    assert set(await site.freeze()) == {events.sample_of(1), events.sample_of(2)}
    assert len(await site.said("sample.failed")) == 1


async def test_an_older_version_that_comes_late_finds_nothing(site_of: Callable[[str], Any]) -> None:
    site = await site_of("refuse")
    await site.hear(again(1), events.gvcf_ready(1, **SHORT))
    assert await site.stands(1) == ("ready for cohorts", None)
    assert await site.said("sample.failed") == []


async def test_a_sample_whose_gvcf_ends_a_freeze_is_held_and_the_next_goes_on(site_of: Callable[[str], Any]) -> None:
    site = await site_of("hold")
    await site.hear(*(events.gvcf_ready(number) for number in (1, 2, 3)))
    assert len(await site.freeze()) == 3
    lease = await claimed(site.ledger)
    rejection = Rejection(
        code="GVCF_NON_REF", message="m", where=f"{events.sample_of(2)}.g.vcf.gz, record at c1:500", rule="r", fix="f"
    )
    for _ in range(2):
        async with site.ledger.transaction() as tx:
            await commits.gave_up(tx, lease, rejection)
    (body,) = await site.said("freeze.failed")
    failed = FreezeFailed.model_validate_json(body)
    assert events.sample_of(2) in failed.went_on
    assert await site.stands(2) == ("held: GVCF_NON_REF", "a person: samples pass; or its gVCF, called again")
    assert set(await site.freeze()) == {events.sample_of(1), events.sample_of(3)}

    await site.hear(events.gvcf_ready(2, version=2))
    assert len(await site.freeze()) == 3


async def test_a_fault_of_an_old_version_does_not_hold_the_one_that_came_meanwhile(
    site_of: Callable[[str], Any],
) -> None:
    site = await site_of("hold")
    await site.hear(events.gvcf_ready(1), events.gvcf_ready(2))
    await site.freeze()
    lease = await claimed(site.ledger)
    await site.hear(events.gvcf_ready(2, version=2))
    rejection = Rejection(
        code="INDEX_STALE", message="m", where=f"{events.sample_of(2)}.g.vcf.gz.tbi", rule="r", fix="f"
    )
    async with site.ledger.transaction() as tx:
        await commits.gave_up(tx, lease, rejection)
    assert await site.stands(2) == ("ready for cohorts", None)


async def test_two_gvcfs_of_one_name_hold_nobody(site_of: Callable[[str], Any]) -> None:
    """Either may be the wrong one: a person says which."""
    site = await site_of("hold")
    await site.hear(events.gvcf_ready(1), events.gvcf_ready(2))
    await site.freeze()
    where = f"{events.sample_of(2)}.g.vcf.gz"
    rejection = Rejection(code="COHORT_DUPLICATE", message="m", where=where, rule="r", fix="f")
    async with site.ledger.transaction() as tx:
        await commits.gave_up(tx, await claimed(site.ledger), rejection)
    assert len(await site.freeze()) == 2
    (body,) = await site.said("freeze.failed")
    assert json.loads(body)["went_on"].endswith("all samples are as they were")


async def claimed(ledger: Ledger) -> queue.Lease:
    async with ledger.connection() as conn:
        (lease,) = await queue.claim(
            conn,
            pools=("default",),
            memory_classes=("small",),
            owner="w",
            host="h",
            ttl=timedelta(minutes=1),
        )
    return lease
