"""What every way of going cold does. Whoever calls has asked the ledger; the store is asked again here.

Each act ends as the result of its task says: `did`, one of moved, purged, spared, out of reach (spared, with a copy
where nobody who may still act knows of it), refused, gone; `why` in words; the `version` that the object has now or
had; and for a copy in a cold place `cold`, its URI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chassis.outcomes import Done, Outcome
from chassis.storage.keys import ColdCopy
from chassis.storage.store import ObjectFacts
from contracts.values import ArtifactKind

Begin = Callable[[Mapping[str, Any]], Awaitable[None]]
"""The fenced write: the last step before an act. It raises when the lease is lost or the task was cancelled, and what
it wrote is `Meant.begun` for every attempt after it."""
StillRight = Callable[[], Awaitable[str | None]]
"""Asks the ledger once more, after what took long: why the act must not go on, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """One stored copy of an artifact, as the ledger has it, and the attempt that is about it."""

    artifact: str
    kind: ArtifactKind
    uri: str
    version: str | None
    attempt: ColdCopy
    """Names what this attempt, and no other, writes to a cold place."""
    cold: str | None = None
    """Where the ledger has a verified copy of it besides."""
    begun: Mapping[str, Any] | None = None
    """What an earlier attempt (or this one) wrote when it began: it may still be about to act."""


class TierBackend(Protocol):
    """Asked again after a crash at any step, each of these goes on; none leaves the content nowhere. All raise
    StoreUnavailable where a store is away or full: nothing was lost, and the task is tried again later."""

    @property
    def name(self) -> str: ...

    async def move(
        self, meant: Meant, found: ObjectFacts, tier: str, *, begin: Begin, still_right: StillRight
    ) -> Outcome:
        """Verified there, then it goes from here. `found` is the version meant."""
        ...

    async def purge(self, meant: Meant, found: ObjectFacts | None, *, begin: Begin, guards: tuple[str, ...]) -> Outcome:
        """Exactly the version meant, and the copy in the cold place. `found` None: the version is not there."""
        ...

    async def spare(self, meant: Meant, *, purging: bool, tier: str, why: str) -> Outcome:
        """Leave it. Where an attempt had begun, put it out of that one's reach."""
        ...

    async def not_there(self, meant: Meant, *, tier: str) -> Outcome:
        """The version to be moved is gone: by an earlier attempt of this very act, or by another hand."""
        ...

    async def restore(self, meant: Meant, *, days: int, begin: Begin) -> ObjectFacts | None:
        """Ask for it, or bring it back; what the store says of it then. None: it lies nowhere. Raises Rejected
        CONTENT_CHANGED where no copy is what it should be; that one stays as it is."""
        ...


def did(what: str, **more: Any) -> Done:
    return Done(result={"did": what, **more})


def changed(why: str) -> Done:
    return did("refused", code="CONTENT_CHANGED", why=f"REFUSED: {why}")
