"""The console on real ledgers and real Kafka: it reads views, writes nothing, and its commands are carried out."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis.health.expected import load_expected
from chassis.health.stuck import look
from chassis.ledger.ledger import open_ledger
from chassis.service import build
from chassis.settings import Settings, load
from console import views as v
from console.commands_out import account_name
from console.site import builder_of, migrate_ledgers
from console.snapshot import take
from console.supervisor import SERVICES
from tests.conftest import until
from tests.console.conftest import Command, Ran
from tests.support.site import Site

pytestmark = pytest.mark.stack

RUN = "240618_A01417_0219_AHK8C3DSX5"
ONE, TWO = f"smp_{'1' * 24}", f"smp_{'2' * 24}"
REFUSED = {
    "code": "PAIR_COUNT",
    "message": "R1 has 5 reads and R2 has 4",
    "where": "R1 and R2 of lane 1",
    "rule": "mates come in pairs",
    "fix": "convert the lane again",
}
LEARN_RUN = (
    "insert into ingest.run (run, root, folder, state, since, created_at) values ($1, '/r', $1, $2, now(), now())"
)
LEARN_LABEL = (
    "insert into ingest.sample (key, project, label, version, created_at) values ($1, 'GENOMES', $2, 1, now())"
)
LEARN_RUN_SAMPLE = """
insert into ingest.run_sample (run, sample, attempt, task, state, since, offer, rejection)
values ($1, $2, 1, 't', $3, now() - interval '1 hour', $4, $5)
"""
LEARN_CALLED = """
insert into jointcall.sample (key, project, version, gvcf, reference_name, reference_digest, pipeline, verdict, reasons,
                              mean_coverage, since)
