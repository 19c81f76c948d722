"""Values that events share. Each checks itself when it is made, so that a wrong one cannot travel.

Coordinates are 1-based and inclusive, as in VCF, SAM text and GATK interval lists, never 0-based half-open as in BED.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

SAMPLE_KEY_PATTERN = r"^smp_[0-9a-f]{24}$"
"""96 bits of an HMAC: at 10^9 samples the chance of any collision is below 10^-11."""


class Value(BaseModel):
    """A frozen value. Readers ignore what they do not know (a newer producer may have added it)."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        ser_json_bytes="base64",
        use_enum_values=False,
        # JSON has no word for them: a reader in another language could not parse the event
        allow_inf_nan=False,
        # the docstring under a field is its description in the JSON Schema and in docs/events.md
        use_attribute_docstrings=True,
    )


_URI_STEP_UP = r"(^|/)\.\.(/|$)"


def _no_step_up(uri: str) -> str:
    # percent-encoded too: a store that decodes the path would step up all the same
    if re.search(_URI_STEP_UP, unquote(uri)):
        raise PydanticCustomError(
            "UNSAFE_PATH", "UNSAFE_PATH: the URI steps out of its folder with '..'; name the object itself"
        )
    return uri


PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=PRINTABLE)]
"""Text for people, without control characters: it is printed to terminals and written to logs."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A name that is safe in an object key, a file name and a command line."""
SampleKey = Annotated[str, StringConstraints(pattern=SAMPLE_KEY_PATTERN)]
LibraryKey = Annotated[str, StringConstraints(pattern=r"^lib_[0-9a-f]{24}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
RunId = Name
FreezeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}:[1-9][0-9]{0,8}$")]
"""`<cohort>:<number>`: the freezes of a cohort are numbered from 1."""
CohortName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
Uri = Annotated[
    str,
    StringConstraints(pattern=r"^(s3|file)://[^\s?#\x00-\x1f\x7f]+$", max_length=1024),
    AfterValidator(_no_step_up),
    Field(json_schema_extra={"not": {"pattern": _URI_STEP_UP}}),
]
"""Where an object lies: no query, no fragment, no `..`, since stores make keys and paths of it."""
Contig = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*$", max_length=200)
]
"""A reference sequence name as the SAM specification (1.2.1) allows it."""


class ReferenceId(Value):
    """Names a reference by what it is: `digest` is over the sorted MD5s of its sequences, `name` is for people."""

    name: Name
    """What people call it, e.g. `GRCh38`; two references of one name are told apart by their digest."""
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    """MD5, as hex, over the sorted MD5s of the sequences."""

    def __str__(self) -> str:
        return f"{self.name}@{self.digest[:12]}"

    def same_build(self, other: ReferenceId) -> bool:
        return self.digest == other.digest


