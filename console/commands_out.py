"""Commands of people: published as events with their actor. The console writes nothing else, anywhere."""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from console.reach import kafka_reached
from console.views import NOTED, Views

if TYPE_CHECKING:
    from chassis.settings import Settings
    from contracts.events import Command
    from contracts.values import Actor

C = TypeVar("C", bound="Command")

SOURCE = "/cohortstream/console"
PUBLISH_S = 15.0
NOTED_S = 10.0
"""A handler takes milliseconds: a service that has not noted a command by then is not running."""
_FORBIDDEN = re.compile(r"[^A-Za-z0-9._-]")


def actor() -> Actor:
    """Who asks: the account that this process runs as, whatever its environment says.

    Characters that a name may not hold (the @ or \\ of directory accounts) become `_`.
    """
    from contracts.values import Actor, ActorKind

    return Actor(kind=ActorKind.person, name=account_name(_account()))


def account_name(account: str) -> str:
    """An account's name as the pattern of names allows it; raises nothing."""
    cleaned = _FORBIDDEN.sub("_", account)[:100].lstrip("._-")
    return cleaned or "unnamed"


def command(model: type[C], **fields: Any) -> C:
    """The command with a fresh request id and this actor. Raises Rejected that names the field: COMMAND_VALUE, or
    PHI_SUSPECTED for words that look as if they named a person."""
    from pydantic import ValidationError

    from chassis.errors import reject
    from console.wording import require_nobody

    require_nobody(model.TYPE, fields)
    try:
        return model(**{"request_id": uuid.uuid4(), "actor": actor(), **fields})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or model.TYPE
        raise reject(
            code="COMMAND_VALUE",
            message=f"{place}: {first['msg']}",
            where=model.TYPE,
            rule="what a command names follows the patterns of names, so that it is safe in keys and on command lines",
            fix="use letters, digits and . _ - for names, one line without control characters for reasons",
        ) from None


async def publish(settings: Settings, *commands: Command) -> None:
    """Publish and wait until Kafka has them; where a reason names a sample by its label, the key takes its place.
    Raises Unreachable when Kafka or the ledger does not answer."""
    from aiokafka import AIOKafkaProducer

    from chassis.messaging.security import plain_options
    from chassis.telemetry.context import current_traceparent
    from console.wording import by_key
    from contracts.envelope import encode

    commands = await by_key(settings, commands)
    with kafka_reached(settings), _span(settings, commands):
        producer = AIOKafkaProducer(
            **plain_options(settings.kafka),
            acks="all",
            enable_idempotence=True,
            client_id="cohortstream-console",
            request_timeout_ms=10_000,
        )
        try:
            await producer.start()
            for command in commands:
                message = encode(command, source=SOURCE, time=datetime.now(UTC), traceparent=current_traceparent())
                async with asyncio.timeout(PUBLISH_S):
                    await producer.send_and_wait(
                        message.topic, message.body, key=message.key, headers=list(message.headers)
                    )
        finally:
            await producer.stop()


async def noted(views: Views, service: str, command: Command, *, seconds: float = NOTED_S) -> bool:
    """Wait until the service's audit holds the command; False when it has not within that time."""
    deadline = time.monotonic() + seconds
    while True:
        if await views.one(service, NOTED, command.request_id) is not None:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.2)


@contextmanager
def _span(settings: Settings, commands: tuple[Command, ...]) -> Iterator[None]:
    """The trace of what a person asked begins here, in the state folder and at the OTLP endpoint when there is one."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.trace import SpanKind

    from chassis.telemetry.setup import resource_of
    from chassis.telemetry.spans import SpanFile

    provider = TracerProvider(resource=resource_of("console"))
    if os.access(settings.state_dir, os.W_OK):
        file = SpanFile(state_dir=settings.state_dir, service="console", process="command")
        provider.add_span_processor(SimpleSpanProcessor(file))
    if settings.telemetry.otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = settings.telemetry.otlp_endpoint.rstrip("/")
        exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=3)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    named = commands[0]
    try:
        with provider.get_tracer("cohortstream").start_as_current_span(
            f"request {named.TYPE}",
            kind=SpanKind.PRODUCER,
            attributes={
                "cohortstream.subject": named.subject,
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.operation.name": "request",
                "messaging.destination.name": named.TYPE,
            },
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield
    finally:
        provider.shutdown()


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's number without an account
        return f"uid-{os.getuid()}"
