"""`samples withdraw`: heard by every service's own handler, on real ledgers; Kafka between them is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis.ledger.ledger import open_ledger
from chassis.messaging.common import with_common
from chassis.service import build
from chassis.settings import Settings
from console import commands_out
from console.site import builder_of, migrate_ledgers
from console.supervisor import SERVICES
from contracts.events import Command as Asked
from tests.console.conftest import Command
from tests.support.deliver import deliver
from tests.support.site import Site

pytestmark = pytest.mark.stack

KEY = f"smp_{'1' * 24}"
LEARN = """
insert into ingest.sample (key, project, label, version, created_at) values ($1, 'GENOMES', 'HG00100', 1, now())
"""
IN_A_PANEL = (
    "insert into archive.cohort_freeze (id, cohort, recorded_at, released_at) values ('c:1', 'c', now(), now())",
    "insert into archive.member (artifact, freeze_id) values ('g', 'c:1')",
    "insert into archive.gvcf (id, index_id, sample, version, passed, recorded_at) "
    f"values ('g', 'i', '{KEY}', 1, true, now())",
)


@pytest.fixture
async def known(site: Site, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sample, in one released panel; commands come to the handlers as they would through Kafka."""
    await migrate_ledgers(site.settings, SERVICES)
    conn = await asyncpg.connect(database)
    await conn.execute(LEARN, KEY)
    for statement in IN_A_PANEL:
        await conn.execute(statement)
    await conn.close()

    async def publish(settings: Settings, *commands: Asked) -> None:
        for name in SERVICES:
            service = with_common(build(builder_of(name), settings))
            async with open_ledger(dsn=database, service=name, pool_size=1) as ledger:
                await deliver(ledger, service, *commands)

    monkeypatch.setattr(commands_out, "publish", publish)


async def run(cohortstream: Command, config: Path, *arguments: str) -> Any:
    return await asyncio.to_thread(cohortstream, "--config", config, "samples", "withdraw", *arguments)


async def test_every_service_notes_it_and_the_panels_that_hold_the_sample_are_named(
    known: None, cohortstream: Command, site: Site, database: str
) -> None:
    ran = await run(cohortstream, site.config, "HG00100", "--deadline", "2099-01-31", "--reason", "a letter")
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert "HG00100 is withdrawn: it joins no later freeze; its own files are purged by 2099-01-31" in said
    assert "c:1 hold it: make them again without it by then; no panel is purged by itself" in said
    assert "not noted" not in said
    conn = await asyncpg.connect(database)
    for service in SERVICES:
        row = await conn.fetchrow(
            f"select reason, deadline from {service}.audit a join {service}.withdrawn w on w.subject = a.subject "
            "where a.subject = $1",
            KEY,
        )
        assert row is not None
        assert (row["reason"], str(row["deadline"])) == ("a letter", "2099-01-31")
    await conn.close()


async def test_a_deadline_that_is_over_is_refused(known: None, cohortstream: Command, site: Site) -> None:
    ran = await run(cohortstream, site.config, "HG00100", "--deadline", "2020-01-31", "--reason", "a letter")
    assert ran.code != 0
    assert "DEADLINE_PAST" in ran.paragraph
