"""Vqsr's work: decide how to filter, and train if a model is to be had; filter an interval; write the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chassis.outcomes import Done, Outcome
from chassis.storage import manifests
from chassis.worker.context import TaskContext
from contracts.events import FilterDecision, PanelRecalibrated
from contracts.values import ArtifactKind
from services.vqsr.engines.protocol import Engine, NotFitted, TrainedModel
from services.vqsr.engines.registry import engine_for
from services.vqsr.engines.sites import gather_sites, measure
from services.vqsr.rules import VARIANT_TYPES, Minimums, VariantType, decide, fall_back
from services.vqsr.tasks import Filtered, FilterTask, FinaliseTask, Model, TrainTask


async def train(context: TaskContext) -> Outcome:
    """Gather all sites, decide by the stated rules, train what is to be trained. What cannot be fitted falls back."""
    task = TrainTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    parts = [
        await context.fetch_shared(one.sites, f"{number:06d}.sites.vcf.gz") for number, one in enumerate(task.sites)
    ]
    sites = context.scratch / "all.sites.vcf.gz"
    gather_sites(parts, sites)
    statistics = measure(sites, resources=reference.known_sites)
    settings = context.settings.vqsr
    minimums = Minimums(
        samples=settings.minimum_samples,
        training_snps=settings.minimum_training_snps,
        training_indels=settings.minimum_training_indels,
    )
    decisions: list[FilterDecision] = []
    models: dict[str, Model] = {}
    for kind in VARIANT_TYPES:
        found = statistics[kind]
        decision = decide(
            kind,
            samples=task.samples,
            training_variants=found.training_variants,
            minimums=minimums,
            annotation_variance=found.variance,
        )
        if decision.method == "vqsr":
            try:
                models[kind] = await _trained(context, sites, decision, reference.known_sites)
            except NotFitted as not_fitted:
                decision = fall_back(decision, reason=str(not_fitted))
        decisions.append(decision)
    result = {
        "decisions": [one.model_dump(mode="json") for one in decisions],
        "models": {kind: one.model_dump(mode="json") for kind, one in models.items()},
    }
    return Done(result=result)


async def filter_interval(context: TaskContext) -> Outcome:
    """Filter one interval as decided for the whole freeze."""
    task = FilterTask.model_validate(context.payload)
    vcf = await context.fetch(task.vcf, "interval.vcf.gz")
    await context.fetch(task.vcf_index, "interval.vcf.gz.tbi")
    models: dict[VariantType, TrainedModel] = {}
    for kind in VARIANT_TYPES:
        if kind in task.models:
            models[kind] = await _fetched(context, kind, task.models[kind])
    out = context.scratch / "filtered.vcf.gz"
    counts = _engine(context).filter(
        vcf_in=vcf, decisions=task.decisions, models=models, out=out, scratch=context.scratch
    )
    filtered = Filtered(
        index=task.index,
        interval=task.interval,
        vcf=await context.upload(out, kind=ArtifactKind.vcf),
        vcf_index=await context.upload(out.with_name(out.name + ".tbi"), kind=ArtifactKind.vcf_index),
        variants=counts.variants,
        passed=counts.passed,
    )
    return Done(result=filtered.model_dump(mode="json"))


async def finalise(context: TaskContext) -> Outcome:
    """Write the filtered panel's manifest and announce it."""
    task = FinaliseTask.model_validate(context.payload)
    manifest = await manifests.write_manifest(
        context.store,
        None,
        [one.model_dump(mode="json") for one in task.intervals],
        stage="vqsr",
        subject=task.cohort,
    )
    event = PanelRecalibrated(
        freeze=task.freeze,
        cohort=task.cohort,
        manifest=manifest,
        decisions=task.decisions,
        model=await _model_manifest(context, task),
        samples=task.samples,
        variants=sum(one.variants for one in task.intervals),
        passed=sum(one.passed for one in task.intervals),
        reference=task.reference,
        provenance=_engine(context).provenance(),
    )
    return Done(events=(event,))


async def _trained(context: TaskContext, sites: Path, decision: FilterDecision, resources: tuple[Path, ...]) -> Model:
    """Fit, and store what ApplyVQSR needs on any host."""
    scratch = context.scratch / decision.variant_type
    scratch.mkdir()
    recal = scratch / "recal.vcf.gz"
    trained = _engine(context).train(
        sites=sites,
        decision=decision,
        resources=resources,
        out_recal=recal,
        out_tranches=scratch / "tranches.csv",
        out_model=scratch / "model.report",
        scratch=scratch,
    )
    prefix = f"model/{decision.variant_type}"
    await context.upload(scratch / "model.report", kind=ArtifactKind.model, name=f"{prefix}/model.report")
    return Model(
        recal=await context.upload(trained.recal, kind=ArtifactKind.model, name=f"{prefix}/{recal.name}"),
        recal_index=await context.upload(
            recal.with_name(recal.name + ".tbi"), kind=ArtifactKind.model, name=f"{prefix}/{recal.name}.tbi"
        ),
        tranches=await context.upload(trained.tranches, kind=ArtifactKind.model, name=f"{prefix}/tranches.csv"),
    )


async def _fetched(context: TaskContext, kind: str, model: Model) -> TrainedModel:
    recal = await context.fetch_shared(model.recal, f"{kind}.recal.vcf.gz")
    await context.fetch_shared(model.recal_index, f"{kind}.recal.vcf.gz.tbi")
    tranches = await context.fetch_shared(model.tranches, f"{kind}.tranches.csv")
    return TrainedModel(recal=recal, tranches=tranches)


async def _model_manifest(context: TaskContext, task: FinaliseTask) -> Any:
    entries: list[Mapping[str, Any]] = [
        {"variant_type": kind, **model.model_dump(mode="json")} for kind, model in sorted(task.models.items())
    ]
    if not entries:
        return None
    return await manifests.write_manifest(context.store, None, entries, stage="vqsr", subject=task.cohort)


def _engine(context: TaskContext) -> Engine:
    return engine_for(memory_mb=context.lease.memory_mb)
