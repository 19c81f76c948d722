"""What things cost: hand-computed figures, in pure arithmetic and on real ledgers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis.cost.prices import load_prices
from chassis.errors import Rejected
from chassis.settings import load
from console import views as v
from console.commands.cost import amount_of
from console.costs import Cost, cost_of, kept, monthly, prices_of, steps, storage_cost
from console.site import migrate_ledgers
from console.supervisor import SERVICES
from tests.console.conftest import Command
from tests.support.site import Site

ONE, TWO = f"smp_{'1' * 24}", f"smp_{'2' * 24}"
RUN, FREEZE = "240618_A01417_0219_AHK8C3DSX5", "panel:1"
PRICES = """
currency = "EUR"
[compute.default]
slot_hour = { small = 0.1, medium = 0.2, large = 0.4, huge = 0.8 }
source = "an invoice"
as_of = 2026-01-31
[prices.STANDARD]
per_gb_month = 0.05
[prices.GLACIER]
per_gb_month = 0.01
overhead_bytes = 536870912
"""
TASK = """
insert into {service}.task (key, slug, kind, subject, belongs_to, payload, pool, memory_class, state, ready_at,
                            created_at, changed_at, started_at)
values ($1, $1, $2, $3, $4, '{{}}', $5, $6, $7, now(), now(), now(), clock_timestamp() - $8 * interval '1 second')
"""
ATTEMPT = """
insert into {service}.attempt (task_key, incarnation, epoch, started_at, ended_at, ending)
values ($1, 1, $2, now() - $3 * interval '1 second', now(), $4)
"""
NEW_RUN = """
insert into ingest.run (run, root, folder, state, since, created_at) values ($1, '/r', $1, 'completed', now(), now())
"""
NEW_SAMPLE = """
insert into ingest.sample (key, project, label, version, created_at) values ($1, 'GENOMES', $2, 1, now())
"""
OF_RUN = """
insert into ingest.run_sample (run, sample, attempt, task, state, since) values ($1, $2, 1, 't', 'announced', now())
"""
NEW_COHORT = "insert into jointcall.cohort (cohort, freezes, created_at) values ('panel', 1, now())"
NEW_FREEZE = """
insert into jointcall.cohort_freeze (freeze_id, cohort, number, request_id, requested_by, engine, state, since, samples,
                                     intervals)
