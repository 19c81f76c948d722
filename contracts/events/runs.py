"""Events of sequencer runs and of the samples that come out of them."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

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

    run: RunId
    platform: Text
    """SAM's PL: `ILLUMINA` for all runs that ingest reads today."""
    instrument: Text
    """Instrument model family as the run folder names it; align looks the optical distance up by it."""
    optical_distance: Annotated[int, Field(ge=0, le=10_000)]
    """Pixels within which two clusters count as one (100 unpatterned, 2500 patterned flow cells)."""
    samples: Annotated[tuple[RunSample, ...], Field(min_length=1, max_length=64)]
    part: Annotated[int, Field(ge=1)] = 1
    """A run with more samples than fit in one event is announced in parts, numbered from 1."""
    parts: Annotated[int, Field(ge=1)] = 1
    rejected: Annotated[int, Field(ge=0)] = 0
    """How many samples of the run were refused; each has its own `sample.failed`."""

    @property
    def subject(self) -> str:
        return self.run

    @property
    def key(self) -> str:
        return self.run

    @property
    def occurrence(self) -> str:
        return f"{self.part}"


class RunRejected(Event):
    """Nothing of a run can be used. `attempt` counts how often the folder was offered."""

    TYPE: ClassVar[str] = "run.rejected"

    run: RunId
    rejection: RejectionDetail
    attempt: Annotated[int, Field(ge=1)] = 1

    @property
    def subject(self) -> str:
        return self.run

    @property
    def key(self) -> str:
        return self.run

    @property
    def occurrence(self) -> str:
        return f"{self.attempt}"


class SampleFailed(Event):
    """A sample goes no further until someone acts; what went on without it is in `went_on`."""

    TYPE: ClassVar[str] = "sample.failed"

    sample: SampleKey
    stage: Text
    task: Text
    """The key of the task that gave up: the same task gives up once."""
    rejection: RejectionDetail
    went_on: Text

    @property
    def subject(self) -> str:
        return self.sample

    @property
    def key(self) -> str:
        return self.sample

    @property
    def occurrence(self) -> str:
        return self.task


class CramReady(Event):
    """A sample's reads are aligned, sorted, duplicate-marked and stored as CRAM 3.0 with its index."""

    TYPE: ClassVar[str] = "cram.ready"

    sample: Sample
    run: RunId
    cram: Artifact
    crai: Artifact
    reference: ReferenceId
    libraries: Annotated[tuple[LibraryKey, ...], Field(min_length=1)]
    read_groups: Annotated[tuple[Text, ...], Field(min_length=1)]
    reads: Annotated[int, Field(ge=0)]
    mean_coverage: Annotated[float, Field(ge=0)]
    """Mean depth over the calling intervals, duplicates left out."""
    duplication: Fraction
    mapped: Fraction
    insert_median: Annotated[float, Field(ge=0)]
    """Median insert size of proper pairs, in bases."""
    fingerprint: Sha256
    """Order-independent checksum of (name, mate, bases, qualities) of every primary read."""
    provenance: Provenance

    @property
    def subject(self) -> str:
        return self.sample.key

    @property
    def key(self) -> str:
        return self.sample.key

    @property
    def occurrence(self) -> str:
        return f"{self.sample.version}|{self.reference.digest}|{self.provenance.parameters}|{self.provenance.version}"


class GvcfReady(Event):
    """A sample's variants are called as a gVCF; the verdict says whether it may join cohorts."""

    TYPE: ClassVar[str] = "gvcf.ready"

    sample: Sample
    run: RunId
    gvcf: Artifact
    index: Artifact
    reference: ReferenceId
    verdict: QcVerdict
    mean_coverage: Annotated[float, Field(ge=0)]
    records: Annotated[int, Field(ge=0)]
    variants: Annotated[int, Field(ge=0)]
    provenance: Provenance

    @property
    def subject(self) -> str:
        return self.sample.key

    @property
    def key(self) -> str:
        return self.sample.key

    @property
    def occurrence(self) -> str:
        return f"{self.sample.version}|{self.reference.digest}|{self.provenance.parameters}|{self.provenance.version}"
