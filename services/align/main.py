"""Composition root of align."""

from __future__ import annotations

from pathlib import Path

from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import Settings
from contracts.events import RunCompleted
from services.align.commits import Commits
from services.align.policy import policy_of
from services.align.subscribers import Arrivals
from services.align.tasks import ALIGN, CALL

BUILDER = "services.align.main:build"


def build(settings: Settings) -> Service:
    policy = policy_of(settings)
    subscriptions = Subscriptions()
    subscriptions.on(RunCompleted, Arrivals(policy=policy).on_run_completed)
    commits = Commits(policy=policy)
    work = "services.align.workers"
    return Service(
        name="align",
        subscriptions=subscriptions,
        kinds=(
            TaskKind(
                name=ALIGN, work=f"{work}:align", committed=commits.aligned, gave_up=commits.gave_up, per="sample"
            ),
            TaskKind(name=CALL, work=f"{work}:call", committed=commits.called, gave_up=commits.gave_up, per="sample"),
        ),
        migrations=Path(__file__).parent / "migrations" / "versions",
    )
