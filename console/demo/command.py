"""`cohortstream demo`: from simulated sequencer runs to a released cohort panel, through the real services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from chassis.settings import Settings
    from console.demo.figures import Figures
    from console.demo.sources import Material

GRACE_S = 30.0
"""For the services to end by themselves."""


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    people: Annotated[int, typer.Option(min=2, max=50, help="People in the first run.")] = 8,
    seed: Annotated[int, typer.Option(help="Another seed, other people.")] = 7,
    depth: Annotated[float, typer.Option(min=5, max=100, help="Mean read depth per person.")] = 28.0,
    data: Annotated[str, typer.Option(help="simulated, or 1kg: three real people.")] = "simulated",
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep everything here: truth, runs, panels, state, logs.")
    ] = None,
    stack: Annotated[
        str, typer.Option(help="embedded: servers of its own; compose: the containers that `make up` started.")
    ] = "embedded",
    engine: Annotated[
        str | None, typer.Option(help="columnar or gatk: what genotypes a freeze; without it the configured one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Watch simulated people go from sequencer run folders to a released, annotated cohort panel, twice.

    Runs real Kafka, Postgres, an S3 server that models Glacier, bwa and GATK on this machine; nothing needs an
    account, and nothing is left running.
    """
    from rich.console import Console

    from chassis.errors import reject
    from console.demo.stage import staged
    from console.output import print_json

    if data not in ("simulated", "1kg"):
        raise reject(
            code="DEMO_DATA",
            message="there is no such demo data",
            where="--data",
            rule="the demo runs on simulated people or on three real ones",
            fix="give --data simulated or --data 1kg",
        )
    if stack not in ("embedded", "compose"):
        raise reject(
            code="DEMO_STACK",
            message="there is no such stack",
            where="--stack",
            rule="the demo runs on servers of its own or on the containers of deploy/compose",
            fix="give --stack embedded or --stack compose",
        )
    if engine not in (None, "columnar", "gatk"):
        raise reject(
            code="ENGINE_UNKNOWN",
            message=f"there is no joint-calling engine {engine} here",
            where="--engine",
            rule="the demo's freezes are genotyped by columnar or by gatk",
            fix="give --engine columnar or --engine gatk",
        )
    console = Console(stderr=as_json, highlight=False)
    with staged(keep=keep) as stage:
        material = _material(stage.folder, data=data, people=people, seed=seed, depth=depth)
        if stack == "compose":
            from console.demo.composed import perform

            figures = perform(console, material, stage.folder, engine=engine)
        else:
            settings = stage.settings(qc_rules=material.qc_rules)
            figures = _perform(console, settings, material, stage.folder, stage.runs, engine=engine)
        stage.summarise(figures)
    if as_json:
        print_json(figures.as_json())
    else:
        from console.demo.shown import show

        show(console, figures, kept=keep is not None)


def _material(folder: Path, *, data: str, people: int, seed: int, depth: float) -> Material:
    from console.demo.sources import one_kg, simulated

    return one_kg() if data == "1kg" else simulated(folder, people=people, seed=seed, depth=depth)


def _perform(
    console: Console, settings: Settings, material: Material, folder: Path, runs: Path, *, engine: str | None
) -> Figures:
    import asyncio
    import contextlib

    from chassis.tools import jars
    from chassis.tools.gatk import PINS
    from console.demo.journey import Journey
    from console.demo.shown import live
    from console.demo.warming import warming
    from console.site import running_site
    from deploy.embedded.progress import drawn

    jars.fetch_with_bar(jars.load(PINS), None, console)
    with contextlib.ExitStack() as leaving:
        if (engine or settings.jointcall.engine) == "columnar":
            leaving.enter_context(warming())
        with drawn(console) as progress:
            running = leaving.enter_context(
                running_site(settings, object_store=True, progress=progress, durable=False, grace_s=GRACE_S)
            )
        console.print("[cyan]→[/] Kafka, Postgres, S3 and six services run, on loopback only", highlight=False)

        def ailing() -> str | None:
            for health in running.services.ailing():
                return f"{health.name} does not stay up; its last words: {health.last_words()}"
            for server in running.ended():
                return f"{server} ended"
            return None

        with live(console) as watch:
            journey = Journey(
                settings=running.settings,
                material=material,
                folder=folder,
                runs=runs,
                watch=watch,
                ailing=ailing,
                engine=engine,
            )
            return asyncio.run(journey.travel())
