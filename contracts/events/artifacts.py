"""Events of the archive: what is kept, moved, brought back and destroyed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from contracts.events.base import Command, Event
from contracts.values import Actor, ArtifactKind, Name, Sha256, Text, Uri


class _OnArtifact(Command):
    artifact: Sha256
    actor: Actor
    reason: Text

    @property
    def subject(self) -> str:
        return self.artifact

    @property
    def key(self) -> str:
        return self.artifact


class ArtifactRestoreRequested(_OnArtifact):
    """Someone needs this object back from its cold tier."""

    TYPE: ClassVar[str] = "artifact.restore.requested"

    days: Annotated[int, Field(ge=1, le=365)] = 7


class ArtifactHoldRequested(_OnArtifact):
    """Keep this object: neither purge nor move it until the hold is released."""

    TYPE: ClassVar[str] = "artifact.hold.requested"


class ArtifactHoldReleased(_OnArtifact):
    """The hold that this actor placed is lifted."""

    TYPE: ClassVar[str] = "artifact.hold.released"


class _OfArtifact(Event):
    artifact: Sha256
    kind: ArtifactKind
    uri: Uri
    version: str | None = None
    count: Annotated[int, Field(ge=1)]
    """Counts the archive's facts about this artifact, from 1: such facts can repeat."""

    @property
    def subject(self) -> str:
        return self.artifact

    @property
    def key(self) -> str:
        return self.artifact

    @property
    def occurrence(self) -> str:
        return f"{self.count}"


class ArtifactCondemned(_OfArtifact):
    """After `not_before` this object will be purged or moved, unless someone places a hold."""

    TYPE: ClassVar[str] = "artifact.condemned"

    action: Text
    policy: Name
    not_before: datetime


class ArtifactTiered(_OfArtifact):
    """The object lies in another storage class now; its content was verified there."""

    TYPE: ClassVar[str] = "artifact.tiered"

    tier: Name
    policy: Name


class ArtifactRestored(_OfArtifact):
    """The object can be read again, until `until`."""

    TYPE: ClassVar[str] = "artifact.restored"

    until: datetime | None = None


class ArtifactPurged(_OfArtifact):
    """The object is gone; `guards` says which checks held before it went."""

    TYPE: ClassVar[str] = "artifact.purged"

    policy: Name
    guards: tuple[Text, ...]
