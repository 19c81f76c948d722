"""Events of cohorts: a freeze, its intervals, its filters, its release."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

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
    """Who takes part: everyone whose verdict is pass, a list, or those that carry a tag."""

    how: Literal["all", "list", "tag"]
    """Everyone, a list or a tag."""
    samples: Annotated[tuple[SampleKey, ...], Field(max_length=1000)] = ()
    """The list."""
    tag: Text | None = None
    """The tag that samples must carry."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.how == "list" and not self.samples:
            raise PydanticCustomError("SELECTION", "SELECTION: a list selection names its samples")
        if self.how == "tag" and self.tag is None:
            raise PydanticCustomError("SELECTION", "SELECTION: a tag selection names its tag")
        if self.how == "all" and (self.samples or self.tag):
            raise PydanticCustomError("SELECTION", "SELECTION: a selection of all names no samples and no tag")
        if len(set(self.samples)) != len(self.samples):
            raise PydanticCustomError("COHORT_DUPLICATE", "COHORT_DUPLICATE: a sample is named twice; name it once")
        return self


class CohortFreezeRequested(Command):
    """Freeze this selection of samples into a cohort's next freeze."""

    TYPE: ClassVar[str] = "cohort.freeze.requested"
    SUBJECT: ClassVar[str] = "cohort"

    cohort: CohortName
    """The cohort that gets its next freeze."""
    selection: Selection
    """Who takes part."""
    engine: Literal["gatk", "columnar", "glnexus"] = "gatk"
    """The joint-calling engine."""
    actor: Actor
    """Who asks."""
    reason: Text = "requested"
    """Why, in words."""


class _OfFreeze(Event):
    SUBJECT: ClassVar[str] = "freeze"
    KEY: ClassVar[str] = "cohort"

    ONCE_PER: ClassVar[str] = "freeze"

    freeze: FreezeId
    """`<cohort>:<number>`."""
    cohort: CohortName
    """The freeze's cohort."""

    @model_validator(mode="after")
    def _of_its_cohort(self) -> Self:
        if self.freeze.rpartition(":")[0] != self.cohort:
            raise PydanticCustomError(
                "FREEZE_COHORT", "FREEZE_COHORT: the freeze id names another cohort; it is <cohort>:<number>"
            )
        return self

    @property
    def occurrence(self) -> str:
        return "1"


class CohortFrozen(_OfFreeze):
    """A cohort's membership and intervals are fixed, hashed, and will never change."""

    TYPE: ClassVar[str] = "cohort.frozen"

    number: Annotated[int, Field(ge=1)]
    """The freeze's number in its cohort, from 1."""
    previous: FreezeId | None = None
    """The freeze whose work this one can build on."""
    manifest: ManifestRef
    """Samples with their versions and gVCFs, sorted by key."""
    intervals: ManifestRef
    """Calling intervals with predicted work, in genome order."""
    reference: ReferenceId
    """The reference of every gVCF in it."""
    engine: EngineName
    """What will genotype it."""
    requested_by: Actor
    """Who asked for it."""

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        if self.freeze.rpartition(":")[2] != str(self.number):
            raise PydanticCustomError(
                "FREEZE_NUMBER", "FREEZE_NUMBER: the number differs from the one in the freeze id"
            )
        return self


class Reuse(Value):
    """What an interval took over from an earlier freeze, and what was added. Bytes are those of its columns."""

    freeze: FreezeId | None = None
    """The freeze that it began with; absent when it began with none."""
    samples_reused: Annotated[int, Field(ge=0)]
    """Samples whose gVCF was not read again."""
    samples_imported: Annotated[int, Field(ge=0)]
    """Samples whose gVCF was read."""
    bytes_reused: Annotated[int, Field(ge=0)]
    """Bytes that were in the store already."""
    bytes_written: Annotated[int, Field(ge=0)]
    """Bytes that are new."""