class Interval(Value):
    """`contig:start-end`, 1-based, inclusive; knows its contig's length and lies inside it."""

    contig: Contig
    """The reference sequence's name."""
    start: Annotated[int, Field(ge=1)]
    """First base, counted from 1."""
    end: Annotated[int, Field(ge=1)]
    """Last base, included."""
    contig_length: Annotated[int, Field(ge=1)]
    """Length of the whole contig in bases."""

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.start > self.end:
            raise PydanticCustomError(
                "INTERVAL_BOUNDS",
                "INTERVAL_BOUNDS: start {start} is after end {end}; swap them",
                {"start": self.start, "end": self.end},
            )
        if self.end > self.contig_length:
            raise PydanticCustomError(
                "INTERVAL_BOUNDS",
                "INTERVAL_BOUNDS: end {end} lies beyond {contig} of length {length}; "
                "cut the interval or use the reference that it was made for",
                {"end": self.end, "contig": self.contig, "length": self.contig_length},
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
    """What an object is. Tiering rules act on it; a new kind needs a new major version of the events that name it."""

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
    """An immutable object: its identity is its content."""

    kind: ArtifactKind
    """What it is."""
    id: Sha256
    """SHA-256 of the content, as hex."""
    uri: Uri
    """Where it was written; where it lies now is what the last artifact.* fact says."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    version: Text | None = None
    """The store's version id, where the store has versions."""


class ManifestRef(Value):
    """Points at a manifest object: a list too long for an event, pinned by its hash."""

    uri: Uri
    """Where the manifest object lies."""
    sha256: Sha256
    """SHA-256 of the manifest object's bytes, as hex."""
    entries: Annotated[int, Field(ge=0)]
    """The list's length."""


class Provenance(Value):
    """Which tool made something. Work with another provenance is other work."""

    tool: Name
    """The tool or engine, e.g. `gatk-haplotypecaller`."""
    version: Text
    """The tool's own version."""
    parameters: Sha256
    """SHA-256 of the canonical JSON of all parameters that matter."""
    image: Text | None = None
    """The container image and its digest, where the tool ran in one."""

    def same_pipeline(self, other: Provenance) -> bool:
        return (self.tool, self.version, self.parameters) == (other.tool, other.version, other.parameters)


class ActorKind(StrEnum):
    """Whether a person or a service asks."""

    person = "person"
    service = "service"


class Actor(Value):
    """Who asked: an account name of the site, never a patient's."""

    kind: ActorKind
    """A person or a service."""
    name: Name
    """The account's or the service's name."""


class Sample(Value):
    """A sample by its key alone. What stands inside artifacts (its label) travels in artifacts only, not here."""

    key: SampleKey
    """HMAC of project and laboratory id under the site's secret: stable, and not to be guessed."""
    project: Name
    """The project the sample belongs to."""
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
    """The flow cell's barcode."""
    lane: Annotated[int, Field(ge=1, le=16)]
    """The lane's number on the flow cell, from 1."""
    index: Annotated[str, StringConstraints(pattern=r"^([ACGTN]+(\+[ACGTN]+)?|none)$")]
    """The sample's barcode(s), `none` where the lane was not multiplexed."""
    library: LibraryKey
    """HMAC of the library's name: duplicates are marked within a library."""
    r1: Artifact
    """FASTQ of the first mates."""
    r2: Artifact
    """FASTQ of the second mates."""
    read_pairs: Annotated[int, Field(ge=1)]
    """Read pairs, counted when the FASTQs were validated."""

    @property
    def read_group(self) -> str:
        """The read group's ID: a lane's index names one library, so these three are unique."""
        return f"{self.flowcell}.{self.lane}.{self.index}"


class RunSample(Value):
    """One sample of a run with what came for it in this run."""

    sample: Sample
    """The sample, with the version it has after this run."""
    arrival: Arrival
    """How it relates to what was known: new, top-up or rerun."""
    card: Artifact
    """The sample card in the restricted zone: the label that stands inside artifacts."""
    lanes: Annotated[tuple[LaneReads, ...], Field(min_length=1)]
    """Its reads, by library and lane."""


class QcStatus(StrEnum):
    """`pass` takes part in every freeze of all; `fail` and `hold` wait for a person."""

    passed = "pass"
    failed = "fail"
    held = "hold"


class QcVerdict(Value):
    """The verdict of a rule set that is data."""

    status: QcStatus
    """Pass, fail or hold."""
    rules: Name
    """The rule set's name and version."""
    reasons: tuple[Text, ...] = ()
    """Each threshold missed, with the measured value; empty when passed."""


class RejectionDetail(Value):
    """A rejection as it travels: no value from the input is in it that could name a person."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{2,39}$")]
    """A code of the catalogue, e.g. `GZIP_TRUNCATED`."""
    message: Text
    """What is wrong."""
    where: Text
    """The file, and the line or record in it."""
    rule: Text
    """The rule that was broken."""
    fix: Text
    """What to do about it."""


class EngineName(Value):
    """The joint-calling engine and its version."""

    name: Name
    """`gatk`, `columnar` or `glnexus`."""
    version: Text
    """The engine's own version."""