values ($1, 'GENOMES', 1, '{}', 'GRCh38', $2, 'gatk', 'fail', '["depth is 5, at least 20"]', 5.0, now())
"""

LEARN_VERSION = """
insert into align.sample_version (sample, version, project, run, arrived, state, since)
values ($1, 1, 'GENOMES', $2, '{}', 'calling', now() - interval '2 hours')
"""


def settings_of(database: str) -> Settings:
    return load(None, environ={"COHORTSTREAM_LEDGER__DSN": database})


@pytest.fixture
async def ledgers(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """All six ledgers, with two samples of one run: the first is called and failed QC, the second was refused."""
    await migrate_ledgers(settings_of(database), SERVICES)
    conn = await asyncpg.connect(database)
    await v.read_json(conn)
    await conn.execute(LEARN_RUN, RUN, "completed")
    offer = {"lanes": [{"lane": 1, "r1": "TWO_S2_L001_R1_001.fastq.gz", "r2": "TWO_S2_L001_R2_001.fastq.gz"}]}
    for key, label, state, rejection in ((ONE, "HG00100", "announced", None), (TWO, "HG00101", "failed", REFUSED)):
        await conn.execute(LEARN_LABEL, key, label)
        await conn.execute(LEARN_RUN_SAMPLE, RUN, key, state, offer if rejection else None, rejection)
    await conn.execute(LEARN_CALLED, ONE, "ab" * 16)
    yield conn
    await conn.close()


async def test_an_empty_database_is_empty_with_a_note_and_never_a_crash(database: str) -> None:
    async with v.open_views(settings_of(database)) as views:
        snapshot = await take(views)
    assert (snapshot.lines, snapshot.pools, dict(snapshot.held), len(snapshot.labels)) == ((), (), {}, 0)
    assert any(note.startswith("ingest offers no status_subject") for note in snapshot.notes)


async def test_the_console_cannot_write(database: str, ledgers: asyncpg.Connection[asyncpg.Record]) -> None:
    async with v.open_views(settings_of(database)) as views:
        for service in SERVICES:
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await views.rows(service, "delete from task returning key")


async def test_every_view_that_the_console_asks_for_is_there(
    database: str, ledgers: asyncpg.Connection[asyncpg.Record]
) -> None:
    everywhere = (v.BACKLOG, v.OUTBOX, v.HELD, v.STUCK)
    theirs = {
        "ingest": (v.LABELS,),
        "jointcall": (v.SAMPLES, v.COHORTS),
        "archive": (v.PLAN, v.INVENTORY, v.INVENTORY_OBJECTS, v.STORAGE, v.HOLDS),
    }
    named = {
        "ingest": (v.RUN, v.REJECTIONS_OF_RUN, v.REJECTIONS_OF_SUBJECT, v.FILES_OF_RUN),
        "align": (v.VERSIONS,),
        "jointcall": (v.SAMPLE, v.COHORT, v.FREEZES, v.FREEZE, v.INTERVALS),
        "annotate": (v.PANELS, v.PANEL),
        "archive": (v.ARTIFACT_BY_URI, v.ARTIFACT_BY_START),
    }
    async with v.open_views(settings_of(database)) as views:
        for service in SERVICES:
            for query in (*everywhere, *theirs.get(service, ())):
                await views.rows(service, query)
            for query in (v.SUBJECT, v.FAILED_TASKS, *named.get(service, ())):
                await views.rows(service, query, "x")
        assert views.notes == []


async def test_status_resolves_labels_and_merges_what_services_say(
    cohortstream: Command, site: Site, ledgers: asyncpg.Connection[asyncpg.Record]
) -> None:
    ran = await in_thread(cohortstream, "--config", site.config, "status", "--json")
    lines = {line["subject"]: line for line in ran.document["subjects"]}
    assert lines[ONE]["label"] == "HG00100"
    assert (lines[ONE]["service"], lines[ONE]["state"]) == ("jointcall", "called; QC fail")
    assert lines[TWO]["waits_for"] == "convert the lane again"

    shown = await in_thread(cohortstream, "--config", site.config, "status", "GENOMES/HG00101")
    assert "HG00101 (GENOMES)" in shown.out
    assert "HG00100" not in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100


async def test_a_stuck_subject_shows_in_status_with_what_it_waits_for_until_it_moves(
    cohortstream: Command, site: Site, ledgers: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Every service's watchdog looks at its own ledger. A sample has been in calling for two hours and has no task; the
    one that was refused waits for a person, and rests."""
    await ledgers.execute(LEARN_VERSION, ONE, RUN)

    async def status() -> Ran:
        for service in SERVICES:
            async with open_ledger(dsn=site.database, service=service) as ledger:
                await look(build(builder_of(service), site.settings), ledger, load_expected(service))
        return await in_thread(cohortstream, "--config", site.config, "status", "--json")

    ran = await status()
    assert ran.code == 0
    (stuck,) = ran.document["stuck"]
    assert (stuck["service"], stuck["kind"], stuck["state"]) == ("align", "sample", "calling")
    assert (stuck["label"], stuck["waits_for"]) == ("HG00100", "its variant calls")
    assert stuck["expected_seconds"] == 3600
    shown = await in_thread(cohortstream, "--config", site.config, "status")
    assert shown.code == 0
    (line,) = (line for line in shown.out.splitlines() if "align: sample" in line)
    assert line.split()[:2] == ["HG00100", "(GENOMES)"]
    assert "120 min" in line or "2 h" in line
    assert max(map(len, shown.out.splitlines())) <= 100

    await ledgers.execute("update align.sample_version set state = 'called', since = now()")
    assert (await status()).document["stuck"] == []


async def test_a_run_shows_its_refusals_with_the_laboratorys_file_names(
    cohortstream: Command, site: Site, ledgers: asyncpg.Connection[asyncpg.Record]
) -> None:
    ran = await in_thread(cohortstream, "--config", site.config, "runs", RUN)
    said = " ".join(ran.out.split())
    assert "HG00101 (GENOMES): PAIR_COUNT: R1 has 5 reads and R2 has 4" in said
    assert "TWO_S2_L001_R1_001.fastq.gz" in said
    unknown = await in_thread(cohortstream, "--config", site.config, "runs", "nix")
    assert (unknown.code, "RUN_UNKNOWN" in unknown.paragraph) == (3, True)


