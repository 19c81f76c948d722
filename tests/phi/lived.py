"""A small site that lives through a run, a freeze, people's commands and what is refused; then all that it left."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from chassis.reference import bundle
from chassis.settings import (
    AlignSettings,
    ArchiveSettings,
    IngestSettings,
    JointcallSettings,
    Settings,
    SiteSettings,
    TelemetrySettings,
    WorkerSettings,
)
from chassis.storage import open_store
from console import commands_out
from console.app import build
from console.site import running_site
from console.supervisor import SERVICES, Planned
from services.jointcall.columnar.warm import warm
from tests.phi import planted, searched
from tests.phi.searched import Found, Kept
from tests.support.flow import material
from tests.support.flow.records import Record
from tests.support.otlp import receiver
from tests.support.seeded.builders import builder_of, engines_put_back

ACTOR = "qzxactor"
COHORT = "cohort-q"
PATIENCE_S = 240.0
INTERVAL_BP = 2200
POISON = f'{{"cohort": "{planted.PERSON}", "born": "{planted.BIRTH}", "record": "{planted.RECORD}"}}'.encode()
CALLED = "select count(*) from jointcall.status_sample where verdict is not null"
REFUSED = "select count(*) from ingest.status_run where state = 'rejected'"
HELD = "select count(*) from jointcall.status_quarantine"
UNSENT = " + ".join(f"(select count(*) from {service}.outbox)" for service in SERVICES)
BUSY = " + ".join(f"(select count(*) from {service}.task where state in ('ready', 'leased'))" for service in SERVICES)


@dataclass(frozen=True, kw_only=True)
class Lived:
    """`said` is what people's commands said; `state` the folder with logs and spans; `sent` what a collector got."""

    records: Sequence[Record]
    in_ledgers: Sequence[Found]
    objects: Sequence[Kept]
    state: Path
    sent: Sequence[tuple[str, bytes]]
    said: Mapping[str, Result]


def live(folder: Path, *, seeded: bool, confidential: bool) -> Lived:
    """Start the site, live, stop it. Seeded engines take seconds, the real ones most of a minute."""
    (folder / "runs").mkdir(parents=True)
    if not seeded:
        warm()  # what a freeze with the real engine would wait for on its first run
    plan = tuple(
        Planned(service=service, role=role, builder=builder_of(service) if seeded else None)  # type: ignore[arg-type]
        for role in ("consume", "work")
        for service in SERVICES
    )
    with receiver() as received, pytest.MonkeyPatch.context() as patched:
        patched.setattr(commands_out, "_account", lambda: ACTOR)
        settings = Settings(
            state_dir=folder / "state",
            site=SiteSettings(ids_are_pseudonymous=not confidential),
            worker=WorkerSettings(lease_seconds=10.0, poll_seconds=0.3),
            telemetry=TelemetrySettings(otlp_endpoint=received.endpoint, log_level="DEBUG"),
            ingest=IngestSettings(roots=(folder / "runs",), scan_seconds=0.3, settle_seconds=0.0),
            align=AlignSettings(reference="onekg", qc_rules="tiny"),
            jointcall=JointcallSettings(
                interval_bp=material.MAX_INTERVAL_BP * 2, chunk_bp=material.MAX_INTERVAL_BP * 2
            ),
            archive=ArchiveSettings(sweep_seconds=2.0),
        )
        with (
            engines_put_back(),
            running_site(settings, object_store=True, plan=plan, durable=False, restore_s=0.2, grace_s=10.0) as site,
        ):
            life = _Life(settings=site.settings, config=site.config, folder=folder)
            said = life.lived()
            records, in_ledgers, objects = asyncio.run(life.left())
        return Lived(
            records=records,
            in_ledgers=in_ledgers,
            objects=objects,
            state=folder / "state",
            sent=tuple(received.bodies),
            said=said,
        )


@dataclass(frozen=True, kw_only=True)
class _Life:
    settings: Settings
    config: Path
    folder: Path

    def lived(self) -> dict[str, Result]:
        asyncio.run(self._reference())
        planted.arrive(self.folder / "runs", self.folder / "scratch")
        planted.arrive_misnamed(self.folder / "runs", self.folder / "scratch")
        asyncio.run(self._until(CALLED, 2))
        asyncio.run(self._until(REFUSED, 2))
        asyncio.run(self._poison())
        one, other = planted.LABELS
        said = {
            "hold": self._run("samples", "hold", one, "--reason", f"{other} may be {one}"),
            "pass": self._run("samples", "pass", one, "--reason", f"no, {one} is itself"),
            "tag": self._run("samples", "tag", "first", one),
            "hold, naming a person": self._run("samples", "hold", one, "--reason", f"Mrs {planted.OPERATOR} called"),
            "hold, with a record": self._run("samples", "hold", one, "--reason", f"see {planted.RECORD}"),
            "freeze, with a birth date": self._run(
                "cohort", "freeze", COHORT, "--all", "--reason", f"born {planted.BIRTH}"
            ),
            "freeze, for a person": self._run("cohort", "freeze", planted.PERSON, "--all"),
            "tag, for a person": self._run("samples", "tag", planted.PERSON, one),
            "freeze": self._run("cohort", "freeze", COHORT, "--all", "--reason", f"{one} and {other}", "--wait"),
            "cancel": self._run("cancel", other, "--reason", f"{other} is done"),
        }
        asyncio.run(self._until(HELD, 1))
        asyncio.run(self._until(f"select {UNSENT} + {BUSY}", 0))
        return said

    async def left(self) -> tuple[list[Record], list[Found], list[Kept]]:
        words = (*planted.NEVER, *planted.OF_SAMPLES)
        dsn = self.settings.ledger.url()
        async with open_store(self.settings.store) as store:
            objects = [one async for one in searched.objects(store)]
        records = [one for one in await searched.topics(self.settings.kafka.bootstrap) if one.body != POISON]
        return records, [one async for one in searched.ledgers(dsn, words)], objects

    def _run(self, *arguments: str) -> Result:
        return CliRunner().invoke(build(), ["--config", str(self.config), *arguments], env={"COLUMNS": "200"})

    async def _reference(self) -> None:
        async with open_store(self.settings.store) as store:
            await bundle.add(
                store,
                name="onekg",
                fasta=material.REFERENCE,
                max_interval_bp=INTERVAL_BP,
                scratch=self.folder,
            )

    async def _poison(self) -> None:
        """What another system may publish by mistake: it stays in the quarantine, and its words nowhere else."""
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap)
        await producer.start()
        try:
            headers: list[tuple[str, bytes]] = [
                ("ce_specversion", b"1.0"),
                ("ce_id", str(uuid.uuid4()).encode()),
                ("ce_type", b"cohortstream.cohort.freeze.requested.v1"),
                ("ce_source", b"/elsewhere"),
                ("ce_subject", planted.PERSON.encode()),
                ("ce_time", b"2024-06-11T12:00:00Z"),
            ]
            key = planted.RECORD.encode()
            await producer.send_and_wait("cohort.freeze.requested", POISON, key=key, headers=headers)
        finally:
            await producer.stop()

    async def _until(self, query: str, wanted: Any) -> None:
        conn = await asyncpg.connect(self.settings.ledger.url())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await conn.fetchval(query) != wanted:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            rows = [
                tuple(row)
                for service in SERVICES
                for row in await conn.fetch(f"select subject, state, waits_for from {service}.status_subject limit 20")
            ]
            raise AssertionError(f"in vain: {query}; {rows}") from None
        finally:
            await conn.close()
