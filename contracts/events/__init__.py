"""Every event that services say to each other."""

from __future__ import annotations

from contracts.events.artifacts import (
    ArtifactCondemned,
    ArtifactHoldReleased,
    ArtifactHoldRequested,
    ArtifactPurged,
    ArtifactRestored,
    ArtifactRestoreRequested,
    ArtifactTiered,
)
from contracts.events.base import MAX_EVENT_BYTES, Command, Event, EventKind
from contracts.events.cohorts import (
    CohortFreezeRequested,
    CohortFrozen,
    FilterDecision,
    FreezeFailed,
    IntervalGenotyped,
    PanelRecalibrated,
    PanelReleased,
    PanelSummary,
    Selection,
)
from contracts.events.people import (
    QuarantineDecisionRequested,
    SampleTagRequested,
    SampleVerdictRequested,
    SampleWithdrawalRequested,
    SampleWithdrawn,
    WorkCancelRequested,
)
from contracts.events.runs import CramReady, GvcfReady, RunCompleted, RunRejected, SampleFailed

ALL: tuple[type[Event], ...] = (
    RunCompleted,
    RunRejected,
    SampleFailed,
    CramReady,
    GvcfReady,
    CohortFreezeRequested,
    CohortFrozen,
    IntervalGenotyped,
    PanelRecalibrated,
    PanelReleased,
    FreezeFailed,
    SampleVerdictRequested,
    SampleTagRequested,
    SampleWithdrawalRequested,
    SampleWithdrawn,
    WorkCancelRequested,
    QuarantineDecisionRequested,
    ArtifactRestoreRequested,
    ArtifactHoldRequested,
    ArtifactHoldReleased,
    ArtifactCondemned,
    ArtifactTiered,
    ArtifactRestored,
    ArtifactPurged,
)
BY_TYPE: dict[str, type[Event]] = {event.TYPE: event for event in ALL}

__all__ = [
    "ALL",
    "BY_TYPE",
    "MAX_EVENT_BYTES",
    "ArtifactCondemned",
    "ArtifactHoldReleased",
    "ArtifactHoldRequested",
    "ArtifactPurged",
    "ArtifactRestoreRequested",
    "ArtifactRestored",
    "ArtifactTiered",
    "CohortFreezeRequested",
    "CohortFrozen",
    "Command",
    "CramReady",
    "Event",
    "EventKind",
    "FilterDecision",
    "FreezeFailed",
    "GvcfReady",
    "IntervalGenotyped",
    "PanelRecalibrated",
    "PanelReleased",
    "PanelSummary",
    "QuarantineDecisionRequested",
    "RunCompleted",
    "RunRejected",
    "SampleFailed",
    "SampleTagRequested",
    "SampleVerdictRequested",
    "SampleWithdrawalRequested",
    "SampleWithdrawn",
    "Selection",
    "WorkCancelRequested",
]
