"""Jaeger in a container, on loopback: spans in by OTLP, traces out by its query API."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from tests.conftest import until

JAEGER = "jaegertracing/jaeger:2.13.0"
LOOPBACK = "127.0.0.1"
OTLP, QUERY = 4318, 16686
READY_S = 60.0

testcontainers_config.ryuk_disabled = True  # as in servers.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Jaeger:
    otlp: str
    """Where spans are sent."""
    query: str
    """Where traces are asked for."""


@contextmanager
def container() -> Iterator[Jaeger]:
    made = DockerContainer(JAEGER)
    for inner in (OTLP, QUERY):
        made.ports[str(inner)] = (LOOPBACK, None)
    with made:
        yield Jaeger(
            otlp=f"http://{LOOPBACK}:{made.get_exposed_port(OTLP)}",
            query=f"http://{LOOPBACK}:{made.get_exposed_port(QUERY)}",
        )


async def answers(jaeger: Jaeger) -> None:
    """Wait until its query API answers."""

    async def once() -> bool:
        connection = http.client.HTTPConnection(jaeger.query.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", "/api/services")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    await until(once, seconds=READY_S)
