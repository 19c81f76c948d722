"""Composition root of the archive."""

from __future__ import annotations

from pathlib import Path

from chassis.service import Service, TaskKind
from chassis.settings import Settings
from services.archive import commits
from services.archive.inventory import inventorying
from services.archive.policies import load_rules
from services.archive.subscribers import subscriptions
from services.archive.sweep import sweeping
from services.archive.tiers.choice import checked

NAME = "archive"
WORKERS = "services.archive.workers"
ACTING = "services.archive.acting"


def build(settings: Settings) -> Service:
    """The service with the policies that the settings name. Raises Rejected when these cannot be read, or where the
    settings ask for copies and name no place for them."""
    checked(settings)
    rules = load_rules(settings.archive.policies, prices=settings.cost.prices)
    return Service(
        name=NAME,
        subscriptions=subscriptions(),
        kinds=(
            TaskKind(name="enrol", work=f"{WORKERS}:enrol", committed=commits.enrolled),
            TaskKind(
                name="verify",
                work=f"{WORKERS}:verify",
                committed=commits.verified,
                gave_up=commits.not_verified,
                per="sample",
            ),
            TaskKind(name="act", work=f"{ACTING}:act", committed=commits.acted, gave_up=commits.not_acted),
            TaskKind(
                name="restore", work=f"{ACTING}:restore", committed=commits.restored, gave_up=commits.not_restored
            ),
        ),
        loops=(sweeping(rules), inventorying(rules)),
        migrations=Path(__file__).parent / "migrations" / "versions",
    )
