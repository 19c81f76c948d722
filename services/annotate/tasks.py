"""Annotate's tasks: read the panel's manifest; annotate an interval; gather and release."""

from __future__ import annotations

from chassis.ledger.tasks import NewTask
from contracts.events import FilterDecision
from contracts.values import Artifact, CohortName, FreezeId, Interval, ManifestRef, ReferenceId, Value

PLAN, ANNOTATE, RELEASE = "plan", "annotate", "release"


def annotated_fan(freeze: str) -> str:
    return f"annotated:{freeze}"


class _OfFreeze(Value):
    freeze: FreezeId
    cohort: CohortName
    reference: ReferenceId


class PlanTask(_OfFreeze):
    manifest: ManifestRef

    def task(self) -> NewTask:
        return NewTask(
            key=f"plan:{self.freeze}",
            kind=PLAN,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=1e12,
        )


class FilteredInterval(Value):
    """An entry of the recalibrated panel's manifest."""

    index: int
    interval: Interval
    vcf: Artifact
    vcf_index: Artifact
    variants: int
    passed: int


class AnnotateTask(_OfFreeze):
    entry: FilteredInterval

    def task(self) -> NewTask:
        return NewTask(
            key=f"annotate:{self.freeze}:{self.entry.index}",
            kind=ANNOTATE,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=float(self.entry.variants),
        )


class Annotated(Value):
    index: int
    interval: Interval
    vcf: Artifact
    vcf_index: Artifact


class ReleaseTask(_OfFreeze):
    number: int
    decisions: tuple[FilterDecision, ...]
    intervals: tuple[Annotated, ...]

    def task(self) -> NewTask:
        return NewTask(
            key=f"release:{self.freeze}",
            kind=RELEASE,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=1e12,
        )
