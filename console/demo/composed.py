"""The demo on the containers of deploy/compose: the same journey, on services that run already."""

from __future__ import annotations

import asyncio
import shutil
import time
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.errors import Rejected, reject
from console.demo.journey import COHORT, Journey
from console.demo.shown import live
from console.views import COHORT as COHORT_VIEW
from console.views import LABELS, open_views
from deploy.compose.site import CONFIG, EVALUATION, HOST, addresses, containers

if TYPE_CHECKING:
    from rich.console import Console

    from chassis.settings import Settings
    from console.demo.figures import Figures
    from console.demo.sources import Material

LOOK_AGAIN_S = 10.0
"""Between two looks at the containers; the journey asks far more often."""
FITTING = ("align", "jointcall", "ingest", "archive")
"""Sections of the configuration that the demo's panel depends on, or its patience."""


def perform(console: Console, material: Material, folder: Path, *, engine: str | None = None) -> Figures:
    """Raises Rejected: STACK_DOWN, DEMO_SITE when the site is set up for another genome, DEMO_DONE."""
    from chassis.settings import load

    at = addresses()
    if not (at.site / HOST).exists() or not containers():
        raise _down()
    _require_fitting(at.site / CONFIG, qc_rules=material.qc_rules)
    settings = load(at.site / HOST, environ={})
    asyncio.run(_require_fresh(settings, material.people_after(len(material.arrivals))))
    console.print("[cyan]→[/] the containers of deploy/compose run, on loopback only", highlight=False)
    with live(console) as watch:
        journey = Journey(
            settings=settings,
            material=material,
            folder=folder,
            runs=at.runs,
            watch=watch,
            ailing=_Looks(),
            engine=engine,
        )
        try:
            return asyncio.run(journey.travel())
        finally:
            for run in journey.written:  # what was read of them lies in the store
                shutil.rmtree(run, ignore_errors=True)


class _Looks:
    """What is wrong with the containers, asked seldom: Docker answers slowly."""

    def __init__(self) -> None:
        self._next = 0.0
        self._before: set[str] = set()

    def __call__(self) -> str | None:
        if time.monotonic() < self._next:
            return None
        ailing = {one.service for one in containers() if one.ailing}
        self._next = time.monotonic() + LOOK_AGAIN_S
        # one that is killed and starts again is what the system is for; one that does not get well is a failure
        lasting, self._before = ailing & self._before, ailing
        if not lasting:
            return None
        return f"{', '.join(sorted(lasting))} not well; `docker compose logs` in deploy/compose says why"


async def _require_fresh(settings: Settings, people: Collection[str]) -> None:
    async with open_views(settings) as views:
        known = {row["label"] for row in await views.rows("ingest", LABELS)}
        if known & set(people) or await views.rows("jointcall", COHORT_VIEW, COHORT):
            raise reject(
                code="DEMO_DONE",
                message="the demo was on these containers before",
                where=f"cohort {COHORT}",
                rule="the same people would be top-ups of themselves",
                fix="look at it (`cohortstream status`, the page), or begin anew: make down WIPE=1; make up",
            )


def _require_fitting(config: Path, *, qc_rules: str) -> None:
    wanted = tomllib.loads(EVALUATION.read_text(encoding="utf-8"))
    found = tomllib.loads(config.read_text(encoding="utf-8"))
    for section in FITTING:
        if found.get(section) != wanted[section]:
            raise _unfit(config, f"[{section}] is another one than the demo's")
    if qc_rules != wanted["align"]["qc_rules"]:
        raise _unfit(config, f"this demo's QC rules are {qc_rules!r}")


def _unfit(config: Path, what: str) -> Rejected:
    return reject(
        code="DEMO_SITE",
        message=what,
        where=str(config),
        rule="the demo runs on a site that is set up for its small genome",
        fix=f"take these sections from {EVALUATION}, or run the demo on servers of its own: make demo",
    )


def _down() -> Rejected:
    return reject(
        code="STACK_DOWN",
        message="the containers do not run",
        where="deploy/compose",
        rule="the demo takes a stack that is up",
        fix="make up",
    )
