"""Faults of order: what belongs together comes on several topics, in any order; a withdrawal comes before its sample's
calls. Through the services' own handlers, on real ledgers."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.messaging.common import with_common
from chassis.service import Service
from chassis.settings import Settings
from contracts.events import Event, SampleTagRequested, SampleVerdictRequested, SampleWithdrawalRequested, Selection
from contracts.values import ArtifactKind, QcStatus
from deploy.embedded.stack import Endpoints
from services.align.main import build as build_align
from services.annotate import commits
from services.annotate.main import build as build_annotate
from services.archive.policies import DEMO
from services.jointcall.main import build as build_jointcall
from services.vqsr.main import build as build_vqsr
from tests.conftest import LedgerFor
from tests.faults.cold import Cold, cold_archive
from tests.faults.i4 import nothing_lost
from tests.services.align.test_orders import claim as claim_align
from tests.services.align.test_orders import end as end_align
from tests.services.annotate.panel import INTERVALS, claim, end, entry, planned, stands
from tests.services.archive.yard import cram_ready, journey, own_journey, sample
from tests.support import events
from tests.support.deliver import deliver, outgoing, task_keys

OWN = 7
"""Objects of a sample's own: two FASTQs, card, CRAM and gVCF with their indexes."""
TABLES = """
select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables
where schemaname = $1 and tablename not in ('incarnation', 'test_clock') and tablename not like '%version%'
"""


async def begin_anew(ledger: Ledger) -> None:
    async with ledger.connection() as conn:
        await conn.execute(f"truncate {await conn.fetchval(TABLES, ledger.service)}")


async def work_of(ledger: Ledger) -> str:
    """Every task that there is, whole."""
    async with ledger.connection() as conn:
        rows = await conn.fetch("select key, kind, subject, belongs_to, payload, state from task order by key")
    return json.dumps([dict(row) for row in rows], sort_keys=True)


async def rows(ledger: Ledger, statement: str, *values: object) -> list[dict[str, Any]]:
    async with ledger.connection() as conn:
        return [dict(row) for row in await conn.fetch(statement, *values)]


def withdrawal(number: int) -> SampleWithdrawalRequested:
    return SampleWithdrawalRequested(
        request_id=uuid.UUID(int=number),
        sample=events.sample_of(number),
        deadline=date(2031, 1, 1),
        actor=events.PERSON,
    )


@pytest.fixture
async def vqsr(ledger_for: LedgerFor) -> tuple[Ledger, Service]:
    service = build_vqsr(Settings())
    return await ledger_for("vqsr", versions=service.migrations), service


@pytest.fixture
async def annotate(ledger_for: LedgerFor) -> tuple[Ledger, Service]:
    service = build_annotate(Settings())
    return await ledger_for("annotate", versions=service.migrations), service


@pytest.fixture
async def jointcall(ledger_for: LedgerFor) -> tuple[Ledger, Service]:
    service = with_common(build_jointcall(Settings()))
    return await ledger_for("jointcall", versions=service.migrations), service


@pytest.fixture
async def align(ledger_for: LedgerFor) -> tuple[Ledger, Service]:
    service = with_common(build_align(Settings()))
    return await ledger_for("align", versions=service.migrations), service


@pytest.fixture
async def cold(
    endpoints: Endpoints, database: str, tmp_path: Path, ledger_for: Callable[..., Awaitable[Ledger]]
) -> AsyncIterator[Cold]:
    async with cold_archive(
        endpoints=endpoints,
        database=database,
        folder=tmp_path,
        ledger_for=ledger_for,
        policies=DEMO.read_text(encoding="utf-8"),
    ) as opened:
        yield opened


async def test_fault_43_vqsr_trains_on_the_same_sites_whatever_fact_came_last(vqsr: tuple[Ledger, Service]) -> None:
    ledger, service = vqsr
    facts: list[Event] = [events.frozen(), *(events.genotyped(index) for index in range(3))]
    seen = set()
    for order in itertools.permutations(facts):
        await begin_anew(ledger)
        for fact in order:
            assert await task_keys(ledger) == [], "acted before the last fact"
            await deliver(ledger, service, fact)
        seen.add(await work_of(ledger))
    assert len(seen) == 1
    assert [task["key"] for task in json.loads(seen.pop())] == ["train:c:1"]


async def test_fault_43_vqsr_leaves_a_failed_freeze_whenever_it_hears_of_it(vqsr: tuple[Ledger, Service]) -> None:
    ledger, service = vqsr
    facts: list[Event] = [events.frozen(), events.genotyped(0), events.genotyped(1), events.genotyped(2)]
    for place in range(len(facts) + 1):
        await begin_anew(ledger)
        await deliver(ledger, service, *facts[:place], events.freeze_failed(), *facts[place:])
        assert await task_keys(ledger, "ready") == []
        [status] = await rows(ledger, "select state from status_subject where subject = 'c:1'")
        assert status["state"] == "failed"


