"""Events of sequencer runs and of the samples that come out of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.events.base import Event
from contracts.values import (
    Artifact,
    LibraryKey,
    Provenance,
    QcVerdict,
    ReferenceId,
    RejectionDetail,
    RunId,
    RunSample,
    Sample,
    SampleKey,
    Sha256,
    Text,
)

Fraction = Annotated[float, Field(ge=0, le=1)]


class RunCompleted(Event):
    """Every good sample of a run is validated and stored. A run is announced once."""

    TYPE: ClassVar[str] = "run.completed"
    ONCE_PER: ClassVar[str] = "run and part"
    TAKEN_BACK: ClassVar[bool] = False  # the run folder may be gone; its FASTQs lie in the store
    SUBJECT: ClassVar[str] = "run"

    run: RunId
    """The run folder's name."""
    platform: Text
    """SAM's PL: `ILLUMINA` for all runs that ingest reads today."""
    instrument: Text
    """Instrument model family as the run folder names it; align looks the optical distance up by it."""
    optical_distance: Annotated[int, Field(ge=0, le=10_000)]
    """Pixels within which two clusters count as one (100 unpatterned, 2500 patterned flow cells)."""
    samples: Annotated[tuple[RunSample, ...], Field(min_length=1, max_length=64)]
    """What came for each good sample."""
    part: Annotated[int, Field(ge=1)] = 1
    """A run with more samples than fit in one event is announced in parts, numbered from 1."""
    parts: Annotated[int, Field(ge=1)] = 1
    """How many parts there are."""
    rejected: Annotated[int, Field(ge=0)] = 0
    """How many samples of the run were refused; each has its own `sample.failed`."""

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        if self.part > self.parts:
            raise PydanticCustomError(
                "PART_NUMBER",
                "PART_NUMBER: part {part} of {parts}; parts are numbered from 1 to their count",
                {"part": self.part, "parts": self.parts},
            )
        return self

    @property
    def occurrence(self) -> str:
        return f"{self.part}"


class RunRejected(Event):
    """Nothing of a run can be used."""

    TYPE: ClassVar[str] = "run.rejected"
    ONCE_PER: ClassVar[str] = "run and attempt"
    SUBJECT: ClassVar[str] = "run"

    run: RunId
    """The run folder's name."""
    rejection: RejectionDetail
    """Why."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """How often the folder was offered."""

    @property
    def occurrence(self) -> str:
        return f"{self.attempt}"


class SampleFailed(Event):
    """A sample goes no further until someone acts."""

    TYPE: ClassVar[str] = "sample.failed"
    ONCE_PER: ClassVar[str] = "sample and task"
    SUBJECT: ClassVar[str] = "sample"

    sample: SampleKey
    """The sample's key."""
    stage: Text
    """The step that gave up, e.g. `align`."""
    task: Text
    """The key of the task that gave up: the same task gives up once."""
    rejection: RejectionDetail
    """Why."""
    went_on: Text
    """What went on without the sample."""

    @property
    def occurrence(self) -> str:
        return self.task


class CramReady(Event):
    """A sample's reads are aligned, sorted, duplicate-marked and stored as CRAM 3.0 with its index."""

    TYPE: ClassVar[str] = "cram.ready"
    ONCE_PER: ClassVar[str] = "sample, sample version, reference, tool version and parameters"
    SUBJECT: ClassVar[str] = "sample.key"

    sample: Sample
    """The sample, with the version that these reads are."""
    run: RunId
    """The run whose reads made this version."""
    cram: Artifact
    """The CRAM."""
    crai: Artifact
    """The CRAM's index."""
    reference: ReferenceId
    """The reference it is aligned to and needs for decoding."""
    libraries: Annotated[tuple[LibraryKey, ...], Field(min_length=1)]
    """The libraries in it; duplicates are marked within each."""
    read_groups: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The read groups in it, as `flowcell.lane.index`."""
    reads: Annotated[int, Field(ge=0)]
    """Primary reads, mapped or not."""
    mean_coverage: Annotated[float, Field(ge=0)]
    """Mean depth over the calling intervals, duplicates left out."""
    duplication: Fraction
    """Fraction of mapped primary reads that are marked duplicates."""
    mapped: Fraction
    """Fraction of primary reads that are mapped."""
    insert_median: Annotated[float, Field(ge=0)]
    """Median insert size of proper pairs, in bases."""
    fingerprint: Sha256
    """Order-independent checksum of (name, mate, bases, qualities) of every primary read."""
    provenance: Provenance
    """What made the CRAM."""

    @property
    def occurrence(self) -> str:
        return f"{self.sample.version}|{self.reference.digest}|{self.provenance.parameters}|{self.provenance.version}"


class GvcfReady(Event):
    """A sample's variants are called as a gVCF; the verdict says whether it may join cohorts."""

    TYPE: ClassVar[str] = "gvcf.ready"
    ONCE_PER: ClassVar[str] = "sample, sample version, reference, tool version and parameters"
    SUBJECT: ClassVar[str] = "sample.key"

    sample: Sample
    """The sample, with the version that was called."""
    run: RunId
    """The run whose reads made this version."""
    gvcf: Artifact
    """The gVCF, bgzip-compressed."""
    index: Artifact
    """The gVCF's tabix index."""
    reference: ReferenceId
    """The reference it was called against."""
    verdict: QcVerdict
    """Whether the sample may join cohorts."""
    mean_coverage: Annotated[float, Field(ge=0)]
    """Mean depth over the calling intervals, duplicates left out."""
    records: Annotated[int, Field(ge=0)]
    """Records in the gVCF, reference blocks included."""
    variants: Annotated[int, Field(ge=0)]
    """Records with an alternative allele of their own."""
    covered_bp: Annotated[int, Field(ge=0)] | None = None
    """Bases that its records cover, each counted once; absent where nobody counted."""
    declared_bp: Annotated[int, Field(ge=0)] | None = None
    """Bases of the reference's calling intervals, which a gVCF covers whole."""
    provenance: Provenance
    """What called it."""

    @property
    def occurrence(self) -> str:
        return f"{self.sample.version}|{self.reference.digest}|{self.provenance.parameters}|{self.provenance.version}"
