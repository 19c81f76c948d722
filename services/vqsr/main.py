"""Composition root of vqsr."""

from __future__ import annotations

from pathlib import Path

from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import Settings
from contracts.events import CohortFrozen, FreezeFailed, IntervalGenotyped
from services.vqsr import commits, subscribers
from services.vqsr.tasks import FILTER, FINALISE, TRAIN

BUILDER = "services.vqsr.main:build"


def build(settings: Settings) -> Service:
    subscriptions = Subscriptions()
    subscriptions.on(CohortFrozen, subscribers.on_frozen)
    subscriptions.on(IntervalGenotyped, subscribers.on_genotyped)
    subscriptions.on(FreezeFailed, subscribers.on_failed)
    work = "services.vqsr.workers"
    return Service(
        name="vqsr",
        subscriptions=subscriptions,
        kinds=(
            TaskKind(name=TRAIN, work=f"{work}:train", committed=commits.trained, gave_up=commits.gave_up),
            TaskKind(
                name=FILTER,
                work=f"{work}:filter_interval",
                committed=commits.filtered,
                gave_up=commits.gave_up,
                per="interval",
            ),
            TaskKind(name=FINALISE, work=f"{work}:finalise", committed=commits.finalised, gave_up=commits.gave_up),
        ),
        migrations=Path(__file__).parent / "migrations" / "versions",
    )