async def test_fault_43_annotate_releases_the_same_whichever_interval_ends_last(
    annotate: tuple[Ledger, Service],
) -> None:
    ledger, service = annotate
    payloads = []
    for order in itertools.permutations(range(INTERVALS)):
        await begin_anew(ledger)
        await deliver(ledger, service, events.recalibrated())
        leases = await planned(ledger)
        for index in order:
            assert "release:c:1" not in await task_keys(ledger), "acted before the last interval"
            await end(ledger, leases[index], entry(index), commits.annotated)
        (release,) = await claim(ledger)
        assert release.key == "release:c:1"
        payloads.append(release.payload)
    assert [one["index"] for one in payloads[0]["intervals"]] == [0, 1, 2]
    assert all(payload == payloads[0] for payload in payloads)


async def test_fault_43_annotate_leaves_a_freeze_whose_failure_overtakes_its_panel(
    annotate: tuple[Ledger, Service],
) -> None:
    """Cancelled by a person while its filters ended: nothing of it is annotated."""
    ledger, service = annotate
    await deliver(ledger, service, events.freeze_failed(), events.recalibrated())
    assert await task_keys(ledger) == []
    assert await stands(ledger, "c:1") == "failed"


@pytest.mark.parametrize("place", range(INTERVALS + 1))
async def test_fault_43_annotate_stops_at_a_failure_between_any_two_ends(
    annotate: tuple[Ledger, Service], place: int
) -> None:
    ledger, service = annotate
    await deliver(ledger, service, events.recalibrated())
    leases = await planned(ledger)
    for index in range(place):
        await end(ledger, leases[index], entry(index), commits.annotated)
    await deliver(ledger, service, events.freeze_failed(), events.recalibrated(), events.freeze_failed())
    assert await stands(ledger, "c:1") == "failed"
    assert await claim(ledger) == []
    async with ledger.transaction() as tx:
        assert not any([await queue.finish(tx, lease, result={}) for lease in leases[place:]])
    assert await outgoing(ledger) == [], "whoever gave up has said so"


async def test_fault_43_jointcall_freezes_the_same_members_whatever_order_they_became_known_in(
    jointcall: tuple[Ledger, Service],
) -> None:
    """Two versions of a sample that failed QC, a person's word on it and its tag, on three topics."""
    ledger, service = jointcall
    key = events.sample_of(1)
    facts: list[Event] = [
        events.gvcf_ready(1, status=QcStatus.failed),
        events.gvcf_ready(1, version=2, status=QcStatus.failed),
        SampleVerdictRequested(
            request_id=uuid.UUID(int=1), sample=key, verdict="pass", actor=events.PERSON, reason="seen"
        ),
        SampleTagRequested(request_id=uuid.UUID(int=2), sample=key, tag="batch", actor=events.PERSON),
    ]
    asked = events.freeze_requested(selection=Selection(how="tag", tag="batch"), request_id=uuid.UUID(int=3))
    seen = set()
    for order in itertools.permutations(facts):
        await begin_anew(ledger)
        await deliver(ledger, service, *order, asked)
        members = await rows(ledger, "select sample, version, gvcf from freeze_sample order by sample")
        assert [(row["sample"], row["version"]) for row in members] == [(key, 2)]
        seen.add(repr(members) + await work_of(ledger))
    assert len(seen) == 1


async def test_fault_43_the_archive_plans_the_same_whatever_fact_came_last(cold: Cold) -> None:
    """Run, CRAM, gVCF, freeze and panel, with a sweep after each; and what needs proof never goes on the way."""
    yard = cold.yard
    told = await journey(yard)
    seen = set()
    for order in itertools.islice(itertools.permutations(told.facts), 0, 120, 19):
        await begin_anew(cold.ledger)
        for fact in order:
            await yard.hear(fact)
            await yard.sweep()
            await yard.work_only("enrol:")
            early = await yard.told("artifact.condemned")
            assert told.r1.id not in {event["artifact"] for event in early}, "unverified FASTQs never go"
        await yard.sweep()
        plan = await yard.rows("select artifact, policy, state, why_not from status_plan order by 1, 2, 3")
        copies = await yard.rows("select id, uri, stage, subject, rank, state, action from artifact order by 1, 2")
        seen.add(repr((plan, copies)))
    assert len(seen) == 1
    assert (await nothing_lost(cold.ledger, yard.store)).kept > 3


