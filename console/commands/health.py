"""`health`: whether the processes of this state folder are live and ready; what an exec probe runs."""

from __future__ import annotations

from typing import Annotated

import typer

from console.invocation import invocation
from console.output import Json

PANEL = "See"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(health)


def health(
    context: typer.Context,
    service: Annotated[str | None, typer.Option("--service", metavar="S", help="Of this service alone.")] = None,
    role: Annotated[str | None, typer.Option("--role", metavar="R", help="`consume` or `work`.")] = None,
    ready: Annotated[bool, typer.Option("--ready", help="End with 1 unless all are ready too.")] = False,
    as_json: Json = False,
) -> None:
    """Whether processes are live and ready, and why not. Ends with 1 unless there is one and all are live."""
    from chassis.health.report import FOLDER, reports
    from console.output import console, print_json, say
    from console.processes import processes_table

    settings = invocation(context).settings()
    silent_s = settings.health.silent_seconds
    found = [
        one
        for one in reports(settings.state_dir.expanduser() / FOLDER)
        if service in (None, one.identity.service) and role in (None, one.identity.role)
    ]
    if as_json:
        print_json({"processes": [one.as_dict(silent_s) for one in found]})
    elif found:
        console().print(processes_table(found, silent_s))
    else:
        say("no such process has this state folder")
    well = bool(found) and all(one.live_within(silent_s) and (one.ready or not ready) for one in found)
    if not well:
        raise typer.Exit(1)