class IntervalGenotyped(_OfFreeze):
    """One interval of a freeze is genotyped for all of its samples."""

    TYPE: ClassVar[str] = "interval.genotyped"
    ONCE_PER: ClassVar[str] = "freeze and interval index"

    index: Annotated[int, Field(ge=0)]
    """The interval's place in the freeze's interval manifest, from 0."""
    interval: Interval
    """The interval itself."""
    vcf: Artifact
    """The joint calls of all samples, bgzip-compressed."""
    vcf_index: Artifact
    """The VCF's tabix index."""
    sites: Artifact
    """The same records without genotypes, for training filters."""
    sites_index: Artifact
    """The sites-only VCF's tabix index."""
    samples: Annotated[int, Field(ge=1)]
    """Samples in the VCF."""
    variants: Annotated[int, Field(ge=0)]
    """Records in the VCF."""
    seconds: Annotated[float, Field(ge=0)]
    """Wall time of the attempt that succeeded."""
    attempts: Annotated[int, Field(ge=1)]
    """Attempts that it took, the successful one included."""
    reference: ReferenceId
    """The reference it was genotyped against."""
    provenance: Provenance
    """What genotyped it."""
    reuse: Reuse | None = None
    """What an incremental engine took over; absent with any other."""
    left_out: Annotated[int, Field(ge=0)] | None = None
    """Sites in nobody's calls, since a sample's record has an ALT but no PL; absent where the engine does not tell."""

    @property
    def occurrence(self) -> str:
        return f"{self.index}"


class FilterDecision(Value):
    """How one variant type was filtered, and which rule decided that."""

    variant_type: Literal["snp", "indel"]
    """Which variants."""
    method: Literal["vqsr", "hard-filter"]
    """A trained model, or the declared fallback."""
    rule: Text
    """The rule that decided the method, with its numbers."""
    training_variants: Annotated[int, Field(ge=0)]
    """Variants that the model could be trained on."""
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
    """How SNPs and indels were filtered, and why so."""
    model: ManifestRef | None = None
    """The trained model's files; absent with hard filters."""
    samples: Annotated[int, Field(ge=1)]
    """Samples in the VCFs."""
    variants: Annotated[int, Field(ge=0)]
    """Records in the VCFs."""
    passed: Annotated[int, Field(ge=0)]
    """Records whose FILTER is PASS."""
    reference: ReferenceId
    """The reference of the freeze."""
    provenance: Provenance
    """What filtered it."""


class PanelSummary(Value):
    """Figures of a released panel. Ratios are null where their denominator is 0."""

    samples: Annotated[int, Field(ge=1)]
    """Samples in the panel."""
    variants: Annotated[int, Field(ge=0)]
    """Records in the panel's VCFs."""
    snps: Annotated[int, Field(ge=0)]
    """Records with an alternative base in place of one base."""
    indels: Annotated[int, Field(ge=0)]
    """Records with an inserted or deleted allele."""
    passed: Annotated[int, Field(ge=0)]
    """Records whose FILTER is PASS."""
    ti_tv: float | None = None
    """Transitions to transversions among SNP alleles that passed."""
    het_hom: float | None = None
    """Heterozygous to homozygous alternative genotypes in records that passed."""
    filtered_rate: Annotated[float, Field(ge=0, le=1)]
    """Fraction of records that did not pass."""


class PanelReleased(_OfFreeze):
    """An annotated panel is ready to be used."""

    TYPE: ClassVar[str] = "panel.released"

    manifest: ManifestRef
    """Annotated per-contig VCFs with indexes, the Parquet lake's files, the report."""
    report: Artifact
    """The report for people."""
    summary: PanelSummary
    """The panel in figures."""
    decisions: Annotated[tuple[FilterDecision, ...], Field(min_length=1, max_length=2)]
    """How SNPs and indels were filtered, and why so."""
    reference: ReferenceId
    """The reference of the freeze."""
    provenance: Provenance
    """What annotated it."""


class FreezeFailed(_OfFreeze):
    """A freeze ends without a panel."""

    TYPE: ClassVar[str] = "freeze.failed"
    ONCE_PER: ClassVar[str] = "freeze and stage"

    stage: Text
    """The step that gave up."""
    rejection: RejectionDetail
    """Why."""
    went_on: Text
    """What stands though the freeze does not."""

    @property
    def occurrence(self) -> str:
        return self.stage