@pytest.mark.parametrize(
    "place", ["before-its-run", "while-it-is-aligned", "before-it-is-called", "while-it-is-called"]
)
async def test_fault_44_align_makes_nothing_more_of_a_withdrawn_sample(
    align: tuple[Ledger, Service], place: str
) -> None:
    """At whatever point of its way the withdrawal meets it; the other sample's work goes on."""
    ledger, service = align
    facts = [events.run_completed(1, run="run1"), events.run_completed(2, run="run2")]
    lease = None
    if place == "before-its-run":
        await deliver(ledger, service, withdrawal(1), *facts)
    else:
        await deliver(ledger, service, facts[0])
        lease = await claim_align(ledger)
        assert lease is not None
        if place != "while-it-is-aligned":
            await end_align(ledger, service, lease)
            lease = await claim_align(ledger) if place == "while-it-is-called" else None
        await deliver(ledger, service, withdrawal(1), facts[1], facts[0])
    if lease is not None:
        async with ledger.transaction() as tx:
            assert not await queue.finish(tx, lease, result={}), "what was in hand is thrown away"

    left = await rows(ledger, "select state from task where subject = $1 and state <> 'done'", events.sample_of(1))
    assert {row["state"] for row in left} == {"cancelled"}
    said = [topic for topic, _ in await outgoing(ledger)]
    assert said == ["sample.withdrawn"], "and no gVCF of it"
    other = await claim_align(ledger)
    assert other is not None
    assert other.subject == events.sample_of(2)


async def test_fault_44_jointcall_leaves_a_withdrawn_sample_out_of_every_later_freeze(
    jointcall: tuple[Ledger, Service],
) -> None:
    """The withdrawal comes before, between and after its gVCFs and a person's word that it may pass."""
    ledger, service = jointcall
    gone, stays = events.sample_of(1), events.sample_of(2)
    facts: Sequence[Event] = (
        withdrawal(1),
        events.gvcf_ready(1),
        events.gvcf_ready(1, version=2),
        SampleVerdictRequested(
            request_id=uuid.UUID(int=9), sample=gone, verdict="pass", actor=events.PERSON, reason="seen"
        ),
    )
    for order in itertools.permutations(facts):
        await begin_anew(ledger)
        await deliver(ledger, service, *order, events.gvcf_ready(2), events.freeze_requested())
        members = await rows(ledger, "select sample from freeze_sample where freeze_id = 'c:1'")
        assert [row["sample"] for row in members] == [stays]
    named = Selection(how="list", samples=(gone, stays))
    await deliver(ledger, service, events.freeze_requested(selection=named))
    [freeze] = await rows(ledger, "select state from cohort_freeze where freeze_id = 'c:2'")
    assert freeze["state"] == "failed", "nobody brings it back by naming it"


@pytest.mark.parametrize("place", [0, 2])
async def test_fault_44_the_archive_purges_what_comes_of_a_withdrawn_sample_and_names_its_panels(
    cold: Cold, place: int
) -> None:
    """The withdrawal comes before its run, or after its CRAM and before its gVCF: in the end its own artifacts are
    purged by name, the other sample's and the panel are kept, and a person is told which panel holds it."""
    yard = cold.yard
    told = await own_journey(yard)
    run, cram, gvcf, *panel = told.facts
    facts = [run, cram, gvcf]
    facts.insert(place, withdrawal(1))
    other = await yard.put(ArtifactKind.cram, "working/align/other/1-1/o.cram", b"other", subject=events.sample_of(2))
    await yard.hear(*facts, *panel, cram_ready(sample(2), other))
    async with cold.working():
        await cold.worked_off()
        assert await yard.sweep() == OWN
        [status] = await yard.rows("select * from status_withdrawal")
        assert (status["left_over"], status["panels"], status["told_at"]) == (OWN, ["c:1"], None)
        await yard.pass_grace()
        await cold.worked_off()
    await yard.sweep()

    purged = {event["uri"]: event for event in await yard.told("artifact.purged")}
    assert len(purged) == OWN
    assert {event["policy"] for event in purged.values()} == {"withdrawal"}
    assert {told.r1.uri, told.r2.uri, told.cram.uri, told.gvcf.uri} < purged.keys()
    for kept in (other, told.report):
        assert await yard.store.head(kept.uri) is not None
    assert await yard.told("sample.withdrawn") == [{"sample": events.sample_of(1), "service": "archive"}]
    [line] = await yard.rows("select state, waits_for from status_subject where state like 'withdrawn%'")
    assert line["state"] == "withdrawn: purged"
    assert line["waits_for"] == "a person: to make again without it by 2031-01-01: c:1"
    assert (await nothing_lost(cold.ledger, yard.store)).purged == OWN
