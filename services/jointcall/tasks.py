"""Jointcall's tasks: plan a freeze, genotype an interval. Frozen values that come back from a payload checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from chassis.ledger.tasks import NewTask
from contracts.values import Artifact, CohortName, FreezeId, Interval, ManifestRef, ReferenceId, Value

PLAN = "plan"
INTERVAL = "interval"
TERMINAL = ["failed", "cancelled", "released"]
"""States of a freeze that nothing changes any more."""


class Gvcf(Value):
    """A sample's gVCF in a freeze; `gaps_accepted` where a person or the policy let it pass with gaps."""

    gvcf: Artifact
    index: Artifact
    gaps_accepted: bool = False


class Columns(Value):
    """A generation that an incremental engine kept of an interval, for a later freeze of the cohort to begin with."""

    freeze: FreezeId
    """The freeze that it was made for."""
    lineage: str
    generation: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    uncovered: tuple[str, ...] | None = ()
    """Beginnings of the SHA-256 of gVCFs that leave bases of the calling intervals out; None: too many to name."""


class PlanTask(Value):
    """Write the manifests of a freeze. Its samples stand in the ledger, since their number has no bound."""

    freeze: FreezeId
    cohort: CohortName
    number: int
    engine: str
    reference: ReferenceId
    requested_by: str

    def task(self) -> NewTask:
        return NewTask(
            key=f"plan:{self.freeze}",
            kind=PLAN,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=1e12,
        )


class IntervalTask(Value):
    """Genotype one interval of a freeze for all of its samples."""

    freeze: FreezeId
    cohort: CohortName
    index: int
    interval: Interval
    manifest: ManifestRef
    reference: ReferenceId
    engine: str
    earlier: Columns | None = None
    """What to begin with."""

    def task(self, *, predicted_work: float, memory_class: str = "small") -> NewTask:
        return NewTask(
            key=f"interval:{self.freeze}:{self.index}:{self.manifest.sha256[:12]}",
            kind=INTERVAL,
            subject=self.freeze,
            belongs_to=self.cohort,
            payload=self.model_dump(mode="json"),
            priority=predicted_work,
            memory_class=memory_class,
        )


def freeze_id(cohort: str, number: int) -> str:
    return f"{cohort}:{number}"


def memory_class_for(samples: int, *, engine: str) -> str:
    """GenomicsDB reads a batch at a time, GenotypeGVCFs holds a site of all samples: memory grows with the cohort. The
    columnar engine takes shorter stretches instead, and only what is counted by sample or written as a line grows."""
    small, medium = (10_000, 100_000) if engine == "columnar" else (100, 2_000)
    if samples <= small:
        return "small"
    if samples <= medium:
        return "medium"
    return "large"
