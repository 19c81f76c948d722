"""Turns a client's way of saying "nobody answers" into one paragraph that says where and what to try."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from console.exits import Unreachable

if TYPE_CHECKING:
    from chassis.settings import Settings

START = (
    "start the site with `cohortstream up`, or name the servers in the configuration; `cohortstream doctor` says more"
)


@contextmanager
def kafka_reached(settings: Settings) -> Iterator[None]:
    """Raises Unreachable instead of aiokafka's errors."""
    from aiokafka.errors import KafkaError

    # aiokafka logs each address that it tries; the paragraph says it once
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        said = _said(settings, 0, error)
        fix = START
        if settings.kafka.sasl_username is not None:
            fix = "check the password in kafka.sasl_password_file (a wrong one looks just like this); else " + START
        raise Unreachable(what="Kafka", where=settings.kafka.bootstrap, said=said, fix=fix) from error


@contextmanager
def ledger_reached(settings: Settings) -> Iterator[None]:
    """Raises Unreachable instead of asyncpg's connection errors; the DSN's password is not shown."""
    import asyncpg

    try:
        yield
    except (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
        asyncpg.InterfaceError,
    ) as error:
        said = _said(settings, 1, error)
        raise Unreachable(what="The ledger (Postgres)", where=ledger_address(settings), said=said, fix=START) from error


def _said(settings: Settings, server: int, error: Exception) -> str:
    """The client's words; where the configuration names no server, that no site runs is what a person wants to know."""
    from console.runtime import names_servers

    if not names_servers(settings)[server]:
        return f"no site runs on {settings.state_dir.absolute()}, and nobody listens at the default address"
    return str(error) or type(error).__name__


def ledger_address(settings: Settings) -> str:
    """`host:port/database` of the ledger's DSN."""
    parts = urlsplit(settings.ledger.url())
    host = parts.hostname or "the local socket"
    return f"{host}:{parts.port or 5432}{parts.path}"
