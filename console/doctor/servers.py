"""The servers: does Kafka answer and have its topics, does Postgres and have its ledgers, can the store be used."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from chassis.errors import Rejected
from console.doctor.check import Check, bad, note, well
from console.exits import Unreachable
from console.reach import kafka_reached, ledger_address, ledger_reached
from console.runtime import names_servers
from console.supervisor import SERVICES

if TYPE_CHECKING:
    from chassis.settings import Settings

NOT_RUNNING = "not running: `cohortstream up` starts it"
ANSWER_S = 10.0
SCHEMAS = "select nspname from pg_namespace where nspname = any($1::text[])"
CLIENTS = """
select application_name as name, count(*) as connections from pg_stat_activity
where application_name like 'cohortstream-%' group by 1
"""


async def kafka(settings: Settings) -> Check:
    from aiokafka.admin import AIOKafkaAdminClient

    from chassis.messaging.security import plain_options
    from contracts.topics import TOPICS

    if not names_servers(settings)[0]:
        return note("Kafka", NOT_RUNNING, "`cohortstream up`, or set [kafka] bootstrap")
    try:
        with kafka_reached(settings):
            options = plain_options(settings.kafka)
            async with asyncio.timeout(ANSWER_S):
                admin = AIOKafkaAdminClient(**options)
                await admin.start()
                try:
                    there = set(await admin.list_topics())
                finally:
                    await admin.close()
    except Unreachable as error:
        said, _, fix = str(error).partition(" To mend it: ")
        return bad("Kafka", said, fix.rstrip("."))
    except Rejected as rejected:
        return bad("Kafka", rejected.rejection.message, rejected.rejection.fix)
    absent = [topic.name for topic in TOPICS if topic.name not in there]
    if absent:
        return bad(
            "Kafka",
            f"{settings.kafka.bootstrap} answers; {len(absent)} of {len(TOPICS)} topics are missing, e.g. {absent[0]}",
            "`cohortstream topics apply`",
        )
    return well("Kafka", f"{settings.kafka.bootstrap} answers and has all {len(TOPICS)} topics")


async def postgres(settings: Settings) -> Check:
    import asyncpg

    if not names_servers(settings)[1]:
        return note("Postgres", NOT_RUNNING, "`cohortstream up`, or set [ledger] dsn")
    try:
        with ledger_reached(settings):
            conn = await asyncpg.connect(settings.ledger.url(), timeout=ANSWER_S)
            version = conn.get_server_version()
            schemas = {row["nspname"] for row in await conn.fetch(SCHEMAS, list(SERVICES))}
            conn.terminate()
    except Unreachable as error:
        said, _, fix = str(error).partition(" To mend it: ")
        return bad("Postgres", said, fix.rstrip("."))
    said = f"{ledger_address(settings)} answers (version {version.major}.{version.minor})"
    absent = [name for name in SERVICES if name not in schemas]
    if absent:
        return note(
            "Postgres",
            f"{said}; no ledger yet of {', '.join(absent)}",
            "`cohortstream consume SERVICE` makes its ledger",
        )
    return well("Postgres", f"{said} and holds the ledgers of all services")


async def consumers(settings: Settings) -> Check:
    """A process of a service holds connections to its ledger under its name."""
    import asyncpg

    if not names_servers(settings)[1]:
        return note("services", "not running", "`cohortstream up`, or `cohortstream consume SERVICE`")
    conn = await asyncpg.connect(settings.ledger.url(), timeout=ANSWER_S)
    try:
        connected = {row["name"].removeprefix("cohortstream-") for row in await conn.fetch(CLIENTS)}
    finally:
        conn.terminate()
    silent = [name for name in SERVICES if name not in connected]
    if silent:
        return note(
            "services",
            f"no process of {', '.join(silent)} is connected",
            "`cohortstream up`, or `cohortstream consume SERVICE`",
        )
    return well("services", "processes of all six are connected to their ledgers")


async def store(settings: Settings) -> Check:
    from chassis.storage.open import open_store
    from chassis.storage.store import StoreUnavailable

    base = settings.store.base
    if base.startswith("file://") and not settings.state_dir.exists() and "/store" in base:
        return note("store", f"{base} is not there yet", "`cohortstream up` or `cohortstream reference add` makes it")
    try:
        async with asyncio.timeout(ANSWER_S * 3), open_store(settings.store) as opened:
            able = ", ".join(sorted(opened.capabilities))
            return well("store", f"{opened.base} can be written ({able})")
    except Rejected as rejected:
        return bad("store", f"{rejected.rejection.code}: {rejected.rejection.message}", rejected.rejection.fix)
    except (StoreUnavailable, OSError, TimeoutError) as error:
        return bad("store", f"{base}: {error or type(error).__name__}", "correct [store] base, endpoint and keys")


async def tiering(settings: Settings) -> Check:
    """How objects would go cold: the stores are tried, as the archive does at its start; nothing is taken into use."""
    from chassis.storage.open import open_store
    from chassis.storage.store import StoreUnavailable, TierProbe
    from services.archive.tiers.choice import checked, weighed

    asked = settings.archive.tiering
    fix = "correct archive.tiering and [cold]"
    try:
        checked(settings)
        async with asyncio.timeout(ANSWER_S * 3), open_store(settings.store) as opened:
            probe = await opened.probe_tiers() if asked in ("auto", "storage-class") else TierProbe()
            found = await weighed(settings, opened, probe, None)
    except Rejected as rejected:
        return bad("tiering", f"{rejected.rejection.code}: {rejected.rejection.message}", rejected.rejection.fix)
    except (StoreUnavailable, OSError, TimeoutError) as error:
        return bad("tiering", str(error) or type(error).__name__, fix)
    said = f"{found.backend}: {found.said}"
    if found.backend == "none" and settings.cold.base is not None and asked != "none":
        return bad("tiering", said, fix)
    if found.backend == "none":
        return note("tiering", said, "set [cold] base to a bucket or a folder, should anything go cold")
    return well("tiering", said)


async def references(settings: Settings) -> Check:
    from chassis.reference.bundle import list_references
    from chassis.storage.open import open_store

    base = settings.store.base
    if base.startswith("file://") and not Path(unquote(base.removeprefix("file://"))).exists():
        return note("reference", "none is registered", "`cohortstream reference add NAME genome.fa`")
    async with open_store(settings.store) as opened:
        names = sorted(bundle.id.name for bundle in await list_references(opened))
    named = settings.align.reference
    if named is None:
        fix = (
            "set [align] reference"
            if names
            else "`cohortstream reference add NAME genome.fa`, then set [align] reference"
        )
        return note("reference", f"none is named for alignment; registered: {', '.join(names) or 'none'}", fix)
    if named not in names:
        return bad(
            "reference",
            f"{named} is not registered; registered: {', '.join(names) or 'none'}",
            f"`cohortstream reference add {named} genome.fa`",
        )
    return well("reference", f"{named} is registered and named for alignment")
