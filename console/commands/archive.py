"""`archive plan|tiering|inventory|storage|holds|restore|hold|release`: what is kept, where, at what price, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.invocation import invocation
from console.output import Json

if TYPE_CHECKING:
    from chassis.settings import Settings
    from console.views import Row, Views

PANEL = "Steer"
ROWS = 40
STATES = ("due", "condemned", "waits")
Artifact = Annotated[
    str, typer.Argument(metavar="ARTIFACT", help="Its SHA-256, the beginning of it (8 digits or more), or its URI.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in words; it is kept with your name.")]
Some = Annotated[bool, typer.Option("--all", help=f"Every line, not the first {ROWS}.")]
_START = re.compile(r"[0-9a-f]{8,64}")


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("plan")(plan)
    group.command("tiering")(tiering)
    group.command("inventory")(inventory)
    group.command("storage")(storage)
    group.command("holds")(holds)
    group.command("restore")(restore)
    group.command("hold")(hold)
    group.command("release")(release)
    app.add_typer(
        group, name="archive", help="Storage: what moves, what is kept, what it costs.", rich_help_panel=PANEL
    )


def tiering(context: typer.Context, as_json: Json = False) -> None:
    """How objects go cold here: by the store's classes, as copies, or not at all; as the archive found out."""
    from console import views as v
    from console.output import ago, print_json, say

    rows = _rows(context, v.TIERING, as_json=as_json)
    if as_json:
        return print_json(rows)
    if not rows:
        return say("the archive has not tried its stores yet: is its consumer running?")
    say(f"{rows[0]['backend']}: {rows[0]['said']} (found {ago(rows[0]['decided_at'])})")


def plan(context: typer.Context, every: Some = False, as_json: Json = False) -> None:
    """What the policies would move or purge, and for each artifact why not yet."""
    from console import views as v
    from console.output import console, print_json, say, size, state, table

    rows = _rows(context, v.PLAN, as_json=as_json)
    if as_json:
        return print_json(rows)
    if not rows:
        return say("no policy means any artifact now")
    rows = sorted(rows, key=_urgency)
    shown = [
        (
            row["artifact"][:12],
            row["kind"],
            size(row["size"] or 0),
            row["action"],
            state(row["state"]),
            f"{row['policy']}: {'; '.join(row['why_not']) or row['note'] or 'all its guards hold'}",
        )
        for row in (rows if every else rows[:ROWS])
    ]
    console().print(
        table(("!artifact", "!kind", "#size", "!would", "!state", "by which policy, and why not yet"), shown)
    )
    due = [row for row in rows if row["state"] == "due"]
    saved = sum(row["saves_monthly"] or 0 for row in due)
    left = "" if every or len(rows) <= ROWS else f"; {len(rows) - ROWS} lines more (--all)"
    say(f"{len(due)} due now, {len(rows) - len(due)} not{left}. Done, they would save ${saved:.2f} a month.")
    for how in _rows(context, v.TIERING, as_json=as_json):
        say(f"{how['backend']}: {how['said']}")


def inventory(
    context: typer.Context,
    objects: Annotated[bool, typer.Option("--objects", help="Each object, not the sums.")] = False,
    as_json: Json = False,
) -> None:
    """What lies in the store and no event names: orphans, workspaces, unfinished uploads; sized and priced."""
    from console import views as v
    from console.output import age, ago, console, print_json, say, size, table

    rows = _rows(context, v.INVENTORY_OBJECTS if objects else v.INVENTORY, as_json=as_json)
    if as_json:
        return print_json(rows)
    if not rows:
        return say("nothing was found that no event names, or no inventory was taken yet")
    if objects:
        each = [
            (row["what"], row["kind"] or "", size(row["size"] or 0), age(row["modified"]), row["uri"]) for row in rows
        ]
        return console().print(table(("what", "kind", "#size", "#age", "uri"), each))
    shown = [
        (
            row["what"],
            row["kind"] or "",
            row["tier"],
            f"{row['objects']:,}",
            size(row["bytes"]),
            _dollars(row["monthly"]),
        )
        for row in rows
    ]
    console().print(table(("what", "kind", "lies in", "#objects", "#size", "#a month"), shown))
    say(f"taken {ago(rows[0]['taken_at'])}")


