"""Vqsr's tasks: decide and train on all sites; filter an interval; write the panel's manifest."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from chassis.ledger.tasks import NewTask
from contracts.events import FilterDecision
from contracts.values import Artifact, CohortName, FreezeId, Interval, ReferenceId, Value

TRAIN, FILTER, FINALISE = "train", "filter", "finalise"


class Sites(Value):
    """An interval's sites-only VCF."""

    sites: Artifact
    index: Artifact


class _OfFreeze(Value):
    freeze: FreezeId
    cohort: CohortName
    reference: ReferenceId


class TrainTask(_OfFreeze):
    """Trained on the sites of all intervals at once: scattering training data would change the model."""

    samples: int
    sites: tuple[Sites, ...]

    def task(self) -> NewTask:
        return NewTask(
            key=f"train:{self.freeze}",
            kind=TRAIN,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=1e12,
        )


class Model(Value):
    """A trained model's files for one variant type, as ApplyVQSR wants them."""

    recal: Artifact
    recal_index: Artifact
    tranches: Artifact


class FilterTask(_OfFreeze):
    index: int
    interval: Interval
    vcf: Artifact
    vcf_index: Artifact
    decisions: tuple[FilterDecision, ...]
    models: Mapping[str, Model] = Field(default_factory=dict)
    """By variant type, for those that the decisions filter by a model."""

    def task(self, *, variants: int) -> NewTask:
        return NewTask(
            key=f"filter:{self.freeze}:{self.index}",
            kind=FILTER,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=float(variants),
        )


class Filtered(Value):
    """What filtering an interval left."""

    index: int
    interval: Interval
    vcf: Artifact
    vcf_index: Artifact
    variants: int
    passed: int


class FinaliseTask(_OfFreeze):
    samples: int
    decisions: tuple[FilterDecision, ...]
    models: Mapping[str, Model] = Field(default_factory=dict)
    intervals: tuple[Filtered, ...]

    def task(self) -> NewTask:
        return NewTask(
            key=f"finalise:{self.freeze}",
            kind=FINALISE,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=1e12,
        )
