"""Valid events for tests, with what a test cares about as arguments."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from contracts.events import (
    CohortFreezeRequested,
    CohortFrozen,
    FilterDecision,
    FreezeFailed,
    GvcfReady,
    IntervalGenotyped,
    PanelRecalibrated,
    RunCompleted,
    Selection,
)
from contracts.values import (
    Actor,
    ActorKind,
    Arrival,
    Artifact,
    ArtifactKind,
    EngineName,
    Interval,
    LaneReads,
    ManifestRef,
    Provenance,
    QcStatus,
    QcVerdict,
    ReferenceId,
    RejectionDetail,
    RunSample,
    Sample,
)

REFERENCE = ReferenceId(name="toy", digest="0" * 32)
OTHER_REFERENCE = ReferenceId(name="other", digest="1" * 32)
PROVENANCE = Provenance(tool="gatk", version="4.6.2.0", parameters="a" * 64)
PERSON = Actor(kind=ActorKind.person, name="tester")


def sample_of(number: int) -> str:
    return f"smp_{number:024x}"


def artifact(kind: ArtifactKind, name: str) -> Artifact:
    digest = hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()
    return Artifact(kind=kind, id=digest, uri=f"file:///store/{name}", size=len(name))


def manifest(name: str, entries: int) -> ManifestRef:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ManifestRef(uri=f"file:///store/{name}.json", sha256=digest, entries=entries)


def interval(index: int, length: int = 1000) -> Interval:
    return Interval(contig="chr1", start=index * length + 1, end=(index + 1) * length, contig_length=1_000_000)


def gvcf_ready(number: int, *, version: int = 1, status: QcStatus = QcStatus.passed, **more: Any) -> GvcfReady:
    key = sample_of(number)
    values: dict[str, Any] = {
        "sample": Sample(key=key, project="P", version=version),
        "run": "run1",
        "gvcf": artifact(ArtifactKind.gvcf, f"{key}.v{version}.g.vcf.gz"),
        "index": artifact(ArtifactKind.gvcf_index, f"{key}.v{version}.g.vcf.gz.tbi"),
        "reference": REFERENCE,
        "verdict": QcVerdict(status=status, rules="default", reasons=() if status is QcStatus.passed else ("low",)),
        "mean_coverage": 30.0,
        "records": 10,
        "variants": 2,
        "provenance": PROVENANCE,
    }
    return GvcfReady(**(values | more))


def freeze_requested(cohort: str = "c", selection: Selection | None = None, **more: Any) -> CohortFreezeRequested:
    values: dict[str, Any] = {
        "request_id": uuid.uuid4(),
        "cohort": cohort,
        "selection": selection or Selection(how="all"),
        "actor": PERSON,
    }
    return CohortFreezeRequested(**(values | more))


def frozen(freeze: str = "c:1", *, samples: int = 2, intervals: int = 3) -> CohortFrozen:
    cohort, _, number = freeze.rpartition(":")
    return CohortFrozen(
        freeze=freeze,
        cohort=cohort,
        number=int(number),
        manifest=manifest(f"{cohort}-samples", samples),
        intervals=manifest(f"{cohort}-intervals", intervals),
        reference=REFERENCE,
        engine=EngineName(name="gatk", version="4.6.2.0"),
        requested_by=PERSON,
    )


def genotyped(index: int, freeze: str = "c:1", **more: Any) -> IntervalGenotyped:
    name = f"{freeze.replace(':', '-')}-{index}"
    values: dict[str, Any] = {
        "freeze": freeze,
        "cohort": freeze.rpartition(":")[0],
        "index": index,
        "interval": interval(index),
        "vcf": artifact(ArtifactKind.vcf, f"{name}.vcf.gz"),
        "vcf_index": artifact(ArtifactKind.vcf_index, f"{name}.vcf.gz.tbi"),
        "sites": artifact(ArtifactKind.sites_vcf, f"{name}.sites.vcf.gz"),
        "sites_index": artifact(ArtifactKind.sites_vcf_index, f"{name}.sites.vcf.gz.tbi"),
        "samples": 2,
        "variants": 5,
        "seconds": 1.0,
        "attempts": 1,
        "reference": REFERENCE,
        "provenance": PROVENANCE,
    }
    return IntervalGenotyped(**(values | more))


def decisions() -> tuple[FilterDecision, ...]:
    return tuple(
        FilterDecision(variant_type=kind, method="hard-filter", rule="fewer than 30 samples", training_variants=0)
        for kind in ("snp", "indel")
    )


def recalibrated(freeze: str = "c:1", *, intervals: int = 3) -> PanelRecalibrated:
    return PanelRecalibrated(
        freeze=freeze,
        cohort=freeze.rpartition(":")[0],
        manifest=manifest("filtered", intervals),
        decisions=decisions(),
        samples=2,
        variants=15,
        passed=14,
        reference=REFERENCE,
        provenance=PROVENANCE,
    )


def freeze_failed(freeze: str = "c:1", *, stage: str = "jointcall") -> FreezeFailed:
    return FreezeFailed(
        freeze=freeze,
        cohort=freeze.rpartition(":")[0],
        stage=stage,
        rejection=RejectionDetail(code="BAD_INPUT", message="m", where="w", rule="r", fix="f"),
        went_on="all else",
    )


def run_completed(number: int, *, version: int = 1, run: str = "run1") -> RunCompleted:
    key = sample_of(number)
    lane = LaneReads(
        flowcell="FC1" if version == 1 else f"FC{version}",
        lane=1,
        index="ACGT",
        library="lib_" + "0" * 24,
        r1=artifact(ArtifactKind.fastq, f"{key}.{run}.r1.fastq.gz"),
        r2=artifact(ArtifactKind.fastq, f"{key}.{run}.r2.fastq.gz"),
        read_pairs=100,
    )
    arrived = RunSample(
        sample=Sample(key=key, project="P", version=version),
        arrival=Arrival.new if version == 1 else Arrival.top_up,
        card=artifact(ArtifactKind.card, f"{key}.json"),
        lanes=(lane,),
    )
    return RunCompleted(run=run, platform="ILLUMINA", instrument="NovaSeq", optical_distance=2500, samples=(arrived,))