def storage(context: typer.Context, as_json: Json = False) -> None:
    """What is stored by kind and storage class, and what it costs a month."""
    from console import views as v
    from console.output import console, print_json, say, size, table

    rows = _rows(context, v.STORAGE, as_json=as_json)
    if as_json:
        return print_json(rows)
    if not rows:
        return say("the archive has recorded no artifact yet")
    rows = sorted(rows, key=lambda row: -row["bytes"])
    shown = [
        (row["kind"], row["tier"], f"{row['objects']:,}", size(row["bytes"]), _dollars(row["monthly"])) for row in rows
    ]
    objects, total = (sum(row[what] for row in rows) for what in ("objects", "bytes"))
    shown.append(("all", "", f"{objects:,}", size(total), _dollars(sum(row["monthly"] or 0 for row in rows))))
    console().print(table(("kind", "lies in", "#objects", "#size", "#a month"), shown))


def holds(context: typer.Context, as_json: Json = False) -> None:
    """Holds that keep artifacts from being moved or purged."""
    from console import views as v
    from console.output import ago, console, print_json, say, table

    rows = [row for row in _rows(context, v.HOLDS, as_json=as_json) if row["released_at"] is None]
    if as_json:
        return print_json(rows)
    if not rows:
        return say("nothing is held")
    shown = [(row["artifact"][:12], row["actor"], ago(row["placed_at"]), row["reason"]) for row in rows]
    console().print(table(("!artifact", "by", "#since", "reason"), shown))


def restore(
    context: typer.Context,
    artifact: Artifact,
    reason: Reason,
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="How long it should stay readable.")] = 7,
    as_json: Json = False,
) -> None:
    """Ask for an artifact back from its cold storage class."""
    from contracts.events import ArtifactRestoreRequested

    _ask(context, artifact, ArtifactRestoreRequested, "asked for", as_json, reason=reason, days=days)


def hold(context: typer.Context, artifact: Artifact, reason: Reason, as_json: Json = False) -> None:
    """Keep an artifact: neither purged nor moved until you release it."""
    from contracts.events import ArtifactHoldRequested

    _ask(context, artifact, ArtifactHoldRequested, "held", as_json, reason=reason)


def release(context: typer.Context, artifact: Artifact, reason: Reason, as_json: Json = False) -> None:
    """Lift the hold that you placed on an artifact."""
    from contracts.events import ArtifactHoldReleased

    _ask(context, artifact, ArtifactHoldReleased, "released", as_json, reason=reason)


def _rows(context: typer.Context, query: str, *, as_json: bool) -> list[Row]:
    import asyncio

    from console.output import note
    from console.views import open_views

    settings = invocation(context).found()

    async def read() -> tuple[list[Row], list[str]]:
        async with open_views(settings) as views:
            return await views.rows("archive", query), views.notes

    rows, notes = asyncio.run(read())
    for remark in notes:
        note(remark)
    return rows


def _ask(context: typer.Context, artifact: str, model: Any, done: str, as_json: bool, **fields: Any) -> None:
    import asyncio

    from console.asking import ask
    from console.commands_out import command

    settings = invocation(context).found()

    async def run() -> None:
        found = await _artifact(settings, artifact)
        asked = command(model, artifact=found, **fields)
        await ask(settings, [asked], service="archive", done=f"{found[:12]} is {done}", as_json=as_json)

    asyncio.run(run())


async def _artifact(settings: Settings, named: str) -> str:
    """The SHA-256 of the artifact meant. Raises Rejected (ARTIFACT_UNKNOWN, ARTIFACT_AMBIGUOUS)."""
    from chassis.errors import reject
    from console import views as v

    async with v.open_views(settings) as views:
        found = await _ids(views, named)
    if len(found) == 1:
        return found[0]
    if len(named) == 64 and _START.fullmatch(named):
        return named
    raise reject(
        code="ARTIFACT_AMBIGUOUS" if found else "ARTIFACT_UNKNOWN",
        message=f"{len(found) or 'no'} artifacts are meant by it",
        where=named,
        rule="an artifact is named by its SHA-256, at least 8 digits of its beginning, or its URI",
        fix="give more digits" if found else "`cohortstream archive plan` and `panel show --json` name artifacts",
    )


async def _ids(views: Views, named: str) -> list[str]:
    from console import views as v

    if "://" in named:
        rows = await views.rows("archive", v.ARTIFACT_BY_URI, named)
    elif _START.fullmatch(named):
        rows = await views.rows("archive", v.ARTIFACT_BY_START, named)
    else:
        rows = []
    return [row["artifact"] for row in rows]


def _urgency(row: Row) -> tuple[int, int]:
    place = STATES.index(row["state"]) if row["state"] in STATES else len(STATES)
    return place, -(row["size"] or 0)


def _dollars(amount: float | None) -> str:
    return "" if amount is None else f"${amount:,.2f}"
