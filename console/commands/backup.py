"""`backup` and `restore`: the ledgers, the site secret and the configuration, out and in again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.invocation import Invocation, invocation
from console.output import Json

if TYPE_CHECKING:
    from chassis.settings import Settings
    from console.backup.take import Services

PANEL = "Your site"
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO)


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(backup)
    app.command(rich_help_panel=PANEL)(restore)


def backup(
    context: typer.Context,
    target: Annotated[
        Path | None,
        typer.Argument(metavar="TARGET", help="The folder to make; in one that exists, a fresh folder is made."),
    ] = None,
    without_secret: Annotated[
        bool, typer.Option("--without-secret", help="Leave the site secret out; then keep it elsewhere.")
    ] = False,
    verify: Annotated[
        Path | None, typer.Option("--verify", metavar="FOLDER", help="Take none; say whether this one is whole.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write every ledger, the configuration and the site secret to one folder, while the site runs or when it is down.

    The backup holds the site secret and what the configuration says, passwords too: keep it as you keep these. Objects
    of the store and Kafka's topics are not in it. Take one at least once in the archive's grace period
    (archive.grace_seconds): then nothing is purged that a restore would still need.
    """
    if verify is not None:
        return _verify(verify, as_json)
    import asyncio

    from console.backup.bundle import MANIFEST, exists
    from console.backup.take import name_for, take
    from console.exits import WorkFailed
    from console.output import note, print_json, say, size

    folder = (target or Path()).expanduser().absolute()
    if (folder / MANIFEST).exists():
        raise exists(folder)
    if folder.is_dir():
        folder = folder / name_for()
    asked = invocation(context)
    with _servers(asked) as settings:
        try:
            manifest = asyncio.run(
                take(
                    settings,
                    folder,
                    services=_services(settings),
                    config=asked.path,
                    with_secret=not without_secret,
                    say=_nothing if as_json else note,
                )
            )
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise WorkFailed(f"the backup cannot be written: {error}. Nothing is left of it.") from None
    secret = "site-secret" in manifest.files
    if as_json:
        return print_json(
            {
                "backup": folder,
                "made_at": manifest.made_at,
                "bytes": manifest.size,
                "rows": {name: kept.rows for name, kept in manifest.services.items()},
                "unsettled_events": manifest.log.records,
                "holds_secret": secret,
            }
        )
    say(f"{folder}: {len(manifest.services)} ledgers, {size(manifest.size)}")
    if secret:
        say("It holds the site secret: whoever has it can tell which sample a key stands for. Keep it accordingly.")
    elif not without_secret:
        note("no site secret was found to put into it")


def _verify(folder: Path, as_json: bool) -> None:
    from console.backup.bundle import verified
    from console.output import ago, print_json, say, size

    manifest = verified(folder)
    if as_json:
        return print_json({"backup": folder, "whole": True, **manifest.model_dump(mode="json", exclude={"files"})})
    say(
        f"{folder} is whole: {len(manifest.services)} ledgers, {size(manifest.size)}, "
        f"taken {ago(manifest.made_at)} by {manifest.made_by}"
    )


def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The backup's folder.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="The ledgers hold something: rename them and restore beside them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put the ledgers back to a backup. The site must be down; what runs on the configuration's servers may stay.

    Whatever was done after the backup is done again: commands come again from Kafka, run folders are found again. Newer
    objects stay in the store. The configuration is not touched: the backup's lies in its folder.
    """
    import asyncio
    from dataclasses import asdict

    from chassis.errors import reject
    from chassis.storage import open_store
    from console.backup.bundle import verified
    from console.backup.restore import Restored, put_secret_back
    from console.backup.restore import restore as put_back
    from console.output import ago, note, print_json, say
    from console.runtime import resolved
    from deploy.embedded.stack import read_endpoints

    asked = invocation(context)
    source = source.expanduser().absolute()
    manifest = verified(source)
    settings = resolved(asked.settings())
    if read_endpoints(settings.state_dir) is not None:
        raise reject(
            code="SITE_RUNNING",
            message="the site is up",
            where=str(settings.state_dir),
            rule="no consumer and no worker runs while ledgers are put back",
            fix="stop `cohortstream up`, then restore again",
        )
    secret = put_secret_back(source, manifest, settings.site.secret_file)

    async def run(settings: Settings) -> Restored:
        async with open_store(settings.store) as store:
            return await put_back(
                settings,
                source,
                services=_services(settings),
                store=store,
                replace=replace,
                say=_nothing if as_json else note,
            )

    with _servers(asked) as found:
        done = asyncio.run(run(found))
    if as_json:
        return print_json({"backup": source, "secret_written": secret, **asdict(done)})
    say(f"the ledgers are those of {ago(done.made_at)}, in their life number {done.incarnation}")
    if secret:
        say(f"the site secret was written to {settings.site.secret_file}")
    if done.another_log:
        say(f"this is another Kafka than the backup's: {done.published:,} events were published again")
    elif done.written_since:
        say(f"{done.written_since:,} events were written since: commands are read again, facts are made again")
    if done.purged_since:
        note(
            f"{done.purged_since:,} objects were purged since the backup; what is missed shows in "
            "`cohortstream archive plan` and `status`"
        )
    if done.aside:
        say("What was there before is renamed. When nobody needs it any more:")
        for schema in done.aside:
            say(f"  drop schema {schema} cascade;")
    say("Start the site: `cohortstream up`. Work goes on when its consumers have caught up.")


def _services(settings: Settings) -> Services:
    """Every service that is installed, built."""
    from chassis.service import build
    from console.site import builder_of
    from console.supervisor import installed

    return {name: build(builder_of(name), settings) for name in installed()}


@contextmanager
def _servers(asked: Invocation) -> Iterator[Settings]:
    """The settings with servers that answer: those of the configuration, of the site that is up, or the embedded ones,
    started for this alone. Raises Unreachable."""
    import asyncio

    from console.reach import kafka_reached, ledger_reached
    from console.runtime import names_servers, resolved
    from console.site import running_site
    from deploy.embedded.stack import read_endpoints

    settings = asked.settings()
    if not any(names_servers(settings)) and read_endpoints(resolved(settings).state_dir) is None:
        with running_site(settings, plan=()) as site:
            yield site.settings
        return
    settings = asked.found()
    with ledger_reached(settings), kafka_reached(settings):
        asyncio.run(_answer(settings))
    yield settings


async def _answer(settings: Settings) -> None:
    import asyncpg

    from chassis.messaging.positions import open_log

    conn = await asyncpg.connect(settings.ledger.url())
    await conn.close()
    async with open_log(settings.kafka) as log:
        await log.cluster()


def _nothing(_sentence: str) -> None:
    return None
