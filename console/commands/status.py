"""`status`, `runs`: where everything stands, since when, and what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.invocation import invocation
from console.output import Json

if TYPE_CHECKING:
    from console.snapshot import Snapshot
    from console.standing import Standing
    from console.stuck import Stuck

PANEL = "See"
RESTING = 10


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(status)
    app.command(rich_help_panel=PANEL)(runs)


def status(
    context: typer.Context,
    subject: Annotated[
        str | None, typer.Argument(metavar="[SUBJECT]", help="A run, a sample (label, project/label or key), a freeze.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that rests too, not the latest few.")] = False,
    as_json: Json = False,
) -> None:
    """Where each run, sample and freeze stands, since when, and what it waits for; what is stuck; pools, outbox,
    quarantine, processes."""
    import asyncio

    from chassis.health.report import FOLDER, reports
    from console.output import print_json
    from console.processes import summary
    from console.snapshot import late_outboxes, line_json, named, take
    from console.standing import current
    from console.views import MOST, open_views

    settings = invocation(context).found()

    async def read() -> Snapshot:
        async with open_views(settings) as views:
            return await take(views, subjects=MOST if every or subject else 2000)

    snapshot = asyncio.run(read())
    lines = _of_subject(snapshot, subject) if subject else snapshot.lines
    stuck = tuple(one for one in snapshot.stuck if subject is None or one.subject in {line.subject for line in lines})
    processes = reports(settings.state_dir / FOLDER)
    warnings = late_outboxes(snapshot.outboxes, settings.watch.outbox_seconds)
    shown = lines if every or subject else current(lines, resting=RESTING)
    if as_json:
        return print_json(
            {
                "subjects": [line_json(line, snapshot.labels) for line in lines],
                "pools": [pool.as_dict() for pool in snapshot.pools],
                "outbox": [{"service": o.service, "backlog": o.backlog, "oldest": o.oldest} for o in snapshot.outboxes],
                "quarantine": dict(snapshot.held),
                "stuck": [named(one.as_dict(), snapshot.labels) for one in stuck],
                "processes": [report.as_dict(settings.health.silent_seconds) for report in processes],
                "warnings": warnings,
                "notes": list(snapshot.notes),
            }
        )
    _show(snapshot, shown, stuck, left_out=len(lines) - len(shown), alone=subject is not None)
    if subject is None:
        _show_warnings([*warnings, *summary(processes, settings.health.silent_seconds)])


def runs(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run, with its samples and refusals.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the latest.")] = 30,
    as_json: Json = False,
) -> None:
    """Sequencing runs: where each stands, its samples, what it waits for, what was refused and why."""
    import asyncio

    from chassis.errors import reject
    from console import views as v
    from console.labels import Labels
    from console.output import print_json
    from console.rundown import one_run, run_json, show_run, show_runs

    settings = invocation(context).found()

    async def read() -> Any:
        async with v.open_views(settings) as views:
            labels = Labels(await views.rows("ingest", v.LABELS))
            if run is None:
                return await views.rows("ingest", v.RUNS, limit), labels, views.notes
            return await one_run(views, run), labels, views.notes

    found, labels, notes = asyncio.run(read())
    if run is None:
        return print_json({"runs": found, "notes": notes}) if as_json else show_runs(found, notes)
    if found is None:
        raise reject(
            code="RUN_UNKNOWN",
            message="no run of this name was seen",
            where=run,
            rule="a run is named by its folder, and its folder lies in one of [ingest] roots",
            fix="`cohortstream runs` shows them all",
        )
    return print_json(run_json(found, labels)) if as_json else show_run(found, labels)


def _of_subject(snapshot: Snapshot, subject: str) -> tuple[Standing, ...]:
    """The subject's own line and those of what belongs to it (a run's samples, a cohort's freezes)."""
    named = {line.subject for line in snapshot.lines} | {line.belongs_to for line in snapshot.lines}
    target = subject if subject in named else snapshot.labels.resolve(subject)
    return tuple(line for line in snapshot.lines if target in (line.subject, line.belongs_to))


def _show_warnings(sentences: list[str]) -> None:
    from console.output import console

    for sentence in sentences:
        console().print(sentence, style="yellow", markup=False, soft_wrap=True)


def _show(
    snapshot: Snapshot, lines: tuple[Standing, ...], stuck: tuple[Stuck, ...], *, left_out: int, alone: bool
) -> None:
    from console.output import age, ago, console, note, say, span, state, table
    from console.stuck import stuck_table

    screen = console()
    for kind in dict.fromkeys(line.kind for line in lines):
        rows = [
            (snapshot.labels.shown(line.subject), state(line.state), ago(line.since), line.waits_for or "")
            for line in lines
            if line.kind == kind
        ]
        screen.print(table((_plural(kind), "state", "#since", "waits for"), rows))
        screen.print()
    if not lines:
        say("nothing has arrived yet: copy a run folder into one of [ingest] roots\n")
    if left_out:
        say(f"{left_out} more at rest (--all shows them)\n")
    if stuck:
        screen.print(stuck_table(stuck, snapshot.labels))
        screen.print()
    if alone:
        return
    if snapshot.pools:
        work = [
            (
                pool.service,
                pool.pool,
                *(str(n) for n in (pool.queued, pool.running, pool.done, pool.failed)),
                age(pool.oldest),
                span(pool.seconds),
            )
            for pool in snapshot.pools
        ]
        columns = ("service", "pool", "#queued", "#running", "#done", "#failed", "#oldest waits", "#work done")
        screen.print(table(columns, work))
        screen.print()
    behind = [f"{o.service} {o.backlog} (oldest {age(o.oldest)})" for o in snapshot.outboxes if o.backlog]
    say(f"outbox: {', '.join(behind)} not in Kafka yet" if behind else "outbox: every event is in Kafka")
    held = ", ".join(f"{service} {count}" for service, count in snapshot.held.items())
    say(f"quarantine: {held} held; see `cohortstream quarantine list`" if held else "quarantine: empty")
    for remark in snapshot.notes:
        note(remark)


def _plural(kind: str) -> str:
    return f"{kind}s"
