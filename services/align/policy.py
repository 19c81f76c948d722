"""What align does with a sample that comes: against which reference, through which pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.settings import Settings
from services.align.engines.registry import versions_of
from services.align.tasks import pipeline_of

UNSET = "unset"
"""The reference's name where none is configured: tasks wait for it and say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    reference: str
    pipeline: str
    memory_class: str


def policy_of(settings: Settings) -> Policy:
    pipeline = pipeline_of(settings, engine_versions=versions_of(settings.align.engine, aligner=settings.align.aligner))
    return Policy(
        reference=settings.align.reference or UNSET, pipeline=pipeline, memory_class=settings.align.memory_class
    )
