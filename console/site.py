"""A whole site on one machine: the embedded stack, its topics and ledgers, and every service's processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from chassis.errors import reject
from chassis.health.report import FOLDER
from console.runtime import make_secret, names_servers, resolved, with_endpoints, write_runtime
from console.supervisor import SERVICES, Planned, Services, Vigil, default_plan

if TYPE_CHECKING:
    from chassis.messaging.topics import Applied
    from chassis.settings import Settings
    from deploy.embedded.stack import EmbeddedStack, Progress

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSite:
    """A site that runs. `config` is the file that gives another process (`--config`) the same settings."""

    settings: Settings
    config: Path
    services: Services
    stack: EmbeddedStack | None
    """None when the configuration names servers of its own."""
    topics: Applied

    def ended(self) -> tuple[str, ...]:
        """Servers of the stack that ended by themselves."""
        return self.stack.ended() if self.stack is not None else ()


@contextlib.contextmanager
def running_site(
    settings: Settings,
    *,
    object_store: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
    plan: Sequence[Planned] | None = None,
    durable: bool = True,
    restore_s: float = 2.0,
    grace_s: float = 30.0,
) -> Iterator[RunningSite]:
    """Start everything, yield when all servers answer and all processes are started, and end everything.

    `object_store` keeps artifacts in the stack's own S3 server, which forgets them when it stops; otherwise they lie
    where the settings say. `progress` follows the servers, `say` gets a sentence per step. Raises Rejected
    (STATE_IN_USE when the site runs already), ToolFailed when a server does not start.
    """
    say = say or (lambda _sentence: None)
    settings = resolved(settings)
    kafka_named, ledger_named = names_servers(settings)
    if kafka_named != ledger_named:
        raise reject(
            code="CONFIG_VALUE",
            message="the configuration names one of kafka.bootstrap and ledger.dsn and not the other",
            where="kafka, ledger",
            rule="a site runs on servers of its own or on the embedded stack, not on a half of each",
            fix="set both, or neither to use the embedded stack",
        )
    with contextlib.ExitStack() as leaving:
        stack = None
        if not kafka_named:
            from deploy.embedded.stack import EmbeddedStack

            stack = EmbeddedStack(durable=durable, restore_s=restore_s)
            endpoints = leaving.enter_context(
                stack.running(settings.state_dir, object_store=object_store, progress=progress)
            )
            settings = with_endpoints(settings, endpoints)
        if settings.site.secret_file is not None and make_secret(settings.site.secret_file):
            say("a site secret was made; keep it: sample keys are made with it")
        _folders(settings)
        config = write_runtime(settings)
        leaving.callback(config.unlink, missing_ok=True)
        say("applying topics")
        topics = asyncio.run(_topics(settings, laptop=stack is not None))
        plan = default_plan(slot_mb=settings.worker.memory_mb) if plan is None else plan
        say("bringing ledgers up to date")
        asyncio.run(_migrate(settings, [planned for planned in plan if planned.role == "consume"]))
        vigil = Vigil(
            folder=settings.state_dir / FOLDER,
            silent_s=settings.health.silent_seconds,
            restart_s=settings.health.restart_seconds,
        )
        services = Services(config, plan, logs=settings.state_dir / "logs" / "services", vigil=vigil)
        leaving.callback(services.stop, grace_s=grace_s)
        say("starting services")
        services.start()
        yield RunningSite(settings=settings, config=config, services=services, stack=stack, topics=topics)


async def migrate_ledgers(settings: Settings, services: Sequence[str]) -> None:
    """Bring the ledgers of these services up to date."""
    await _migrate(settings, [Planned(service=name, role="consume") for name in services])


def builder_of(service: str) -> str:
    """The builder of a service's name; a builder (`module:function`) is itself.

    Raises Rejected (SERVICE_UNKNOWN) for anything else.
    """
    if ":" in service:
        return service
    if service not in SERVICES:
        raise reject(
            code="SERVICE_UNKNOWN",
            message="there is no service of this name",
            where=service,
            rule=f"a service is one of {', '.join(SERVICES)}",
            fix="name one of them",
        )
    return f"services.{service}.main:build"


async def _migrate(settings: Settings, consumers: Sequence[Planned]) -> None:
    from chassis.ledger.migrate import migrate
    from chassis.service import build

    dsn = settings.ledger.url()
    for planned in consumers:
        service = build(builder_of(planned.builder or planned.service), settings)
        await migrate(dsn=dsn, service=service.name, versions=service.migrations)


async def _topics(settings: Settings, *, laptop: bool) -> Applied:
    from chassis.messaging.topics import apply_topics

    return await apply_topics(settings.kafka, single_partition=laptop)


def _folders(settings: Settings) -> None:
    if settings.store.base.startswith("file://"):
        Path(unquote(settings.store.base.removeprefix("file://"))).mkdir(parents=True, exist_ok=True)
    for root in settings.ingest.roots:
        root.mkdir(parents=True, exist_ok=True)
