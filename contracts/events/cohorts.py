"""Events of cohorts: a freeze, its intervals, its filters, its release."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from contracts.events.base import Command, Event
from contracts.values import (
    Actor,
    Artifact,
    CohortName,
    EngineName,
    FreezeId,
    Interval,
    ManifestRef,
    Provenance,
    ReferenceId,
    RejectionDetail,
    SampleKey,
    Text,
    Value,
)


class Selection(Value):
    """Who takes part: everyone whose verdict is pass, a list (short here, long as a manifest), or a tag."""

    how: Literal["all", "list", "tag"]
    samples: Annotated[tuple[SampleKey, ...], Field(max_length=1000)] = ()
    samples_manifest: ManifestRef | None = None
    tag: Text | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.how == "list" and not self.samples and self.samples_manifest is None:
            raise ValueError("a list selection names its samples, or the manifest that holds them")
        if self.how == "tag" and self.tag is None:
            raise ValueError("a tag selection names its tag")
        if self.how == "all" and (self.samples or self.samples_manifest or self.tag):
            raise ValueError("a selection of all names no samples and no tag")
        if len(set(self.samples)) != len(self.samples):
            raise ValueError("COHORT_DUPLICATE: a sample is named twice; name it once")
        return self


class CohortFreezeRequested(Command):
    """Freeze this selection of samples into a cohort's next freeze."""

    TYPE: ClassVar[str] = "cohort.freeze.requested"

    cohort: CohortName
    selection: Selection
    engine: Literal["gatk", "columnar", "glnexus"] = "gatk"
    actor: Actor
    reason: Text = "requested"

    @property
    def subject(self) -> str:
        return self.cohort

    @property
    def key(self) -> str:
        return self.cohort


class _OfFreeze(Event):
    freeze: FreezeId
    cohort: CohortName

    @property
    def subject(self) -> str:
        return self.freeze

    @property
    def key(self) -> str:
        return self.cohort

    @property
    def occurrence(self) -> str:
        return "1"


class CohortFrozen(_OfFreeze):
    """A cohort's membership and intervals are fixed, hashed, and will never change."""

    TYPE: ClassVar[str] = "cohort.frozen"

    number: Annotated[int, Field(ge=1)]
    previous: FreezeId | None = None
    manifest: ManifestRef
    """Samples with their versions and gVCFs, sorted by key."""
    intervals: ManifestRef
    """Calling intervals with predicted work, in genome order."""
    reference: ReferenceId
    engine: EngineName
    requested_by: Actor


class IntervalGenotyped(_OfFreeze):
    """One interval of a freeze is genotyped for all of its samples."""

    TYPE: ClassVar[str] = "interval.genotyped"

    index: Annotated[int, Field(ge=0)]
    """The interval's place in the freeze's interval manifest, from 0."""
    interval: Interval
    vcf: Artifact
    vcf_index: Artifact
    sites: Artifact
    sites_index: Artifact
    samples: Annotated[int, Field(ge=1)]
    variants: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]
    """Wall time of the attempt that succeeded."""
    attempts: Annotated[int, Field(ge=1)]
    reference: ReferenceId
    provenance: Provenance

    @property
    def occurrence(self) -> str:
        return f"{self.index}"


class FilterDecision(Value):
    """How one variant type was filtered, and which rule decided that."""

    variant_type: Literal["snp", "indel"]
    method: Literal["vqsr", "hard-filter"]
    rule: Text
    training_variants: Annotated[int, Field(ge=0)]
    annotations: tuple[Text, ...] = ()
    """Annotations the model used; empty for hard filters."""
    dropped_annotations: tuple[Text, ...] = ()
    """Annotations left out because they did not vary."""


class PanelRecalibrated(_OfFreeze):
    """Every interval of a freeze is filtered, by a model or by the declared fallback."""

    TYPE: ClassVar[str] = "panel.recalibrated"

    manifest: ManifestRef
    """Filtered per-interval VCFs with their indexes, in genome order."""
    decisions: Annotated[tuple[FilterDecision, ...], Field(min_length=1, max_length=2)]
    model: ManifestRef | None = None
    samples: Annotated[int, Field(ge=1)]
    variants: Annotated[int, Field(ge=0)]
    passed: Annotated[int, Field(ge=0)]
    reference: ReferenceId
    provenance: Provenance


class PanelSummary(Value):
    """Figures of a released panel. Ratios are null where their denominator is 0."""

    samples: Annotated[int, Field(ge=1)]
    variants: Annotated[int, Field(ge=0)]
    snps: Annotated[int, Field(ge=0)]
    indels: Annotated[int, Field(ge=0)]
    passed: Annotated[int, Field(ge=0)]
    ti_tv: float | None = None
    het_hom: float | None = None
    filtered_rate: Annotated[float, Field(ge=0, le=1)]


class PanelReleased(_OfFreeze):
    """An annotated panel is ready to be used."""

    TYPE: ClassVar[str] = "panel.released"

    manifest: ManifestRef
    """Annotated per-contig VCFs with indexes, the Parquet lake's files, the report."""
    report: Artifact
    summary: PanelSummary
    decisions: Annotated[tuple[FilterDecision, ...], Field(min_length=1, max_length=2)]
    reference: ReferenceId
    provenance: Provenance


class FreezeFailed(_OfFreeze):
    """A freeze ends without a panel."""

    TYPE: ClassVar[str] = "freeze.failed"

    stage: Text
    rejection: RejectionDetail
    went_on: Text

    @property
    def occurrence(self) -> str:
        return self.stage
