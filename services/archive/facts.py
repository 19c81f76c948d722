"""What the archive knows when it decides: frozen values, free of any database, so that deciding is a pure function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from chassis.storage.stub import COLD
from contracts.values import ArtifactKind
from services.archive.prices import STANDARD, Prices


class State(StrEnum):
    """Of one stored copy. `missing`: a fact names it, the store has it not; a person must look."""

    stored = "stored"
    condemned = "condemned"
    purged = "purged"
    missing = "missing"


class Check(StrEnum):
    """What comparing a CRAM's fingerprint with its FASTQs' showed. `failed`: it could not be compared."""

    agrees = "agrees"
    differs = "differs"
    failed = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One copy of an artifact: content (`id`) at a place (`uri`). `subject` is a sample key, a run or a freeze."""

    id: str
    uri: str
    kind: ArtifactKind
    stage: str
    subject: str
    recorded_at: datetime
    size: int | None = None
    version: str | None = None
    made_at: datetime | None = None
    """When the store got it, for what only the inventory found."""
    tier: str = STANDARD
    tier_since: datetime
    state: State = State.stored
    wanted_until: datetime | None = None
    """Someone asked to read it until then."""
    not_again_before: datetime | None = None
    """An act on it failed: no new one before this time."""
    warm: bool = False
    """It was brought back from the cold place and lies here too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiering:
    """How objects go cold here, as the archive found out at its start. `said`: that in words."""

    backend: Literal["storage-class", "copy", "none"]
    said: str
    classes: frozenset[str] | None = None
    """Storage classes that the store kept when it was tried; None: not tried."""
    cold: str | None = None
    """The base of the cold place, where one can be used."""
    place_id: str | None = None
    """What the cold place says of itself: a folder on which nothing is mounted does not say it."""

    def refuses(self, action: str) -> str | None:
        """Why nothing can be moved there; None where it can."""
        if self.backend == "none":
            return self.said
        if action == COLD:
            return None if self.cold is not None else "no cold place is named ([cold] base)"
        if self.backend == "copy":
            return f"{action} is read at once, and the cold place is not: it stays"
        if self.classes is not None and action not in self.classes:
            return f"the store does not keep {action}"
        return None


STORAGE_CLASS = Tiering(backend="storage-class", said="the store has storage classes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A pair of FASTQs, as run.completed named it. `version` is the first sample version that has it."""

    sample: str
    version: int
    read_group: str
    r1: str
    r2: str
    fingerprint: str | None = None
    """Recomputed from the files, as lower-case hex; None until then."""

    @property
    def files(self) -> frozenset[str]:
        return frozenset({self.r1, self.r2})

    @property
    def order(self) -> tuple[int, str, str]:
        """The latest pair of a read group wins; ids break a tie, the same way whatever came first."""
        return (self.version, self.r1, self.r2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cram:
    """A sample version's CRAM. `kept`: a copy lies in the store and nothing is about to purge it.

    `check` is what comparing its fingerprint with that of `compared` (ids of FASTQs) showed. That it agrees is never
    taken back, and proves these very files and no others.
    """

    id: str
    crai: str
    sample: str
    version: int
    read_groups: frozenset[str]
    fingerprint: str
    recorded_at: datetime
    kept: bool
    check: Check | None = None
    compared: frozenset[str] = frozenset()

    def proves(self, files: Iterable[str]) -> bool:
        return self.check is Check.agrees and self.kept and self.compared.issuperset(files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gvcf:
    id: str
    index: str
    sample: str
    version: int
    passed: bool
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """`members` are the artifacts that its manifest names; None until every part of the manifest was read."""

    id: str
    members: frozenset[str] | None
    released_at: datetime | None = None
    failed: bool = False

    @property
    def open(self) -> bool:
        return self.released_at is None and not self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    artifact: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The artifacts to decide on and everything that bears on them."""

    artifacts: tuple[Recorded, ...]
    lanes: tuple[Lane, ...] = ()
    crams: tuple[Cram, ...] = ()
    gvcfs: tuple[Gvcf, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    holds: tuple[Hold, ...] = ()
    prices: Prices
    tiering: Tiering = STORAGE_CLASS
