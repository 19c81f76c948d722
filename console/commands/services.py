"""`consume`, `work`, `topics apply`: the processes of a service, and Kafka's topics."""

from __future__ import annotations

from typing import Annotated

import typer

from console.invocation import invocation
from console.output import Json

PANEL = "Run"
ServiceName = Annotated[
    str, typer.Argument(metavar="SERVICE", help="ingest, align, jointcall, vqsr, annotate or archive.")
]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(consume)
    app.command(rich_help_panel=PANEL)(work)
    topics = typer.Typer(no_args_is_help=True)
    topics.command("apply")(apply)
    app.add_typer(topics, name="topics", help="Make Kafka's topics what is declared.", rich_help_panel=PANEL)


def consume(context: typer.Context, service: ServiceName) -> None:
    """Turn a service's events into tasks until SIGTERM or Ctrl-C; logs go to stderr as JSON lines."""
    from console.site import builder_of

    builder = builder_of(service)
    _die_when_told()
    import asyncio

    from chassis.run import consume as run

    asyncio.run(run(builder, invocation(context).found()))


def work(
    context: typer.Context,
    service: ServiceName,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", metavar="P", help="Take tasks of this pool; may be given again.")
    ] = None,
    slots: Annotated[int, typer.Option("--slots", min=1, help="How many tasks at once.")] = 1,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when no task is ready, as a batch array's element does.")
    ] = False,
) -> None:
    """Run a service's tasks until SIGTERM or Ctrl-C; then finish the chunk in hand and release the rest."""
    from console.site import builder_of

    builder = builder_of(service)
    _die_when_told()
    import asyncio

    from chassis.run import work as run
    from chassis.worker.worker import pools_of

    asyncio.run(
        run(builder, invocation(context).found(), pools=pools_of(pool or ()), slots=slots, until_empty=until_empty)
    )


def apply(
    context: typer.Context,
    single_partition: Annotated[
        bool, typer.Option("--single-partition", help="One partition each, as a laptop needs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing and widen those with too few partitions; nothing is ever deleted."""
    import asyncio
    from dataclasses import asdict

    from chassis.messaging.topics import apply_topics
    from console.output import print_json, say
    from console.reach import kafka_reached

    settings = invocation(context).found()
    with kafka_reached(settings):
        applied = asyncio.run(apply_topics(settings.kafka, single_partition=single_partition))
    if as_json:
        return print_json(asdict(applied))
    say(f"{len(applied.created)} topics created, {len(applied.widened)} widened, {len(applied.kept)} kept")


def _die_when_told() -> None:
    """A supervisor's shim leaves SIGTERM ignored; until the service listens for it, it ends us at once."""
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
