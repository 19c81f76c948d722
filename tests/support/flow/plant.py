"""The whole of cohortstream for fault tests: six services as real processes under the real supervisor, on a broker, a
database and an object store of their own, with a network in between that a test may spoil.

`seeded` engines do what the real ones do in milliseconds and pass the same contract suites; `real` are bwa and GATK.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import SecretStr

from chassis import faultpoints
from chassis.ledger.ledger import Ledger, open_ledger
from chassis.messaging.common import with_common
from chassis.messaging.consumer import group_of
from chassis.messaging.topics import apply_topics
from chassis.reference import bundle
from chassis.service import build
from chassis.settings import (
    AlignSettings,
    ArchiveSettings,
    IngestSettings,
    JointcallSettings,
    KafkaSettings,
    LedgerSettings,
    Settings,
    SiteSettings,
    StoreSettings,
    TelemetrySettings,
    WorkerSettings,
)
from chassis.storage import open_store
from chassis.storage.store import Store
from console import commands_out, supervisor
from console.runtime import make_secret, write_runtime
from console.site import migrate_ledgers
from console.supervisor import SERVICES, Health, Planned, Services
from contracts.events import CohortFreezeRequested, Event, Selection
from deploy.embedded.stack import EmbeddedStack
from services.ingest.identity import Identity, read_identity
from tests.conftest import until
from tests.support.flow import material, panel
from tests.support.flow.between import Between
from tests.support.flow.records import lag
from tests.support.proxy import Proxy
from tests.support.seeded.builders import engines_put_back
from tests.support.site import producer

Engines = Literal["seeded", "real"]
Role = Literal["consume", "work"]
PATIENCE_S = {"seeded": 90.0, "real": 120.0}
STANDING = "select subject, state, waits_for from status_subject order by since desc limit 10"
HELD = "select code, topic, rejection from status_quarantine where state = 'held' limit 5"
UNENDED = "select key, state, reason, error from task where state in ('ready', 'leased', 'failed') order by key"
BUSY = """
select count(*) from task
where state = 'leased' or state = 'ready' and ready_at < ledger_now() + interval '1 minute'
"""
"""What is put off for longer (a purge's grace period) is no concern of a test."""
UNSENT = "select count(*) from outbox"
CALLED = "select key from status_sample where key = any($1) and verdict is not null"
PANEL = "select * from status_panel where cohort = $1 order by number desc limit 1"
FROZEN = """select count(*) from task where kind = 'interval' and belongs_to like $1 || '%'"""


def builder_of(service: str, engines: Engines) -> str:
    return f"tests.support.seeded.builders:{service}" if engines == "seeded" else f"services.{service}.main:build"


@dataclass(kw_only=True)
class Plant:
    engines: Engines
    folder: Path
    settings: Settings
    stack: EmbeddedStack
    between: Between
    services: Services
    config: Path
    ledgers: Mapping[str, Ledger]
    store: Store
    identity: Identity
    faults: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    undisturbed: Mapping[str, str] = field(default_factory=dict)
    """The content of a panel that nothing disturbed, by file."""
    seen_there: set[str] = field(default_factory=set)
    """Objects that a check has found already."""

    @property
    def bootstrap(self) -> str:
        return self.settings.kafka.bootstrap

    @property
    def patience(self) -> float:
        return PATIENCE_S[self.engines]

    # --- what goes in and comes out

    async def submit(self, labels: Sequence[str] = material.PEOPLE, **reads: Any) -> Going:
        """A run folder of these people, in a project of its own: the begin of a cohort."""
        number = next(self.numbers)
        going = Going(plant=self, cohort=f"cohort-{number}", project=f"PRJ{number}", labels=tuple(labels))
        people = dict(zip(labels, itertools.cycle(material.PEOPLE), strict=False))
        source = material.Reads(people=people, edition=number, **reads)
        plan = material.plan_of(going.project, labels, number=number)
        going.run = plan.name
        await asyncio.to_thread(material.arrive, self.runs, plan=plan, reads=source)
        return going

    @property
    def runs(self) -> Path:
        return self.settings.ingest.roots[0]

    async def publish(self, *events: Event) -> None:
        await commands_out.publish(self.settings, *events)  # type: ignore[arg-type]

    async def publish_raw(self, topic: str, body: bytes, headers: list[tuple[str, bytes]]) -> None:
        async with producer(self.bootstrap) as out:
            await out.send_and_wait(topic, body, headers=headers)

    # --- what is seen

    async def rows(self, service: str, query: str, *values: object) -> list[Any]:
        async with self.ledgers[service].connection() as conn:
            return list(await conn.fetch(query, *values))

    async def value(self, service: str, query: str, *values: object) -> Any:
        async with self.ledgers[service].connection() as conn:
            return await conn.fetchval(query, *values)

    async def until(self, condition: Any, *, seconds: float | None = None) -> None:
        """As `until`; when it comes to nothing it says where tasks and processes stand."""
        try:
            await until(condition, seconds=seconds or self.patience)
        except TimeoutError:
            stand = [
                f"{service}: {tuple(row)}"
                for service in SERVICES
                for query in (UNENDED, STANDING, HELD)
                for row in await self.rows(service, query)
            ]
            ailing = [f"{one.name} {one.state}: {one.last_words(8)}" for one in self.services.health() if not one.well]
            raise AssertionError("in vain\n" + "\n".join([*stand, *ailing])) from None

    async def quiet(self, *, seconds: float | None = None) -> None:
        """No task that may run, no event unsent, none unread: whatever was begun has ended."""

        async def all_quiet() -> bool:
            for service in SERVICES:
                if await self.value(service, BUSY) or await self.value(service, UNSENT):
                    return False
            if await lag(self.bootstrap, {group_of(service): self.topics_of(service) for service in SERVICES}):
                return False
            # what was read last may have begun something
            return not any([await self.value(service, BUSY) for service in SERVICES])

        await self.until(all_quiet, seconds=seconds)

    def topics_of(self, service: str) -> tuple[str, ...]:
        return with_common(build(builder_of(service, self.engines), self.settings)).subscriptions.topics

    def heal(self) -> None:
        """Whatever a test left: points that were armed and not reached, a spoilt network, a server that is down."""
        for armed in self.faults.iterdir():
            armed.unlink()
        self.between.database(Proxy.mend)
        self.between.store_well()
        for server in (self.stack.kafka, self.stack.postgres):
            server.process.resume()
            if not server.process.running:
                server.start()

    # --- what is done to it

    def process(self, service: str, role: Role) -> Health:
        [health] = [one for one in self.services.health() if (one.service, one.role) == (service, role)]
        return health

    def pid(self, service: str, role: Role) -> int:
        """Of the service itself, which runs under a shim of the supervisor."""
        shim = self.process(service, role).pid
        assert shim is not None, f"{service} {role} does not run"
        children = Path(f"/proc/{shim}/task/{shim}/children").read_text(encoding="ascii").split()
        return int(children[0])

    def signal(self, service: str, role: Role, number: signal.Signals) -> None:
        os.kill(self.pid(service, role), number)

    def resume(self, pid: int) -> None:
        """SIGCONT to a process that an armed point has stopped."""
        os.kill(pid, signal.SIGCONT)

    async def kill(self, service: str, role: Role) -> None:
        """kill -9; the supervisor starts it again."""
        before = self.process(service, role).restarts
        self.signal(service, role, signal.SIGKILL)

        async def again() -> bool:
            now = self.process(service, role)
            return now.restarts > before and now.state == "running"

        await self.until(again)

    @asynccontextmanager
    async def another(self, service: str, role: Role, *, slots: int = 1) -> AsyncIterator[Services]:
        """One more process of this service beside the one that runs."""
        planned = Planned(service=service, role=role, slots=slots, builder=builder_of(service, self.engines))
        more = Services(self.config, (planned,), logs=self.folder / f"logs-{next(self.numbers)}")
        await asyncio.to_thread(more.start)
        try:
            yield more
        finally:
            await asyncio.to_thread(more.stop, grace_s=10.0)

    def arm(self, point: str, number: signal.Signals) -> None:
        """The next process that comes to this point (`align.after-upload`) sends itself the signal."""
        for old in self.faults.glob(f"struck-{point}-*"):
            old.unlink()
        written = self.faults / f".{point}"
        written.write_text(number.name, encoding="ascii")
        written.rename(self.faults / point)

    async def struck(self, point: str) -> int:
        """Wait until the armed point was reached; the process id of who reached it."""

        async def reached() -> bool:
            return any(self.faults.glob(f"struck-{point}-*"))

        await self.until(reached)
        [marker] = self.faults.glob(f"struck-{point}-*")
        return int(marker.name.rpartition("-")[2])


@dataclass(kw_only=True)
class Going:
    """A cohort on its way: its people in a run, then a freeze of them."""

    plant: Plant
    cohort: str
    project: str
    labels: tuple[str, ...]
    run: str = ""
    asked: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.plant.identity.sample(project=self.project, sample=label) for label in self.labels)

    async def called(self, *labels: str) -> None:
        """Wait until jointcall has a gVCF of all (of these) people."""
        keys = [self.plant.identity.sample(project=self.project, sample=one) for one in labels or self.labels]

        async def all_called() -> bool:
            return len(await self.plant.rows("jointcall", CALLED, keys)) == len(keys)

        await self.plant.until(all_called)

    async def freeze(self, *labels: str) -> CohortFreezeRequested:
        """Ask for a freeze of all (of these) people."""
        keys = tuple(self.plant.identity.sample(project=self.project, sample=one) for one in labels or self.labels)
        request = CohortFreezeRequested(
            request_id=uuid4(),
            actor=commands_out.actor(),
            cohort=self.cohort,
            selection=Selection(how="list", samples=keys),
            reason="a test",
        )
        await self.plant.publish(request)
        self.asked = True
        return request

    async def released(self) -> Mapping[str, Any]:
        found: list[Any] = []

        async def there() -> bool:
            found[:] = await self.plant.rows("annotate", PANEL, self.cohort)
            return bool(found)

        await self.plant.until(there)
        return dict(found[0])

    async def panel(self) -> dict[str, str]:
        """Go the rest of the way undisturbed; the content of the panel."""
        if not self.asked:
            await self.called()
            await self.freeze()
        return await panel.content(self.plant.store, await self.released())


