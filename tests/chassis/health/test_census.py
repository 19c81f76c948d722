"""The census on a real ledger: what it counts, that it counts the same again, and how that looks to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families

from chassis.cost.prices import load_prices
from chassis.health import census as census_module
from chassis.health.census import AMOUNTS, DURATIONS, Census
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Lease, NewTask
from chassis.service import Service
from chassis.settings import load
from chassis.telemetry.scrape import Scrape
from tests.support import tiny

pytestmark = pytest.mark.stack

TTL = timedelta(seconds=60)
STARTED = "update task set started_at = ledger_now() - $2 * interval '1 second' where key = $1"
ENDED = """
update attempt set ended_at = ended_at - $1 * interval '1 second', started_at = started_at - $1 * interval '1 second'
"""
DONE_BEFORE = "update task set finished_at = finished_at - $1 * interval '1 second' where state = 'done'"
HELD = """
insert into quarantine (topic, partition, "offset", headers, body, code, rejection, received_at)
values ('run.completed', 0, $1, '[]', '', $2, '{}', ledger_now() - interval '90 seconds')
"""
STORAGE = """
create view status_storage as
    select 'cram' as kind, 'GLACIER' as tier, 3::bigint as objects, 700::bigint as bytes,
           0.5::double precision as monthly
"""


@pytest.fixture
def scrape() -> Iterator[Scrape]:
    yield Scrape()


def counted(scrape: Scrape) -> Census:
    service = tiny.build(load(None, environ={}))
    return census_of(replace(service, kinds=(replace(service.kinds[0], per="sample"),)), scrape)


def census_of(service: Service, scrape: Scrape) -> Census:
    provider = MeterProvider(metric_readers=[scrape.reader])
    census = Census(service=service, prices=load_prices(), meter=provider.get_meter("test"))
    scrape.add(census.histograms)
    return census


def shown(scrape: Scrape) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels but the service's) -> value, of our own metrics."""
    _, page = scrape.page()
    return {
        (
            sample.name,
            frozenset((name, value) for name, value in sample.labels.items() if name != "service"),
        ): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name.startswith("cohortstream_")
    }


