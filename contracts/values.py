"""Values that events share. Each checks itself when it is made, so that a wrong one cannot travel.

Coordinates are 1-based and inclusive, as in VCF, SAM text and GATK interval lists, never 0-based half-open as in BED.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

SAMPLE_KEY_PATTERN = r"^smp_[0-9a-f]{24}$"
"""96 bits of an HMAC: at 10^9 samples the chance of any collision is below 10^-11."""


class Value(BaseModel):
    """A frozen value. Readers ignore what they do not know (a newer producer may have added it)."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64", use_enum_values=False)


def _printable(text: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("holds control characters; use printable text only")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_printable)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A name that is safe in an object key, a file name and a command line."""
SampleKey = Annotated[str, StringConstraints(pattern=SAMPLE_KEY_PATTERN)]
LibraryKey = Annotated[str, StringConstraints(pattern=r"^lib_[0-9a-f]{24}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
RunId = Name
FreezeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}:[1-9][0-9]*$")]
"""`<cohort>:<number>`: the freezes of a cohort are numbered from 1."""
CohortName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
Uri = Annotated[str, StringConstraints(pattern=r"^(s3|file)://[^\s?#]+$", max_length=1024)]
Contig = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*$", max_length=200)
]
"""A reference sequence name as the SAM specification (1.2.1) allows it."""

_URI_STEP_UP = re.compile(r"(^|/)\.\.(/|$)")


class ReferenceId(Value):
    """Names a reference by what it is: `digest` is over the sorted MD5s of its sequences, `name` is for people."""

    name: Name
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]

    def __str__(self) -> str:
        return f"{self.name}@{self.digest[:12]}"

    def same_build(self, other: ReferenceId) -> bool:
        return self.digest == other.digest


class Interval(Value):
    """`contig:start-end`, 1-based, inclusive; knows its contig's length and lies inside it."""

    contig: Contig
    start: Annotated[int, Field(ge=1)]
    end: Annotated[int, Field(ge=1)]
    contig_length: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.start > self.end:
            raise ValueError(f"INTERVAL_BOUNDS: start {self.start} is after end {self.end}; swap them")
        if self.end > self.contig_length:
            raise ValueError(
                f"INTERVAL_BOUNDS: end {self.end} lies beyond {self.contig} of length {self.contig_length}; "
                "cut the interval or use the reference that it was made for"
            )
        return self

    def __str__(self) -> str:
        return f"{self.contig}:{self.start}-{self.end}"

    @property
    def length(self) -> int:
        """Bases covered, both ends included."""
        return self.end - self.start + 1

    @property
    def slug(self) -> str:
        """Safe in keys and file names, and sorts by position within a contig."""
        return f"{re.sub(r'[^A-Za-z0-9._-]', '_', self.contig)}_{self.start:010d}_{self.end:010d}"


class ArtifactKind(StrEnum):
    fastq = "fastq"
    sheet = "sheet"
    card = "card"
    """A sample card: the label that stands inside artifacts, kept in the restricted landing zone, never in an event."""
    lane_bam = "lane_bam"
    cram = "cram"
    crai = "crai"
    gvcf = "gvcf"
    gvcf_index = "gvcf_index"
    vcf = "vcf"
    vcf_index = "vcf_index"
    sites_vcf = "sites_vcf"
    sites_vcf_index = "sites_vcf_index"
    parquet = "parquet"
    manifest = "manifest"
    model = "model"
    report = "report"
    workspace = "workspace"
    reference = "reference"
    log = "log"


class Artifact(Value):
    """An immutable object: its identity is its content. `uri` is where it was written; where it lies now is what the
    last artifact.* fact says. `size` in bytes. `version` is the store's version id, where it has versions."""

    kind: ArtifactKind
    id: Sha256
    uri: Uri
    size: Annotated[int, Field(ge=0)]
    version: str | None = None

    @model_validator(mode="after")
    def _no_step_up(self) -> Self:
        if _URI_STEP_UP.search(self.uri):
            raise ValueError("UNSAFE_PATH: the URI steps out of its folder with '..'; name the object itself")
        return self


class ManifestRef(Value):
    """Points at a manifest object: a list too long for an event, pinned by its hash. `entries` is the list's length."""

    uri: Uri
    sha256: Sha256
    entries: Annotated[int, Field(ge=0)]


class Provenance(Value):
    """Which tool made something. `parameters` is the SHA-256 of the canonical JSON of all parameters that matter."""

    tool: Name
    version: Text
    parameters: Sha256
    image: Text | None = None

    def same_pipeline(self, other: Provenance) -> bool:
        return (self.tool, self.version, self.parameters) == (other.tool, other.version, other.parameters)


class ActorKind(StrEnum):
    person = "person"
    service = "service"


class Actor(Value):
    """Who asked: an account name of the site, never a patient's."""

    kind: ActorKind
    name: Name


class Sample(Value):
    """A sample by its key alone. What stands inside artifacts (its label) travels in artifacts only, not here."""

    key: SampleKey
    project: Name
    version: Annotated[int, Field(ge=1)]
    """1 for a new sample, raised by each top-up."""


class Arrival(StrEnum):
    """How a sample of a run relates to what is known of it."""

    new = "new"
    top_up = "top-up"
    rerun = "rerun"


class LaneReads(Value):
    """The reads of one library in one lane of one flow cell: a pair of FASTQs."""

    flowcell: Name
    lane: Annotated[int, Field(ge=1, le=16)]
    index: Annotated[str, StringConstraints(pattern=r"^([ACGTN]+(\+[ACGTN]+)?|none)$")]
    """The sample's barcode(s), `none` where the lane was not multiplexed."""
    library: LibraryKey
    r1: Artifact
    r2: Artifact
    read_pairs: Annotated[int, Field(ge=1)]

    @property
    def read_group(self) -> str:
        """The read group's ID: unique per flow cell, lane, index and library."""
        return f"{self.flowcell}.{self.lane}.{self.index}"


class RunSample(Value):
    """One sample of a run with what came for it in this run."""

    sample: Sample
    arrival: Arrival
    card: Artifact
    lanes: Annotated[tuple[LaneReads, ...], Field(min_length=1)]


class QcStatus(StrEnum):
    passed = "pass"
    failed = "fail"
    held = "hold"


class QcVerdict(Value):
    """The verdict of a rule set that is data; `reasons` names each threshold missed, empty when passed."""

    status: QcStatus
    rules: Name
    reasons: tuple[Text, ...] = ()


class RejectionDetail(Value):
    """A rejection as it travels: no value from the input is in it that could name a person."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{2,39}$")]
    message: Text
    where: Text
    rule: Text
    fix: Text


class EngineName(Value):
    """The joint-calling engine and its version."""

    name: Name
    version: Text