@asynccontextmanager
async def running_plant(
    folder: Path,
    *,
    engines: Engines = "seeded",
    lease_seconds: float = 3.0,
    slots: int = 1,
    plan: Sequence[Planned] | None = None,
    direct: bool = False,
    reference: Path = material.REFERENCE,
    memory_mb: int = 4096,
    grace_seconds: float = 86_400.0,
    otlp_endpoint: str | None = None,
) -> AsyncIterator[Plant]:
    """Start everything; everything ends with it.

    `direct`: without the network that a test may spoil, and without a first cohort that nothing disturbs. `plan`: other
    processes than one consumer and one worker for each service. `memory_mb`: what a worker's slot may use.
    `grace_seconds`: between what is condemned and its end. `otlp_endpoint`: where spans go, besides the state folder.
    """
    runs, faults, state = folder / "runs", folder / "faults", folder / "state"
    for made in (runs, faults):
        made.mkdir(parents=True)
    stack = EmbeddedStack(durable=False, restore_s=0.2)
    between = Between()
    async with AsyncExitStack() as leaving:
        leaving.enter_context(engines_put_back())
        # not in the state folder: services that find servers there would go past the network in between
        endpoints = leaving.enter_context(stack.running(folder / "servers"))
        leaving.enter_context(between.running(endpoints))
        leaving.enter_context(_no_rest())
        leaving.enter_context(_armable(faults))
        secret = folder / "site-secret"
        make_secret(secret)
        settings = Settings(
            state_dir=state,
            kafka=KafkaSettings(bootstrap=endpoints.kafka_bootstrap),
            ledger=LedgerSettings(dsn=SecretStr(endpoints.postgres_dsn if direct else between.dsn)),
            store=StoreSettings(
                base=f"s3://{endpoints.bucket}",
                endpoint=endpoints.s3_endpoint if direct else between.s3,
                access_key=SecretStr(endpoints.s3_access_key),
                secret_key=SecretStr(endpoints.s3_secret_key),
            ),
            site=SiteSettings(secret_file=secret),
            worker=WorkerSettings(
                lease_seconds=lease_seconds, poll_seconds=0.5, drain_seconds=5.0, memory_mb=memory_mb
            ),
            ingest=IngestSettings(roots=(runs,), scan_seconds=0.3, settle_seconds=0.0),
            align=AlignSettings(reference="onekg", qc_rules="tiny", call_interval_bp=2200),
            jointcall=JointcallSettings(interval_bp=MAX_BP, chunk_bp=MAX_BP // 2),
            telemetry=TelemetrySettings(otlp_endpoint=otlp_endpoint),
            archive=ArchiveSettings(sweep_seconds=2.0, grace_seconds=grace_seconds),
        )
        await apply_topics(settings.kafka, single_partition=True)
        await migrate_ledgers(settings, SERVICES)
        config = write_runtime(settings)
        store = await leaving.enter_async_context(open_store(settings.store))
        await bundle.add(store, name="onekg", fasta=reference, max_interval_bp=material.MAX_INTERVAL_BP, scratch=folder)
        ledgers = {
            service: await leaving.enter_async_context(
                open_ledger(dsn=endpoints.postgres_dsn, service=service, pool_size=2)
            )
            for service in SERVICES
        }
        services = Services(config, plan or _plan(engines, slots), logs=state / "logs" / "services")
        leaving.callback(services.stop, grace_s=5.0)
        await asyncio.to_thread(services.start)
        plant = Plant(
            engines=engines,
            folder=folder,
            settings=settings,
            stack=stack,
            between=between,
            services=services,
            config=config,
            ledgers=ledgers,
            store=store,
            identity=read_identity(settings.site),
            faults=faults,
        )
        if not direct:
            plant.undisturbed = await (await plant.submit()).panel()
        yield plant


MAX_BP = material.MAX_INTERVAL_BP


def _plan(engines: Engines, slots: int) -> tuple[Planned, ...]:
    return tuple(
        Planned(service=service, role=role, slots=slots, builder=builder_of(service, engines))
        for role in ("consume", "work")
        for service in SERVICES
    )


@contextmanager
def _no_rest() -> Iterator[None]:
    """Here every end is a test's doing: the supervisor starts again at once."""
    kept = supervisor.FIRST_REST_S, supervisor.LONGEST_REST_S
    supervisor.FIRST_REST_S = supervisor.LONGEST_REST_S = 0.1
    try:
        yield
    finally:
        supervisor.FIRST_REST_S, supervisor.LONGEST_REST_S = kept


@contextmanager
def _armable(faults: Path) -> Iterator[None]:
    kept = os.environ.get(faultpoints.VARIABLE)
    os.environ[faultpoints.VARIABLE] = str(faults)
    try:
        yield
    finally:
        if kept is None:
            del os.environ[faultpoints.VARIABLE]
        else:
            os.environ[faultpoints.VARIABLE] = kept
