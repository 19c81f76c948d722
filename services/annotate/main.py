"""Composition root of annotate."""

from __future__ import annotations

from pathlib import Path

from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import Settings
from contracts.events import FreezeFailed, PanelRecalibrated
from services.annotate import commits, subscribers
from services.annotate.tasks import ANNOTATE, PLAN, RELEASE

BUILDER = "services.annotate.main:build"


def build(settings: Settings) -> Service:
    subscriptions = Subscriptions()
    subscriptions.on(PanelRecalibrated, subscribers.on_recalibrated)
    subscriptions.on(FreezeFailed, subscribers.on_failed)
    work = "services.annotate.workers"
    return Service(
        name="annotate",
        subscriptions=subscriptions,
        kinds=(
            TaskKind(name=PLAN, work=f"{work}:plan", committed=commits.planned, gave_up=commits.gave_up),
            TaskKind(
                name=ANNOTATE,
                work=f"{work}:annotate",
                committed=commits.annotated,
                gave_up=commits.gave_up,
                per="interval",
            ),
            TaskKind(name=RELEASE, work=f"{work}:release", committed=commits.released, gave_up=commits.gave_up),
        ),
        migrations=Path(__file__).parent / "migrations" / "versions",
    )
