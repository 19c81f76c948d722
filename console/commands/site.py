"""`init`, `up`, `doctor`: a site of one's own on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.invocation import DEFAULT_CONFIG, invocation
from console.output import Json

PANEL = "Your site"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(init)
    app.command(rich_help_panel=PANEL)(up)
    app.command(rich_help_panel=PANEL)(doctor)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made when absent.")] = Path(),
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="NAME", help="Name of the reference to align to.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write the configuration anew. The site secret is never replaced.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a commented cohortstream.toml, a site secret and a folder for runs."""
    from chassis.errors import reject
    from console.output import print_json, say
    from console.runtime import make_secret
    from console.template import rendered

    folder = folder.expanduser().absolute()
    config = folder / DEFAULT_CONFIG
    if config.exists() and not force:
        raise reject(
            code="CONFIG_EXISTS",
            message="there is a configuration already",
            where=str(config),
            rule="nothing is overwritten unasked",
            fix="edit that file, or give --force to write it anew",
        )
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    config.write_text(rendered(folder, reference=reference), encoding="utf-8")
    fresh = make_secret(folder / "site-secret")
    if as_json:
        return print_json({"config": config, "secret_made": fresh, "runs": folder / "runs"})
    say(f"{config} is written; every setting is explained in it")
    say(
        f"{folder / 'site-secret'} is {'made' if fresh else 'there already and kept'}: back it up, "
        "sample keys are made with it"
    )
    say("")
    say("Next:")
    there = "" if folder == Path.cwd() else f" --config {config}"
    name = reference or "NAME"
    say(f"  cohortstream reference add {name} genome.fa --gff genes.gff3{there}")
    if reference is None:
        say(f'  set reference = "{name}" in [align] of {DEFAULT_CONFIG}')
    say(f"  cohortstream up{there}")
    say(f"  copy a run folder into {folder / 'runs'}")


def up(context: typer.Context) -> None:
    """Run Kafka, Postgres and all services on this machine, in the foreground, until Ctrl-C.

    Whatever was under way goes on at the next start. A configuration that names kafka.bootstrap and ledger.dsn uses
    those servers and runs the services alone.
    """
    from console.upping import run

    run(invocation(context).settings())


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Look at everything that a site needs, and say how to mend what is missing. Exit code 1 when something is."""
    from dataclasses import asdict

    from console.doctor.checks import examine
    from console.doctor.shown import show
    from console.exits import Exit
    from console.output import print_json

    checks = examine(invocation(context))
    if as_json:
        print_json({"well": all(check.verdict != "bad" for check in checks), "checks": [asdict(c) for c in checks]})
    else:
        show(checks)
    if any(check.verdict == "bad" for check in checks):
        raise typer.Exit(int(Exit.failed))
