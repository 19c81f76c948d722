"""`migrate`, `access secrets`, `access apply`: what an administrator does once, and after each upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.invocation import invocation
from console.output import Json

if TYPE_CHECKING:
    from chassis.settings import Settings

PANEL = "Run"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(migrate)
    access = typer.Typer(no_args_is_help=True)
    access.command("secrets")(secrets)
    access.command("apply")(apply)
    app.add_typer(
        access, name="access", help="Accounts of services: secrets and least privilege.", rich_help_panel=PANEL
    )


def migrate(context: typer.Context, as_json: Json = False) -> None:
    """Bring every service's ledger up to date, with the account of ledger.user. Only looks where nothing is lacking."""
    import asyncio

    from console.output import print_json, say
    from console.reach import ledger_reached
    from console.site import migrate_ledgers
    from console.supervisor import SERVICES

    settings = invocation(context).found()
    with ledger_reached(settings):
        asyncio.run(migrate_ledgers(settings, SERVICES))
    if as_json:
        return print_json({"services": SERVICES})
    say(f"the ledgers of {', '.join(SERVICES)} are up to date")


def secrets(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files lie; made when absent.")],
    as_json: Json = False,
) -> None:
    """Make the secret files that are missing, one for each account; nothing is overwritten, no secret is shown."""
    from console.output import print_json, say
    from deploy.access.secretfiles import make, names

    made = make(folder.expanduser().absolute())
    if as_json:
        return print_json({"folder": folder, "made": made, "files": names()})
    say(f"{len(made)} secrets made, {len(names()) - len(made)} there already and kept, in {folder}")


def apply(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option("--secrets", metavar="DIR", help="The folder that `access secrets` made.", exists=True)
    ],
    postgres: Annotated[bool, typer.Option("--postgres", help="Roles and grants of the ledgers.")] = False,
    kafka: Annotated[bool, typer.Option("--kafka", help="Users of Kafka and what each may do.")] = False,
    store: Annotated[bool, typer.Option("--store", help="The bucket, its keys and its policy.")] = False,
    as_json: Json = False,
) -> None:
    """Make the services' accounts and grant each what it needs, and no more; what is no longer granted goes.

    It connects as the accounts that the settings name, which must be the administrator's. Again after every `migrate`,
    and after a secret was replaced.
    """
    from dataclasses import asdict

    from console.output import print_json, say

    if not (postgres or kafka or store):
        raise typer.BadParameter("name at least one of --postgres, --kafka and --store")
    settings = invocation(context).found()
    done: dict[str, Any] = {}
    if postgres:
        done["postgres"] = asdict(_postgres(settings, folder))
    if kafka:
        done["kafka"] = asdict(_kafka(settings, folder))
    if store:
        done["store"] = asdict(_store(settings, folder))
    if as_json:
        return print_json(done)
    for server, applied in done.items():
        accounts = applied["accounts"]
        say(f"{server}: {len(accounts)} accounts" if accounts else f"{server}: it keeps no accounts of its own")
        if applied["strangers"]:
            say(f"{server}: no longer known, and may do nothing now: {', '.join(applied['strangers'])}")


def _postgres(settings: Settings, folder: Path) -> Any:
    import asyncio

    from chassis.service import build
    from console.reach import ledger_reached
    from console.site import builder_of
    from console.supervisor import SERVICES
    from deploy.access import postgres, secretfiles
    from deploy.access.model import LEDGER_ACCOUNTS

    services = {name: build(builder_of(name), settings).migrations for name in SERVICES}
    passwords = secretfiles.read(folder, secretfiles.POSTGRES, LEDGER_ACCOUNTS)
    with ledger_reached(settings):
        return asyncio.run(postgres.apply(dsn=settings.ledger.url(), services=services, passwords=passwords))


def _kafka(settings: Settings, folder: Path) -> Any:
    import asyncio

    from deploy.access import kafka, secretfiles
    from deploy.access.model import ACCOUNTS

    passwords = secretfiles.read(folder, secretfiles.KAFKA, ACCOUNTS)
    return asyncio.run(kafka.apply(settings=settings.kafka, passwords=passwords))


def _store(settings: Settings, folder: Path) -> Any:
    import asyncio

    from deploy.access import secretfiles, store
    from deploy.access.model import ACCOUNTS

    keys = secretfiles.read(folder, secretfiles.STORE, ACCOUNTS)
    return asyncio.run(store.apply(settings=settings, secrets=keys))
