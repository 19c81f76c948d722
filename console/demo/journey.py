"""The demo's way: runs arrive, samples are called, a cohort is frozen and released, and again with more people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.errors import ToolFailed
from chassis.settings import Settings
from console import commands_out
from console.demo.collect import collect_panel, events_by_topic, held_events, service_figures, storage, top_up
from console.demo.figures import Figures, FreezeFigures, TopUp
from console.demo.sources import Material
from console.standing import Pool, pools
from console.supervisor import SERVICES
from console.views import BACKLOG, Views, open_views

COHORT = "demo"
REFERENCE = "demo"
LOOK_S = 0.3
PATIENCE_S = 900.0
"""For one phase; a phase of the default size takes about a minute on two cores."""
TIERING_S = 45.0
"""Past this the demo shows what has moved by then."""
CALLED = "select key, version, verdict from status_sample"
LABELS = "select key, label from status_sample_label"
FREEZES = "select * from status_freeze where cohort = $1 order by number"
PANEL = "select * from status_panel where cohort = $1 and number = $2"
DEAD = "select key, subject, error from status_task where state = 'failed' order by key limit 5"
REJECTED = "select run, state, waits_for from status_run where state = 'rejected'"
TIERED = (
    "select sum(objects) as moved from status_storage where kind = 'fastq' and tier not in ('STANDARD', 'standard')"
)

Ailing = Callable[[], str | None]
Watch = Callable[["Moment"], None]


@dataclass(slots=True)
class Moment:
    """What a person sees of the demo at one time."""

    phase: str
    pools: tuple[Pool, ...] = ()
    called: int = 0
    wanted: int = 0
    phases: dict[str, float] = field(default_factory=dict)


class Journey:
    def __init__(
        self,
        *,
        settings: Settings,
        material: Material,
        folder: Path,
        runs: Path,
        watch: Watch,
        ailing: Ailing,
        engine: str | None = None,
    ) -> None:
        """`engine`: what genotypes, where it is not the configured one."""
        self._engine = engine or settings.jointcall.engine
        self._settings = settings
        self._material = material
        self._folder = folder
        self._runs = runs
        self._watch = watch
        self._ailing = ailing
        self._moment = Moment(phase="registering the reference")
        self.written: list[Path] = []
        """The run folders that arrived by our hand; whoever shares the folder has others in it."""

    async def travel(self) -> Figures:
        """Go the whole way. Raises ToolFailed, naming what stopped, when a task dies or nothing moves for long."""
        started = time.monotonic()
        async with open_views(self._settings) as views:
            await self._register(views)
            freezes: list[FreezeFigures] = []
            for number in range(1, len(self._material.arrivals) + 1):
                await self._arrive(views, number)
                freezes.append(await self._freeze(views, number))
            await self._tiering(views)
            return Figures(
                freezes=tuple(freezes),
                services=await service_figures(views),
                storage=await storage(views),
                events=await events_by_topic(self._settings),
                quarantined=await held_events(views),
                topped_up=await self._top_up(views),
                seconds=round(time.monotonic() - started, 1),
                state_dir=self._settings.state_dir,
                folder=self._folder,
                phases=dict(self._moment.phases),
            )

    async def _register(self, views: Views) -> None:
        from chassis.reference.bundle import add
        from chassis.storage import open_store

        with self._phase("registering the reference"):
            async with open_store(self._settings.store) as store:
                await add(
                    store,
                    name=REFERENCE,
                    fasta=self._material.reference,
                    gff=self._material.gff,
                    max_interval_bp=self._material.max_interval_bp,
                    scratch=self._folder,
                )

    async def _arrive(self, views: Views, number: int) -> None:
        arrival = self._material.arrivals[number - 1]
        people = self._material.people_after(number)
        before = set(self._material.people_after(number - 1))
        again = set(arrival.samples) & before
        with self._phase(f"run {number} arrives: {arrival.says}"):
            self.written.append(await asyncio.to_thread(arrival.write, self._runs))
            self._moment.wanted = len(people)

            async def called() -> bool:
                labels = {row["key"]: row["label"] for row in await views.rows("ingest", LABELS)}
                versions = {labels.get(row["key"]): row["version"] for row in await views.rows("jointcall", CALLED)}
                ready = [name for name in people if versions.get(name, 0) >= (2 if name in again else 1)]
                self._moment.called = len(ready)
                return len(ready) == len(people)

            await self._until(views, called)

    async def _freeze(self, views: Views, number: int) -> FreezeFigures:
        from contracts.events import CohortFreezeRequested, Selection

        with self._phase(f"freeze {number}: everyone so far, called together, filtered, annotated"):
            asked = time.monotonic()
            request = commands_out.command(
                CohortFreezeRequested,
                cohort=COHORT,
                selection=Selection(how="all"),
                engine=self._engine,
                reason="the demo",
            )
            await commands_out.publish(self._settings, request)
            found: list[Mapping[str, Any]] = []

            async def released() -> bool:
                for row in await views.rows("jointcall", FREEZES, COHORT):
                    if row["number"] == number and row["state"] in ("failed", "cancelled"):
                        raise ToolFailed(tool="freeze", status=row["state"], said=str(row["error"]))
                found[:] = await views.rows("annotate", PANEL, COHORT, number)
                return bool(found)

            await self._until(views, released)
            seconds = round(time.monotonic() - asked, 1)
        [freeze] = [row for row in await views.rows("jointcall", FREEZES, COHORT) if row["number"] == number]
        return await collect_panel(
            self._settings,
            panel=found[0],
            freeze=freeze,
            folder=self._folder / f"panel-{number}",
            truth=self._material.truth,
            reference=self._material.reference,
            people=self._material.people_after(number),
            seconds=seconds,
        )

    async def _tiering(self, views: Views) -> None:
        """The archive acts after its grace period (two leases); the demo waits until the FASTQs of a run are cold."""
        with self._phase("the archive moves what nobody needs soon"):
            deadline = time.monotonic() + TIERING_S

            async def moved() -> bool:
                row = await views.one("archive", TIERED)
                return time.monotonic() > deadline or (row is not None and (row["moved"] or 0) > 0)

            await self._until(views, moved)

    async def _top_up(self, views: Views) -> TopUp | None:
        name = self._material.topped_up
        return None if name is None else await top_up(views, name)

    async def _until(self, views: Views, condition: Callable[[], Awaitable[bool]]) -> None:
        """Look again and again, show what is seen, and stop at the first sign that waiting is in vain."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._moment.pools = pools(await views.everywhere(BACKLOG))
            self._watch(self._moment)
            if await condition():
                return
            await self._hopeless(views)
            if time.monotonic() > deadline:
                raise ToolFailed(
                    tool="demo", status="stuck", said=f"nothing ended '{self._moment.phase}' in {PATIENCE_S:.0f} s"
                )
            await asyncio.sleep(LOOK_S)

    async def _hopeless(self, views: Views) -> None:
        for service in SERVICES:
            for row in await views.rows(service, DEAD):
                raise ToolFailed(tool=service, status="gave up", said=f"{row['key']}: {row['error']}")
        for row in await views.rows("ingest", REJECTED):
            raise ToolFailed(tool="ingest", status="rejected", said=f"run {row['run']}: {row['waits_for']}")
        trouble = self._ailing()
        if trouble is not None:
            raise ToolFailed(tool="services", status="not running", said=trouble)

    def _phase(self, name: str) -> _Phase:
        return _Phase(self._moment, name, self._watch)


class _Phase:
    """Times one phase and says when it begins."""

    def __init__(self, moment: Moment, name: str, watch: Watch) -> None:
        self._moment, self._name, self._watch = moment, name, watch
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.monotonic()
        self._moment.phase = self._name
        self._moment.called = self._moment.wanted = 0
        self._watch(self._moment)

    def __exit__(self, *_: object) -> None:
        self._moment.phases[self._name] = round(time.monotonic() - self._started, 1)
