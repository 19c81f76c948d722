"""Events of the archive: what is kept, moved, brought back and destroyed."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from contracts.events.base import Command, Event
from contracts.values import Actor, ArtifactKind, Name, Sha256, Text, Uri


class _OnArtifact(Command):
    SUBJECT: ClassVar[str] = "artifact"

    artifact: Sha256
    """The artifact's identity: the SHA-256 of its content."""
    actor: Actor
    """Who asks."""
    reason: Text
    """Why, in words."""


class ArtifactRestoreRequested(_OnArtifact):
    """Someone needs this object back from its cold tier."""

    TYPE: ClassVar[str] = "artifact.restore.requested"

    days: Annotated[int, Field(ge=1, le=365)] = 7
    """Days that it should stay readable."""


class ArtifactHoldRequested(_OnArtifact):
    """Keep this object: neither purge nor move it until the hold is released."""

    TYPE: ClassVar[str] = "artifact.hold.requested"


class ArtifactHoldReleased(_OnArtifact):
    """The hold that this actor placed is lifted."""

    TYPE: ClassVar[str] = "artifact.hold.released"


class _OfArtifact(Event):
    SUBJECT: ClassVar[str] = "artifact"

    ONCE_PER: ClassVar[str] = "artifact and count"

    artifact: Sha256
    """The artifact's identity: the SHA-256 of its content."""
    kind: ArtifactKind
    """What the artifact is."""
    uri: Uri
    """Where it lies, or lay, when this was told."""
    version: Text | None = None
    """The store's version id of exactly the object meant, where the store has versions."""
    count: Annotated[int, Field(ge=1)]
    """Counts the archive's facts about this artifact, from 1: such facts can repeat."""

    @property
    def occurrence(self) -> str:
        return f"{self.count}"


class ArtifactCondemned(_OfArtifact):
    """After `not_before` this object will be purged or moved, unless someone places a hold."""

    TYPE: ClassVar[str] = "artifact.condemned"

    action: Text
    """What will be done: purge, or the storage class that it moves to."""
    policy: Name
    """The archive policy that decided it."""
    not_before: AwareDatetime
    """The end of the grace period (RFC 3339, with its offset)."""


class ArtifactTiered(_OfArtifact):
    """The object lies in another storage class now; its content was verified there."""

    TYPE: ClassVar[str] = "artifact.tiered"

    tier: Name
    """The storage class it lies in now; COLD: a cold place of its own, with a stub left under `uri`."""
    policy: Name
    """The archive policy that moved it."""
    lies_at: Uri | None = None
    """Where its bytes lie, when not under `uri` alone: the verified copy in the cold place."""


class ArtifactRestored(_OfArtifact):
    """The object can be read again, until `until`."""

    TYPE: ClassVar[str] = "artifact.restored"

    until: AwareDatetime | None = None
    """When the readable copy goes (RFC 3339, with its offset); absent when it stays."""


class ArtifactPurged(_OfArtifact):
    """The object is gone; `guards` says which checks held before it went."""

    TYPE: ClassVar[str] = "artifact.purged"

    policy: Name
    """The archive policy that decided it."""
    guards: tuple[Text, ...]
    """The checks that held before it went."""