async def test_samples_are_listed_and_shown_with_verdict_and_reasons(
    cohortstream: Command, site: Site, ledgers: asyncpg.Connection[asyncpg.Record]
) -> None:
    ran = await in_thread(cohortstream, "--config", site.config, "samples", "list", "--verdict", "fail", "--json")
    assert [row["key"] for row in ran.document["samples"]] == [ONE]
    shown = await in_thread(cohortstream, "--config", site.config, "samples", "show", "HG00100")
    assert "depth is 5, at least 20" in shown.out
    assert ONE in shown.out


async def test_commands_are_carried_out_by_the_service_and_audited_under_the_account(
    cohortstream: Command, site: Site, ledgers: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Given jointcall's consumer, a person passes a sample, freezes it by tag, and decides on a poisoned event."""
    await site.start("consume", "services.jointcall.main:build")

    async def run(*arguments: str) -> Ran:
        return await in_thread(cohortstream, "--config", site.config, *arguments)

    async def listens() -> bool:
        asked = await run("samples", "hold", "HG00100", "--reason", "is anybody there?", "--json")
        return bool(asked.document["noted"])

    await until(listens, seconds=90)
    passed = await run("samples", "pass", "HG00100", "--reason", "a tiny panel")
    assert (passed.code, passed.out.strip()) == (0, "HG00100 is passed"), passed.err
    override = await ledgers.fetchrow("select verdict, by, reason from jointcall.override where sample = $1", ONE)
    assert tuple(override) == ("pass", account_name(getpass.getuser()), "a tiny panel")

    refused = await run("cohort", "freeze", "of-one", "--sample", "HG00101")
    assert refused.code == 1
    assert "COHORT_SAMPLE: not called yet: HG00101 (GENOMES)" in refused.paragraph

    tagged = await run("samples", "tag", "trio", "HG00100", "--json")
    assert tagged.document["noted"] is True
    frozen = await run("cohort", "freeze", "of-one", "--tag", "trio", "--json")
    assert frozen.document["freeze"] == "of-one:2"
    assert frozen.document["samples"] == 1
    listed = await run("cohort", "show", "of-one", "--json")
    assert [one["freeze"] for one in listed.document["freezes"]] == ["of-one:1", "of-one:2"]
    nearly = await run("cohort", "show", "of-onne")
    assert "did you mean of-one?" in nearly.paragraph

    cancelled = await run("cancel", "of-one:2", "--reason", "only a test")
    assert "1 tasks ended so" in cancelled.out, cancelled.err
    assert (await run("cohort", "show", "of-one:2", "--json")).document["state"] == "cancelled"

    await site.publish_raw("sample.tag.requested", b"{", [])

    async def held() -> list[dict[str, Any]]:
        return list((await run("quarantine", "list", "--service", "jointcall", "--json")).document["items"])

    async def poisoned() -> bool:
        return any(item["topic"] == "sample.tag.requested" for item in await held())

    await until(poisoned)
    item = next(one["item"] for one in await held() if one["topic"] == "sample.tag.requested")
    assert "ENVELOPE" in (await run("quarantine", "show", item)).out
    discarded = await run("quarantine", "discard", item, "--reason", "a test's")
    assert discarded.out.strip() == f"{item} is discarded"
    assert item not in [one["item"] for one in await held()]
    again = await run("quarantine", "discard", item, "--reason", "twice")
    assert (again.code, "QUARANTINE_DECIDED" in again.paragraph) == (3, True)


async def test_a_command_that_nobody_hears_is_said_so_and_not_lost(
    site: Site, ledgers: asyncpg.Connection[asyncpg.Record]
) -> None:
    from console import asking, commands_out
    from contracts.events import SampleVerdictRequested

    command = commands_out.command(SampleVerdictRequested, sample=TWO, verdict="hold", reason="why")
    async with v.open_views(site.settings) as views:
        assert not await commands_out.noted(views, "jointcall", command, seconds=0.3)
    assert asking.outcome([command], False)["noted"] is False


async def in_thread(cohortstream: Command, *arguments: str | Path) -> Ran:
    """The test's own loop goes on meanwhile: it serves the processes of the site."""
    return await asyncio.to_thread(cohortstream, *arguments)
