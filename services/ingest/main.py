"""Composition root: `consume` and `work` take `services.ingest.main:build`."""

from __future__ import annotations

from pathlib import Path

from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import Settings
from contracts.events import SampleWithdrawalRequested, WorkCancelRequested
from services.ingest.subscribers import on_cancel, on_withdrawal
from services.ingest.tasks import CHECK
from services.ingest.watcher import watching
from services.ingest.workers import committed, gave_up

NAME = "ingest"
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"


def build(settings: Settings) -> Service:
    """The service. Settings are read when it runs, so that building needs neither secret nor run roots."""
    del settings
    subscriptions = Subscriptions()
    subscriptions.on(WorkCancelRequested, on_cancel)
    subscriptions.on(SampleWithdrawalRequested, on_withdrawal)
    return Service(
        name=NAME,
        subscriptions=subscriptions,
        kinds=(
            TaskKind(
                name=CHECK, work="services.ingest.workers:check", committed=committed, gave_up=gave_up, per="sample"
            ),
        ),
        loops=(watching,),
        migrations=MIGRATIONS,
    )
