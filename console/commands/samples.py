"""`samples list|show|hold|pass|tag|withdraw`: people's samples, and people's word on them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from console.invocation import invocation
from console.output import Json

PANEL = "See"
Sample = Annotated[str, typer.Argument(metavar="SAMPLE", help="Its label, project/label, or key.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in words; it is kept with your name.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("hold")(hold)
    group.command("pass")(pass_)
    group.command("tag")(tag)
    group.command("withdraw")(withdraw)
    about = "Samples: see them, hold, pass, tag or withdraw them."
    app.add_typer(group, name="samples", help=about, rich_help_panel=PANEL)


def list_(
    context: typer.Context,
    tag: Annotated[str | None, typer.Option("--tag", metavar="T", help="Only those with this tag.")] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="V", help="Only those whose verdict is pass, fail or hold.")
    ] = None,
    project: Annotated[str | None, typer.Option("--project", metavar="P", help="Only those of this project.")] = None,
    as_json: Json = False,
) -> None:
    """All samples: where each stands, its QC verdict and who overrode it, its tags."""
    import asyncio

    from console.output import print_json
    from console.sampling import all_samples, show_samples
    from console.views import open_views

    settings = invocation(context).found()

    async def read() -> tuple[list[dict[str, Any]], list[str]]:
        async with open_views(settings) as views:
            return await all_samples(views), views.notes

    rows, notes = asyncio.run(read())
    rows = [
        row
        for row in rows
        if (tag is None or tag in row["tags"])
        and (verdict is None or row["effective"] == verdict)
        and (project is None or row["project"] == project)
    ]
    if as_json:
        return print_json({"samples": rows, "notes": notes})
    show_samples(rows, notes)


def show(context: typer.Context, sample: Sample, as_json: Json = False) -> None:
    """One sample whole: its versions with their figures, its verdict and reasons, its tasks, what was refused."""
    import asyncio

    from console.output import print_json
    from console.sampling import one_sample, show_sample
    from console.views import open_views

    settings = invocation(context).found()

    async def read() -> dict[str, Any]:
        async with open_views(settings) as views:
            return await one_sample(views, sample)

    found = asyncio.run(read())
    return print_json(found) if as_json else show_sample(found)


def hold(context: typer.Context, sample: Sample, reason: Reason, as_json: Json = False) -> None:
    """Keep a sample out of every later freeze, whatever its QC verdict."""
    _verdict(context, sample, "hold", reason, as_json)


def pass_(context: typer.Context, sample: Sample, reason: Reason, as_json: Json = False) -> None:
    """Let a sample into later freezes, whatever its QC verdict."""
    _verdict(context, sample, "pass", reason, as_json)


def tag(
    context: typer.Context,
    tag: Annotated[str, typer.Argument(metavar="TAG")],
    samples: Annotated[list[str], typer.Argument(metavar="SAMPLE...", help="Labels, project/labels, or keys.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag away.")] = False,
    as_json: Json = False,
) -> None:
    """Tag samples, so that `cohort freeze NAME --tag TAG` selects them."""
    import asyncio

    from console.asking import ask
    from console.commands_out import command
    from contracts.events import SampleTagRequested

    settings = invocation(context).found()

    async def run() -> None:
        keys = await _keys(settings, samples)
        commands = [command(SampleTagRequested, sample=key, tag=tag, present=not remove) for key in keys]
        many = f"{len(keys)} samples are" if len(keys) > 1 else f"{samples[0]} is"
        done = f"{many} {'no longer ' if remove else ''}tagged {tag}"
        await ask(settings, commands, service="jointcall", done=done, as_json=as_json)

    asyncio.run(run())


def withdraw(
    context: typer.Context,
    sample: Sample,
    deadline: Annotated[
        datetime,
        typer.Option("--deadline", metavar="DATE", formats=["%Y-%m-%d"], help="When all of it is gone, by UTC."),
    ],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Consent is withdrawn: its work ends, it joins no later freeze, its own files are purged. This is for good."""
    import asyncio

    from chassis.errors import reject
    from console import views as v
    from console.asking import outcome
    from console.commands_out import command, noted, publish
    from console.output import print_json, say
    from console.supervisor import SERVICES
    from contracts.events import SampleWithdrawalRequested

    settings = invocation(context).found()
    if deadline.date() < datetime.now(UTC).date():
        raise reject(
            code="DEADLINE_PAST",
            message=f"{deadline.date()} is over",
            where="--deadline",
            rule="a deadline is today or later, UTC",
            fix="name the day by which everything must be gone",
        )

    async def run() -> None:
        (key,) = await _keys(settings, [sample])
        asked = command(SampleWithdrawalRequested, sample=key, deadline=deadline.date(), reason=reason)
        await publish(settings, asked)
        async with v.open_views(settings) as views:
            heard = await asyncio.gather(*(noted(views, service, asked) for service in SERVICES))
            found = await views.one("archive", v.WITHDRAWAL, key)
        silent = [service for service, heard_it in zip(SERVICES, heard, strict=True) if not heard_it]
        panels = list(found["panels"]) if found else []
        if as_json:
            return print_json(outcome([asked], not silent) | {"not_noted_by": silent, "panels": panels})
        say(f"{sample} is withdrawn: it joins no later freeze; its own files are purged by {deadline.date()}")
        if panels:
            say(f"{', '.join(panels)} hold it: make them again without it by then; no panel is purged by itself")
        if silent:
            say(f"not noted yet by {', '.join(silent)}: is the site up? Nothing is lost.")

    asyncio.run(run())


def _verdict(context: typer.Context, sample: str, verdict: Literal["hold", "pass"], reason: str, as_json: bool) -> None:
    import asyncio

    from console.asking import ask
    from console.decisions import verdict as deciding

    settings = invocation(context).found()

    async def run() -> None:
        (key,) = await _keys(settings, [sample])
        asked = deciding(key, word=verdict, reason=reason)
        word = "held: it joins no freeze until someone passes it" if verdict == "hold" else "passed"
        await ask(settings, [asked.command], service="jointcall", done=f"{sample} is {word}", as_json=as_json)

    asyncio.run(run())


async def _keys(settings: Any, samples: list[str]) -> list[str]:
    from console.labels import Labels
    from console.views import LABELS, open_views

    async with open_views(settings) as views:
        labels = Labels(await views.rows("ingest", LABELS))
    return list(dict.fromkeys(labels.resolve(sample) for sample in samples))
