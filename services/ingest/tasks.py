"""Ingest's one kind of task: check a sample's FASTQs of one run and store them. Chunks are lanes.

Key: `check|<run>|<sample key>|<attempt>`. Output: two FASTQs a lane and the sample card, in the landing zone under
names that hold their content's sum, so that an attempt that lost its lease can only write what is there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chassis.ledger.tasks import NewTask

CHECK = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLane:
    """A pair of FASTQs by paths relative to the run root; `library` is its key."""

    lane: int
    index: str
    library: str
    r1: str
    r2: str

    @property
    def chunk(self) -> str:
        return f"lane {self.lane}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTask:
    """`label` and `libraries` (names by key) are the laboratory's; they stay in this ledger and the landing zone."""

    run: str
    attempt: int
    root: str
    flowcell: str
    sample: str
    project: str
    label: str
    libraries: Mapping[str, str]
    lanes: tuple[CheckLane, ...]

    @property
    def key(self) -> str:
        return f"{CHECK}|{self.run}|{self.sample}|{self.attempt}"

    def new(self) -> NewTask:
        payload = {
            "run": self.run,
            "attempt": self.attempt,
            "root": self.root,
            "flowcell": self.flowcell,
            "sample": self.sample,
            "project": self.project,
            "label": self.label,
            "libraries": dict(self.libraries),
            "lanes": [
                {"lane": one.lane, "index": one.index, "library": one.library, "r1": one.r1, "r2": one.r2}
                for one in self.lanes
            ],
        }
        return NewTask(key=self.key, kind=CHECK, subject=self.sample, belongs_to=self.run, payload=payload)

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> CheckTask:
        return cls(**{**payload, "lanes": tuple(CheckLane(**lane) for lane in payload["lanes"])})


def sheet_refusal(run: str, sample: str, attempt: int) -> str:
    """Stands for the task in the `sample.failed` of a sample that never got one."""
    return f"sheet|{run}|{sample}|{attempt}"
