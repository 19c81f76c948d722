"""Jointcall's tasks: plan a freeze, genotype an interval. Frozen values that come back from a payload checked."""

from __future__ import annotations

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


def memory_class_for(samples: int) -> str:
    """GenomicsDB reads a batch at a time, GenotypeGVCFs holds a site of all samples: memory grows with the cohort."""
    if samples <= 100:
        return "small"
    if samples <= 2_000:
        return "medium"
    return "large"
