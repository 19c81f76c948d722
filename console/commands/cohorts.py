"""`cohort create|freeze|list|show` and `panel show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.invocation import invocation
from console.output import Json

if TYPE_CHECKING:
    from chassis.settings import Settings
    from contracts.events import CohortFreezeRequested, Selection

PANEL = "Cohorts"
MOST_NAMED = 1000
"""Samples that one command names; more are selected by a tag."""
Cohort = Annotated[str, typer.Argument(metavar="NAME", help="The cohort's name.")]
Which = Annotated[str, typer.Argument(metavar="NAME[:N]", help="A cohort (its latest freeze), or one of its freezes.")]


def register(app: typer.Typer) -> None:
    cohort = typer.Typer(no_args_is_help=True)
    cohort.command("create")(create)
    cohort.command("freeze")(freeze)
    cohort.command("list")(list_)
    cohort.command("show")(show)
    app.add_typer(cohort, name="cohort", help="Cohorts: freeze one, see how it goes.", rich_help_panel=PANEL)
    panel = typer.Typer(no_args_is_help=True)
    panel.command("show")(show_panel)
    app.add_typer(panel, name="panel", help="Released panels: figures, filters, files.", rich_help_panel=PANEL)


def create(context: typer.Context, name: Cohort, as_json: Json = False) -> None:
    """Check a name for a new cohort and who could join it now. Nothing is written: its first freeze makes it."""
    import asyncio

    from chassis.errors import reject
    from console import views as v
    from console.commands_out import command
    from console.output import print_json, say
    from contracts.events import CohortFreezeRequested, Selection

    command(CohortFreezeRequested, cohort=name, selection=Selection(how="all"))
    settings = invocation(context).found()

    async def read() -> tuple[bool, int, int]:
        async with v.open_views(settings) as views:
            samples = await views.rows("jointcall", v.SAMPLES)
            may_join = sum((row["override"] or row["verdict"]) == "pass" for row in samples)
            return await views.one("jointcall", v.COHORT, name) is not None, may_join, len(samples)

    there, may_join, called = asyncio.run(read())
    if there:
        raise reject(
            code="COHORT_EXISTS",
            message="there is a cohort of this name",
            where=name,
            rule="a cohort is made once; each freeze after that is numbered",
            fix=f"`cohortstream cohort freeze {name} --all` freezes it again, or choose another name",
        )
    if as_json:
        return print_json({"cohort": name, "free": True, "may_join": may_join, "called": called})
    say(f"{name} is free. {may_join} of {called} called samples may join a cohort now.")
    say(f"Its first freeze makes it: cohortstream cohort freeze {name} --all --wait")


def freeze(
    context: typer.Context,
    name: Cohort,
    every: Annotated[bool, typer.Option("--all", help="Everyone whose verdict is pass.")] = False,
    sample: Annotated[
        list[str] | None, typer.Option("--sample", metavar="S", help="A label, project/label or key; may be repeated.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="T", help="Everyone with this tag.")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="E", help="columnar or gatk; without it the configured one.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in words.")] = "requested",
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until its panel is released.")] = False,
    as_json: Json = False,
) -> None:
    """Fix who takes part, now, and call, filter, annotate and release a panel of them.

    What arrives later belongs to the next freeze. With --wait the exit code is 1 when the freeze fails.
    """
    import asyncio

    if sum((every, bool(sample), tag is not None)) != 1:
        raise typer.BadParameter("say who takes part: one of --all, --sample S [--sample S ...] or --tag T")
    if sample and len(sample) > MOST_NAMED:
        raise typer.BadParameter(f"at most {MOST_NAMED} --sample; tag them and use --tag")
    settings = invocation(context).found()
    engine = engine or settings.jointcall.engine
    asyncio.run(_freeze(settings, name, sample or [], tag, engine=engine, reason=reason, wait=wait, as_json=as_json))


async def _freeze(
    settings: Settings,
    name: str,
    samples: list[str],
    tag: str | None,
    *,
    engine: str,
    reason: str,
    wait: bool,
    as_json: bool,
) -> None:
    from console import views as v
    from console.asking import outcome
    from console.commands_out import command, noted, publish
    from console.exits import WorkFailed
    from console.following import follow, freeze_now
    from console.output import note, print_json, say
    from contracts.events import CohortFreezeRequested

    async with v.open_views(settings) as views:
        selection = await _selection(views, samples, tag)
        asked = command(CohortFreezeRequested, cohort=name, selection=selection, engine=engine, reason=reason)
        await publish(settings, asked)
        heard = await noted(views, "jointcall", asked)
        if not heard and not wait:
            if as_json:
                return print_json(outcome([asked], heard))
            return say("asked, but jointcall has not noted it yet: is the site up? Nothing is lost.")
        if not heard:
            note("jointcall has not noted it yet: is the site up? Waiting; nothing is lost.")
        freeze = await _met(views, asked)
        if wait:
            with _drawn(freeze, quiet=as_json) as tell:
                now = await follow(views, freeze, tell)
        else:
            found = await freeze_now(views, freeze)
            assert found is not None
            now = found
        if now.error is not None:
            if as_json:
                print_json(now.as_dict())
            raise WorkFailed(now.error)
        if as_json:
            return print_json(now.as_dict())
        if now.panel is not None:
            say(f"{freeze} is released")
            return await _print_panel(settings, now.panel, as_json=False)
        say(f"{freeze}: {now.row['samples']} samples, {now.words}")
        say(f"follow it: cohortstream cohort show {freeze}; cohortstream status {freeze}")


async def _met(views: Any, asked: CohortFreezeRequested) -> str:
    import asyncio

    from console.following import LOOK_S, freeze_of

    while (freeze := await freeze_of(views, asked)) is None:  # noqa: ASYNC110  a row in a database has no event
        await asyncio.sleep(LOOK_S)
    return freeze


async def _selection(views: Any, samples: list[str], tag: str | None) -> Selection:
    from console.labels import Labels
    from console.views import LABELS
    from contracts.events import Selection

    if tag is not None:
        return Selection(how="tag", tag=tag)
    if samples:
        labels = Labels(await views.rows("ingest", LABELS))
        return Selection(how="list", samples=tuple(dict.fromkeys(labels.resolve(sample) for sample in samples)))
    return Selection(how="all")


def list_(context: typer.Context, as_json: Json = False) -> None:
    """Cohorts with their latest freeze."""
    import asyncio

    from console import views as v
    from console.output import ago, console, print_json, say, state, table

    settings = invocation(context).found()

    async def read() -> list[dict[str, Any]]:
        async with v.open_views(settings) as views:
            found = []
            for row in await views.rows("jointcall", v.COHORTS):
                freezes = await views.rows("jointcall", v.FREEZES, row["cohort"])
                found.append({**row, "latest": freezes[-1] if freezes else None})
            return found

    cohorts = asyncio.run(read())
    if as_json:
        return print_json(cohorts)
    if not cohorts:
        return say("no cohort yet; `cohortstream cohort freeze NAME --all` makes one")
    rows = []
    for row in cohorts:
        latest = row["latest"] or {"freeze": "", "state": "", "since": None, "samples": ""}
        rows.append(
            (
                row["cohort"],
                str(row["freezes"]),
                latest["freeze"],
                state(latest["state"]),
                ago(latest["since"]),
                str(latest["samples"]),
            )
        )
    console().print(table(("cohort", "#freezes", "latest", "state", "#since", "#samples"), rows))


def show(
    context: typer.Context,
    which: Which,
    intervals: Annotated[bool, typer.Option("--intervals", help="Each interval of the freeze.")] = False,
    as_json: Json = False,
) -> None:
    """A cohort's freezes, or one freeze: where it stands, what it waits for, its intervals."""
    import asyncio

    from console.cohorting import read_cohort, show_cohort
    from console.output import print_json
    from console.views import open_views

    settings = invocation(context).found()

    async def read() -> dict[str, Any]:
        async with open_views(settings) as views:
            return await read_cohort(views, which, intervals=intervals)

    found = asyncio.run(read())
    return print_json(found) if as_json else show_cohort(found)


def show_panel(context: typer.Context, which: Which, as_json: Json = False) -> None:
    """A released panel: its figures, how it was filtered and why so, its files, and a query to start with."""
    import asyncio

    from console.cohorting import panel_row
    from console.views import open_views

    settings = invocation(context).found()

    async def run() -> None:
        async with open_views(settings) as views:
            row = await panel_row(views, which)
        await _print_panel(settings, row, as_json=as_json)

    asyncio.run(run())


async def _print_panel(settings: Settings, row: Any, *, as_json: bool) -> None:
    from console.output import print_json
    from console.panels import panel_json, read_files, show_panel

    files = await read_files(settings, row)
    if as_json:
        return print_json(panel_json(row, files))
    show_panel(row, files)


def _drawn(freeze: str, *, quiet: bool) -> Any:
    from console.cohorting import drawn

    return drawn(freeze, quiet=quiet)
