"""What one look at a run folder finds. Values only: made by observe.py, acted on by runs.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from chassis.errors import Rejection
from services.ingest.profiles import Profile
from services.ingest.runfolder import Instrument, RunInfo
from services.ingest.samplesheet import RefusedSample


class RunState(StrEnum):
    copying = "copying"
    conversion = "waiting for conversion"
    files = "waiting for files"
    flag = "waiting for QC flag"
    checking = "checking"
    completed = "completed"
    rejected = "rejected"

    @property
    def final(self) -> bool:
        """Nothing happens until someone changes the folder."""
        return self in (RunState.completed, RunState.rejected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a run is let through."""

    profile: Profile
    settle: timedelta
    qc_flag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file's size in bytes and time of change, and since when, by the ledger's clock, both have been so."""

    size: int
    mtime_ns: int
    since: datetime

    def as_json(self) -> list[Any]:
        return [self.size, self.mtime_ns, self.since.isoformat()]

    @classmethod
    def from_json(cls, stored: list[Any]) -> Seen:
        size, mtime_ns, since = stored
        return cls(size=size, mtime_ns=mtime_ns, since=datetime.fromisoformat(since))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromisedLane:
    """A pair of FASTQs that is there: paths relative to the run folder, sizes in bytes."""

    lane: int
    index: str
    library: str
    r1: str
    r2: str
    r1_size: int
    r2_size: int
    changed_ns: int
    """When the younger of both was last changed: a mended file of the same size is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromisedSample:
    project: str
    sample: str
    lanes: tuple[PromisedLane, ...]
    further: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A run whose files are all there: what may be taken in, and what may not and why."""

    info: RunInfo
    instrument: Instrument
    samples: tuple[PromisedSample, ...]
    refused: tuple[RefusedSample, ...]
    sheet: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Where a run stands. At most one of `rejection` (the run as a whole is refused) and `offer` (it may be taken in)
    is there; with neither it waits for `waits_for`. `papers` identifies the content of sheet and XML files."""

    run: str
    state: RunState
    waits_for: str
    seen: Mapping[str, Seen]
    papers: str
    rejection: Rejection | None = None
    offer: Offer | None = None