def of(found: dict[Any, float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def attempt(ledger: Ledger, key: str, seconds: float, *, pool: str = "default") -> Lease:
    """Claim it, as if so long ago."""
    async with ledger.connection() as conn:
        (lease,) = await queue.claim(
            conn, pools=[pool], memory_classes=["small"], owner="h/1", host="h", ttl=TTL, limit=1
        )
        assert lease.key == key
        await conn.execute(STARTED, key, seconds)
    return lease


async def made(ledger: Ledger, key: str, **more: Any) -> None:
    async with ledger.transaction() as tx:
        await queue.enqueue(tx, [NewTask(key=key, kind="steps", subject="smp", **more)])


async def test_backlogs_by_state_with_the_age_of_the_oldest(ledger: Ledger, scrape: Scrape) -> None:
    await made(ledger, "running")
    await attempt(ledger, "running", 500)
    await made(ledger, "ready")
    await made(ledger, "later", delay=timedelta(hours=1))
    await made(ledger, "elsewhere", pool="spot")
    async with ledger.connection() as conn:
        await conn.execute("update task set ready_at = ready_at - interval '100 seconds' where key = 'ready'")
    await counted(scrape).look(ledger)
    found = shown(scrape)

    def tasks(state: str, *, pool: str = "default", name: str = "cohortstream_tasks") -> float:
        return of(found, name, pool=pool, kind="steps", state=state)

    assert [tasks(state) for state in ("ready", "running", "delayed", "waiting", "failed")] == [1, 1, 1, 0, 0]
    assert (tasks("ready", pool="spot"), tasks("running", pool="spot")) == (1, 0)
    assert tasks("ready", name="cohortstream_tasks_oldest_seconds") == pytest.approx(100, abs=20)
    assert tasks("running", name="cohortstream_tasks_oldest_seconds") == pytest.approx(500, abs=20)
    assert tasks("delayed", name="cohortstream_tasks_oldest_seconds") == 0


async def test_attempts_are_counted_from_the_log_and_the_same_after_a_restart(
    ledger: Ledger, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that ended long ago, one just now; the first look reads the log page by page."""
    monkeypatch.setattr(census_module, "PAGE", 1)
    await made(ledger, "steps:1")
    lease = await attempt(ledger, "steps:1", 40)
    async with ledger.transaction() as tx:
        await queue.release(tx, lease)
    lease = await attempt(ledger, "steps:1", 20)
    async with ledger.transaction() as tx:
        await queue.crash(tx, lease, reason="x")
    async with ledger.connection() as conn:
        await conn.execute(ENDED, 1000.0)
        await conn.execute("update task set ready_at = ledger_now()")
    census = counted(scrape)
    await census.look(ledger)
    none = of(shown(scrape), "cohortstream_attempts_total", pool="default", kind="steps", ending="done")
    assert none == 0  # there before the first, so that the first is an increase
    lease = await attempt(ledger, "steps:1", 5)
    async with ledger.transaction() as tx:
        await queue.finish(tx, lease, result={})
    for _ in range(2):  # what is fresh is read again, never added twice
        await census.look(ledger)
    again = Scrape()
    await counted(again).look(ledger)
    for page in (scrape, again):
        found = shown(page)
        labels = {"pool": "default", "kind": "steps"}
        for ending, seconds in (("preemption", 40), ("crash", 20), ("done", 5)):
            assert of(found, "cohortstream_attempts_total", ending=ending, **labels) == 1
            took = of(found, "cohortstream_attempts_time_seconds_total", ending=ending, **labels)
            assert took == pytest.approx(seconds, abs=3)
        wasted = [value for (name, _), value in found.items() if name == "cohortstream_attempts_wasted_seconds_total"]
        assert sum(wasted) == pytest.approx(60, abs=5)
        duration = "cohortstream_attempt_duration_seconds"
        assert of(found, f"{duration}_count", ending="crash", **labels) == 1
        assert of(found, f"{duration}_bucket", ending="crash", le="10", **labels) == 0
        assert of(found, f"{duration}_bucket", ending="crash", le="30", **labels) == 1
        assert of(found, f"{duration}_bucket", ending="crash", le="+Inf", **labels) == 1
        # 65 s at 0.048 an hour
        assert of(found, "cohortstream_sample_cost_count", kind="steps", currency="USD") == 1
        amount = of(found, "cohortstream_sample_cost_sum", kind="steps", currency="USD")
        assert amount == pytest.approx(65 / 3600 * 0.048, rel=0.1)


async def test_costs_of_tasks_done_before_the_census_began_count_once(
    ledger: Ledger, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census_module, "PAGE", 2)
    for number in range(5):
        await made(ledger, f"t{number}", pool="fpga")
        lease = await attempt(ledger, f"t{number}", 3600, pool="fpga")
        async with ledger.transaction() as tx:
            await queue.finish(tx, lease, result={})
    async with ledger.connection() as conn:
        await conn.execute(DONE_BEFORE, 5000.0)
        await conn.execute("update task set pool = 'unheard-of' where key = 't0'")
    census = counted(scrape)
    for _ in range(3):
        await census.look(ledger)
    found = shown(scrape)
    assert of(found, "cohortstream_sample_cost_count", kind="steps", currency="USD") == 5
    assert of(found, "cohortstream_sample_cost_sum", kind="steps", currency="USD") == pytest.approx(
        4 * 1.65 + 0.048, rel=0.01
    )


async def test_quarantine_by_code_and_what_is_stored(ledger: Ledger, scrape: Scrape) -> None:
    census = counted(scrape)
    await census.look(ledger)
    assert of(shown(scrape), "cohortstream_quarantine_held", code="") == 0
    async with ledger.connection() as conn:
        await conn.execute(HELD, 1, "SCHEMA")
        await conn.execute(HELD, 2, "SCHEMA")
        await conn.execute(STORAGE)
    await census.look(ledger)
    found = shown(scrape)
    assert of(found, "cohortstream_quarantine_held", code="SCHEMA") == 2
    assert of(found, "cohortstream_quarantine_oldest_seconds") == pytest.approx(90, abs=20)
    assert of(found, "cohortstream_storage_objects", kind="cram", tier="GLACIER") == 3
    assert of(found, "cohortstream_storage_size_bytes", kind="cram", tier="GLACIER") == 700
    assert of(found, "cohortstream_storage_cost_per_month", kind="cram", tier="GLACIER", currency="USD") == 0.5


async def test_before_the_first_look_nothing_is_claimed(scrape: Scrape) -> None:
    counted(scrape)
    assert shown(scrape) == {}


def test_buckets_ascend_from_a_tenth_of_a_second_to_a_day() -> None:
    assert (DURATIONS[0], DURATIONS[-1]) == (0.1, 86_400.0)
    for bounds in (DURATIONS, AMOUNTS):
        assert list(bounds) == sorted(set(bounds))