values ($1, 'panel', 1, gen_random_uuid(), 'me', 'gatk', 'genotyping', now(), 2, 2)
"""
ARTIFACT = """
insert into archive.artifact (id, uri, kind, size, stage, subject, rank, recorded_at, tier, tier_since, since)
values ($1, $2, $3, $4, 'align', $5, 0, now(), $6, now(), now())
"""


def row(**values: Any) -> dict[str, Any]:
    usual = {"kind": "align", "pool": "default", "memory_class": "small", "tasks": 1, "attempts": 1, "seconds": 0.0}
    none = {"wasted_attempts": 0, "wasted_seconds": 0.0, "running": 0, "running_seconds": 0.0}
    return usual | none | values


@pytest.fixture
def prices_file(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES, encoding="utf-8")
    return path


def test_a_sites_list_replaces_pools_one_by_one_and_an_unknown_pool_costs_what_default_does(prices_file: Path) -> None:
    found = load_prices(prices_file)
    assert (found.currency, found.slot_hour("default", "large")) == ("EUR", 0.4)
    assert found.slot_hour("cpu-large", "large") == load_prices().slot_hour("cpu-large", "large") != 0.4
    assert found.amount(90.0, pool="nobody-named-it", memory_class="huge") == pytest.approx(0.02)


@pytest.mark.parametrize(
    "said",
    [
        "currency = 'dollars'",
        "[compute.default]\nslot_hour = { small = 1 }\nsource = 'x'\nas_of = 2026-01-01",
        "[compute.spot]\nslot_hour = { small = -1, medium = 1, large = 1, huge = 1 }\nsource = 'x'\nas_of = 2026-01-01",
        "[compute.spot]\nslot_hour = { small = 1, medium = 1, large = 1, huge = 1 }\nas_of = 2026-01-01",
        "compute = 3",
        "no TOML",
    ],
)
def test_a_list_that_is_none_is_refused(said: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(said, encoding="utf-8")
    with pytest.raises(Rejected) as refused:
        load_prices(path)
    assert refused.value.rejection.code == "CONFIG_PRICES"


def test_every_built_in_figure_says_where_it_comes_from() -> None:
    for compute in load_prices().compute.values():
        assert compute.source and compute.as_of.year >= 2024


def test_work_is_priced_by_pool_and_memory_class_wasted_and_running_work_too(prices_file: Path) -> None:
    prices = prices_of(load(None, environ={"COHORTSTREAM_COST__PRICES": str(prices_file)}))
    found = steps(
        {
            "align": [
                row(seconds=7200.0, attempts=3, wasted_attempts=2, wasted_seconds=1800.0),
                row(memory_class="large", seconds=3600.0, running=1, running_seconds=1800.0),
            ],
            "ingest": [row(kind="check", seconds=360.0)],
        },
        prices,
    )
    assert [(step.service, step.kind) for step in found] == [("ingest", "check"), ("align", "align")]
    check, align = found
    assert check.amount == pytest.approx(0.01)  # 0.1 h at 0.10
    assert align.amount == pytest.approx(0.8)  # 2 h at 0.10 and 1.5 h at 0.40
    assert align.wasted == pytest.approx(0.05)  # 0.5 h at 0.10
    assert (align.attempts, align.wasted_attempts, align.running, align.seconds) == (5, 2, 1, 12_600.0)


def test_storage_is_priced_by_the_same_list_overhead_included(prices_file: Path) -> None:
    prices = prices_of(load(None, environ={"COHORTSTREAM_COST__PRICES": str(prices_file)}))
    gb = 1 << 30
    found = kept(
        [
            {"kind": "cram", "tier": "STANDARD", "objects": 3, "bytes": 10 * gb},
            {"kind": "fastq", "tier": "GLACIER", "objects": 4, "bytes": 8 * gb},
            {"kind": "log", "tier": "SOMEWHERE", "objects": 1, "bytes": gb},
        ],
        prices,
    )
    assert [one.monthly for one in found] == [pytest.approx(0.5), pytest.approx(0.1), None]  # 8 GB and 4 halves
    assert monthly(found) == pytest.approx(0.6)


def test_money_is_written_as_people_read_it() -> None:
    assert [amount_of(one, "USD") for one in (0, 1234.5, 0.0123, 0.00001)] == [
        "$0.00",
        "$1,234.50",
        "$0.0123",
        "$<0.0001",
    ]
    assert amount_of(2, "EUR") == "2.00 EUR"


@pytest.fixture
async def worked(database: str) -> AsyncIterator[None]:
    """Two samples of a run, aligned; the first with a crash and a loss. Both in one freeze of two intervals, one of
    which still runs. Files of the first, of the run and of the freeze."""
    await migrate_ledgers(load(None, environ={"COHORTSTREAM_LEDGER__DSN": database}), SERVICES)
    conn = await asyncpg.connect(database)
    try:
        await conn.execute(NEW_RUN, RUN)
        for key, label in ((ONE, "HG00100"), (TWO, "HG00101")):
            await conn.execute(NEW_SAMPLE, key, label)
            await conn.execute(OF_RUN, RUN, key)
            await _task(conn, "align", f"align:{key}", "align", key, RUN, seconds=[("done", 3600)])
        ends = [("crash", 900), ("loss", 900), ("done", 1800)]
        await _task(conn, "align", "x", "align", ONE, RUN, memory="large", seconds=ends)
        await conn.execute(NEW_COHORT)
        await conn.execute(NEW_FREEZE, FREEZE)
        for key in (ONE, TWO):
            await conn.execute("insert into jointcall.freeze_sample values ($1, $2, 1, '{}')", FREEZE, key)
        await _task(
            conn, "jointcall", "i0", "interval", FREEZE, "panel", seconds=[("preemption", 1800), ("done", 1800)]
        )
        await _task(conn, "jointcall", "i1", "interval", FREEZE, "panel", state="leased", since=7200, seconds=[])
        gb = 1 << 30
        await conn.execute(ARTIFACT, "a" * 64, f"file:///s/landing/{RUN}/{ONE}/r1", "fastq", 4 * gb, ONE, "STANDARD")
        await conn.execute(ARTIFACT, "b" * 64, "file:///s/working/align/x/1-1/cram", "cram", 2 * gb, ONE, "STANDARD")
        await conn.execute(ARTIFACT, "c" * 64, "file:///s/working/jointcall/x/1-1/vcf", "vcf", gb, FREEZE, "GLACIER")
        await _task(conn, "archive", "act", "act", "c" * 64, f"condemned:{'c' * 64}", seconds=[("done", 360)])
        yield
    finally:
        await conn.close()


async def _task(
    conn: asyncpg.Connection[asyncpg.Record],
    service: str,
    key: str,
    kind: str,
    subject: str,
    belongs_to: str,
    *,
    seconds: list[tuple[str, int]],
    memory: str = "small",
    state: str = "done",
    since: int = 0,
) -> None:
    await conn.execute(
        TASK.format(service=service), key, kind, subject, belongs_to, "default", memory, state, float(since)
    )
    for epoch, (ending, length) in enumerate(seconds):
        await conn.execute(ATTEMPT.format(service=service), key, epoch, float(length), ending)


@pytest.mark.stack
async def test_what_a_sample_a_run_a_freeze_and_a_cohort_cost(
    cohortstream: Command, site: Site, worked: None, prices_file: Path
) -> None:
    settings = load(
        None, environ={"COHORTSTREAM_LEDGER__DSN": site.database, "COHORTSTREAM_COST__PRICES": str(prices_file)}
    )
    prices = prices_of(settings)
    async with v.open_views(settings) as views:

        async def of(subject: str) -> Cost:
            found = await cost_of(views, subject, prices)
            assert found is not None
            return found

        sample = await of(ONE)
        # 1 h at 0.10 and 1 h at 0.40; half of the freeze: 1 h and 2 h at 0.10, and the archive's 0.1 h
        assert sample.own == pytest.approx(0.5)
        assert sample.shared == pytest.approx(0.31 / 2, rel=1e-2)
        assert sample.wasted == pytest.approx(0.2 + 0.05 / 2)
        assert sample.monthly == pytest.approx(6 * 0.05)
        run = await of(RUN)
        assert (run.amount, run.per_sample) == (pytest.approx(0.6), pytest.approx(0.3))
        assert run.monthly == pytest.approx(4 * 0.05)
        freeze, cohort = await of(FREEZE), await of("panel")
        assert freeze.amount == pytest.approx(0.31, rel=1e-2)
        assert freeze.per_interval == pytest.approx(0.155, rel=1e-2)
        assert freeze.monthly == pytest.approx(1.5 * 0.01)
        assert (cohort.kind, cohort.samples, cohort.intervals) == ("cohort", 2, 2)
        assert cohort.amount == pytest.approx(freeze.amount, rel=1e-2)
        assert await cost_of(views, "nobody", prices) is None
        assert await cost_of(views, f"smp_{'9' * 24}", prices) is None
        assert monthly(await storage_cost(views, prices)) == pytest.approx(6 * 0.05 + 1.5 * 0.01)
        assert views.notes == []

    with site.config.open("a") as more:
        more.write(f'[cost]\nprices = "{prices_file}"\n')
    ran = await asyncio.to_thread(cohortstream, "--config", site.config, "cost", "HG00100", "--json")
    assert (ran.document["label"], ran.document["own"]) == ("HG00100", pytest.approx(0.5))
    shown = await asyncio.to_thread(cohortstream, "--config", site.config, "cost", FREEZE)
    assert "freeze panel:1: 0.31 EUR so far, of it 0.05 EUR wasted" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100
    unknown = await asyncio.to_thread(cohortstream, "--config", site.config, "cost", "nobody")
    assert (unknown.code, "SAMPLE_UNKNOWN" in unknown.paragraph) == (3, True)
