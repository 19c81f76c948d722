"""The seeded services, with each event that the inbox knew already noted in a file: a killed process takes its counters
along, a byte that is written stays."""

from __future__ import annotations

import os
from pathlib import Path

from chassis.ledger.inbox import accept
from chassis.ledger.ledger import Tx
from chassis.messaging import receive
from chassis.service import Service
from chassis.settings import Settings
from contracts.envelope import Envelope
from tests.support.seeded import builders

FOLDER = "absorbed"


def builder_of(service: str) -> str:
    return f"{__name__}:{service}"


def absorbed(state_dir: Path) -> dict[str, int]:
    """How many deliveries each service's inbox knew already."""
    return {kept.name: kept.stat().st_size for kept in sorted((state_dir / FOLDER).glob("*"))}


def _watched(service: Service, settings: Settings) -> Service:
    folder = settings.state_dir / FOLDER
    folder.mkdir(exist_ok=True)

    async def noting(tx: Tx, envelope: Envelope) -> bool:
        fresh = await accept(tx, envelope)
        if not fresh:
            descriptor = os.open(folder / service.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(descriptor, b".")
            os.close(descriptor)
        return fresh

    receive.inbox.accept = noting
    return service


def ingest(settings: Settings) -> Service:
    return _watched(builders.ingest(settings), settings)


def align(settings: Settings) -> Service:
    return _watched(builders.align(settings), settings)


def jointcall(settings: Settings) -> Service:
    return _watched(builders.jointcall(settings), settings)


def vqsr(settings: Settings) -> Service:
    return _watched(builders.vqsr(settings), settings)


def annotate(settings: Settings) -> Service:
    return _watched(builders.annotate(settings), settings)


def archive(settings: Settings) -> Service:
    return _watched(builders.archive(settings), settings)
