"""The archive's tasks: frozen, checked when made, with deterministic keys, so that asking twice is asking once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chassis.ledger.tasks import Lease, NewTask
from contracts.values import Artifact, ArtifactKind, ManifestRef, ReferenceId, SampleKey, Sha256, Uri

MANIFEST_PART = 5_000
"""Entries of a manifest that one task reads: a few artifacts each, so its result stays within a few MB."""
MEMBERS = "members"
"""The role of the manifest that says which gVCFs a freeze is made of."""


class _Task(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, lease: Lease) -> Self:
        return cls.model_validate(dict(lease.payload))


class EnrolTask(_Task):
    """Read one part of a manifest and record every artifact that its entries name."""

    freeze: str
    cohort: str
    role: str
    stage: str
    manifest: ManifestRef
    part: Annotated[int, Field(ge=0)]
    parts: Annotated[int, Field(ge=1)]

    def task(self) -> NewTask:
        return NewTask(
            key=f"enrol:{self.freeze}:{self.role}:{self.manifest.sha256[:16]}:{self.part}",
            kind="enrol",
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            # An unread manifest keeps every sample's files where they are: read it before moving anything.
            priority=10.0,
        )


def parts_of(manifest: ManifestRef) -> int:
    return max(1, -(-manifest.entries // MANIFEST_PART))


class LaneFiles(_Task):
    """The FASTQs of one read group; `fingerprint` is known where they were read before."""

    read_group: str
    r1: Artifact
    r2: Artifact
    fingerprint: Sha256 | None = None


class VerifyTask(_Task):
    """Compare a CRAM's fingerprint with the one of the FASTQs that it was made from."""

    sample: SampleKey
    version: Annotated[int, Field(ge=1)]
    cram: Artifact
    reference: ReferenceId
    fingerprint: Sha256
    lanes: Annotated[tuple[LaneFiles, ...], Field(min_length=1)]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted({file.id for lane in self.lanes for file in (lane.r1, lane.r2)}))

    def task(self) -> NewTask:
        return NewTask(
            key=f"verify:{self.sample}:{self.version}:{self.cram.id[:16]}:{_digest(self.files)}",
            kind="verify",
            subject=self.sample,
            payload=self.model_dump(mode="json"),
        )


class ActTask(_Task):
    """Purge or move exactly this version of this copy, once its grace period is over, if it is still condemned."""

    artifact: Sha256
    uri: Uri
    version: str | None
    kind: ArtifactKind
    action: str
    policy: str
    count: Annotated[int, Field(ge=1)]
    """Of the fact that condemned it: names this condemnation and no later one."""
    not_before: AwareDatetime

    def task(self, *, now: datetime) -> NewTask:
        return NewTask(
            key=f"act:{self.artifact}:{self.count}",
            kind="act",
            subject=self.artifact,
            belongs_to=condemned(self.artifact),
            payload=self.model_dump(mode="json"),
            delay=max(self.not_before - now, timedelta(0)),
        )


def condemned(artifact: str) -> str:
    """What acts on an artifact belong to, so that a hold can cancel them and nothing else."""
    return f"condemned:{artifact}"


class RestoreTask(_Task):
    """Make every copy of an artifact readable for `days`."""

    artifact: Sha256
    number: Annotated[int, Field(ge=1)]
    uris: Annotated[tuple[Uri, ...], Field(min_length=1)]
    days: Annotated[int, Field(ge=1, le=365)]

    def task(self) -> NewTask:
        return NewTask(
            key=f"restore:{self.artifact}:{self.number}",
            kind="restore",
            subject=self.artifact,
            belongs_to="restore",
            payload=self.model_dump(mode="json"),
            # Somebody waits for it.
            priority=20.0,
        )


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
