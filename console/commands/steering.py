"""`cancel` and `quarantine list|show|replay|discard`: people's word on work and on events that were refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from console.invocation import invocation
from console.output import Json

PANEL = "Steer"
Item = Annotated[str, typer.Argument(metavar="SERVICE/ID", help="As `quarantine list` names it, e.g. align/3.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in words; it is kept with your name.")]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(cancel)
    app.command(rich_help_panel=PANEL)(revive)
    group = typer.Typer(no_args_is_help=True)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("replay")(replay)
    group.command("discard")(discard)
    app.add_typer(group, name="quarantine", help="Events that could not be acted on.", rich_help_panel=PANEL)


def cancel(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="A run, a sample (label, project/label, key), a freeze.")
    ],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Cancel the work of a run, a sample or a freeze that has not ended, in every service. What is done stays."""
    import asyncio

    from console import views as v
    from console.asking import outcome
    from console.commands_out import noted, publish
    from console.decisions import cancelling
    from console.labels import Labels
    from console.output import print_json, say

    settings = invocation(context).found()

    async def run() -> None:
        async with v.open_views(settings) as views:
            known = await views.everywhere(v.SUBJECT, subject)
            target = subject
            if not any(known.values()):
                target = Labels(await views.rows("ingest", v.LABELS)).resolve(subject)
            asked = await cancelling(views, target, reason=reason)
            await publish(settings, asked.command)
            heard = [service for service in asked.services if await noted(views, service, asked.command)]
            tasks = {service: await views.rows(service, v.TASKS_OF, target, v.MOST) for service in asked.services}
        cancelled = sum(task["state"] == "cancelled" for rows in tasks.values() for task in rows)
        silent = [service for service in asked.services if service not in heard]
        if as_json:
            return print_json(outcome([asked.command], not silent) | {"cancelled_tasks": cancelled})
        say(
            f"{subject} is cancelled in {', '.join(heard) or 'no service: it has no tasks'}; {cancelled} tasks ended so"
        )
        if silent:
            say(f"{', '.join(silent)} has not noted it yet: is the site up? Nothing is lost.")

    asyncio.run(run())


def revive(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="A run or a sample (label, project/label, key).")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What was mended; kept with your name.")],
    as_json: Json = False,
) -> None:
    """Try the dead tasks of a run or a sample again, from their last finished chunks. A failed freeze is asked anew."""
    import asyncio

    from console import views as v
    from console.asking import outcome
    from console.commands_out import noted, publish
    from console.decisions import dead_tasks, reviving
    from console.labels import Labels
    from console.output import print_json, say

    settings = invocation(context).found()

    async def run() -> None:
        async with v.open_views(settings) as views:
            target = subject
            if not any((await views.everywhere(v.SUBJECT, subject)).values()):
                target = Labels(await views.rows("ingest", v.LABELS)).resolve(subject)
            asked = await reviving(views, target, reason=reason)
            dead = await dead_tasks(views, target)
            await publish(settings, asked.command)
            heard = [service for service in asked.services if await noted(views, service, asked.command)]
        if as_json:
            return print_json(outcome([asked.command], heard == list(asked.services)) | {"services": heard})
        many = sum(map(len, dead.values()))
        say(f"{subject}: {many} dead tasks are tried again in {', '.join(heard) or 'none yet'}")

    asyncio.run(run())


def list_(
    context: typer.Context,
    service: Annotated[str | None, typer.Option("--service", metavar="S", help="Only this service's.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Events that services refused or could not read, each with its reason."""
    import asyncio

    from console import views as v
    from console.output import age, console, note, print_json, say, state, table
    from console.site import builder_of
    from console.supervisor import SERVICES

    if service is not None:
        builder_of(service)
    settings = invocation(context).found()

    async def read() -> tuple[list[dict[str, Any]], list[str]]:
        states = ["held", "replayed", "discarded"] if every else ["held"]
        async with v.open_views(settings) as views:
            services = [service] if service is not None else SERVICES
            rows = await views.everywhere(v.QUARANTINE, states, 500, services=services)
            found = [{"item": f"{name}/{row['id']}", **row} for name, of in rows.items() for row in of]
            return found, views.notes

    items, notes = asyncio.run(read())
    if as_json:
        return print_json({"items": items, "notes": notes})
    if not items:
        say("the quarantine is empty")
    else:
        rows = [
            (
                item["item"],
                item["code"],
                item["rejection"]["message"],
                f"{item['topic']}[{item['partition']}]@{item['offset']}",
                age(item["received_at"]),
                state(item["state"]),
            )
            for item in items
        ]
        console().print(table(("item", "code", "why", "event at", "#age", "state"), rows))
    for remark in notes:
        note(remark)


def show(context: typer.Context, item: Item, as_json: Json = False) -> None:
    """One item whole: its reason, rule and fix. Its payload is not shown."""
    import asyncio

    from console import views as v
    from console.decisions import unknown_item
    from console.output import ago, print_json, say

    settings = invocation(context).found()
    service, number = _parsed(item)

    async def read() -> v.Row | None:
        async with v.open_views(settings) as views:
            return await views.one(service, v.QUARANTINED, number)

    row = asyncio.run(read())
    if row is None:
        raise unknown_item(item)
    if as_json:
        return print_json({"item": item, **row})
    fault = row["rejection"]
    event = f"{row['topic']}[{row['partition']}]@{row['offset']}"
    say(f"{item} is {row['state']}; it came {ago(row['received_at'])} as {event}")
    say(f"{fault['code']}: {fault['message']} [{fault['where']}]. Rule: {fault['rule']}. To mend it: {fault['fix']}.")
    if row["decided_by"]:
        say(f"{row['state']} by {row['decided_by']} {ago(row['decided_at'])}: {row['decision_reason']}")


def replay(context: typer.Context, item: Item, reason: Reason, as_json: Json = False) -> None:
    """Act on it again, after the cause is mended. Failing again, it stays with the new reason."""
    _decide(context, item, "replay", reason, as_json)


def discard(context: typer.Context, item: Item, reason: Reason, as_json: Json = False) -> None:
    """Throw it away: it will never be acted on."""
    _decide(context, item, "discard", reason, as_json)


def _decide(
    context: typer.Context, item: str, decision: Literal["replay", "discard"], reason: str, as_json: bool
) -> None:
    import asyncio

    from console import views as v
    from console.asking import ask
    from console.decisions import deciding

    settings = invocation(context).found()
    service, number = _parsed(item)

    async def run() -> None:
        async with v.open_views(settings) as views:
            asked = await deciding(views, service, number, decision=decision, reason=reason)
        word = "discarded" if decision == "discard" else "to be replayed; `quarantine show` tells how it went"
        await ask(settings, [asked.command], service=service, done=f"{item} is {word}", as_json=as_json)

    asyncio.run(run())


def _parsed(item: str) -> tuple[str, int]:
    from console.supervisor import SERVICES

    service, _, number = item.partition("/")
    if service not in SERVICES or not number.isdecimal():
        raise typer.BadParameter(f"{item} is no item; items are named SERVICE/ID, e.g. align/3")
    return service, int(number)
