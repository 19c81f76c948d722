"""Composition root of jointcall."""

from __future__ import annotations

from pathlib import Path

from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import Settings
from contracts.events import (
    CohortFreezeRequested,
    FreezeFailed,
    GvcfReady,
    PanelReleased,
    SampleTagRequested,
    SampleVerdictRequested,
    WorkCancelRequested,
)
from services.jointcall import commits, subscribers
from services.jointcall.tasks import INTERVAL, PLAN

BUILDER = "services.jointcall.main:build"


def build(settings: Settings) -> Service:
    subscriptions = Subscriptions()
    arrivals = subscribers.Arrivals(coverage_policy=settings.jointcall.coverage_policy)
    subscriptions.on(GvcfReady, arrivals.on_gvcf_ready)
    subscriptions.on(SampleVerdictRequested, subscribers.on_verdict)
    subscriptions.on(SampleTagRequested, subscribers.on_tag)
    subscriptions.on(CohortFreezeRequested, subscribers.on_freeze_requested)
    subscriptions.on(WorkCancelRequested, subscribers.on_cancel)
    subscriptions.on(PanelReleased, subscribers.on_released)
    subscriptions.on(FreezeFailed, subscribers.on_freeze_failed)
    return Service(
        name="jointcall",
        subscriptions=subscriptions,
        kinds=(
            TaskKind(
                name=PLAN, work="services.jointcall.workers:plan", committed=commits.planned, gave_up=commits.gave_up
            ),
            TaskKind(
                name=INTERVAL,
                work="services.jointcall.workers:interval",
                committed=commits.genotyped,
                gave_up=commits.gave_up,
                per="interval",
            ),
        ),
        migrations=Path(__file__).parent / "migrations" / "versions",
    )
