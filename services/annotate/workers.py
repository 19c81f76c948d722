"""Annotate's work: read the panel's manifest; annotate an interval; gather, make the lake, report and release."""

from __future__ import annotations

from pathlib import Path

from chassis.outcomes import Done, Outcome
from chassis.storage import keys, manifests
from chassis.worker.context import TaskContext, tag_value
from contracts.events import PanelReleased
from contracts.values import Artifact, ArtifactKind
from services.annotate import report, summary
from services.annotate.engines.protocol import Engine
from services.annotate.engines.registry import engine_for
from services.annotate.gather import gather
from services.annotate.lake import write_lake
from services.annotate.tasks import Annotated, AnnotateTask, PlanTask, ReleaseTask


async def plan(context: TaskContext) -> Outcome:
    """Read which intervals the panel has; the ledger makes a task of each."""
    task = PlanTask.model_validate(context.payload)
    return Done(result={"entries": await manifests.read_manifest(context.store, task.manifest)})


async def annotate(context: TaskContext) -> Outcome:
    """Say what each allele of an interval does to the genes of the reference bundle."""
    task = AnnotateTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    entry = task.entry
    vcf = await context.fetch(entry.vcf, "filtered.vcf.gz")
    await context.fetch(entry.vcf_index, "filtered.vcf.gz.tbi")
    out = context.scratch / "annotated.vcf.gz"
    _engine(context).annotate(
        vcf=vcf, reference=reference, out=out, scratch=context.scratch, log=context.scratch / "csq.log"
    )
    annotated = Annotated(
        index=entry.index,
        interval=entry.interval,
        vcf=await context.upload(out, kind=ArtifactKind.vcf),
        vcf_index=await context.upload(out.with_name(out.name + ".tbi"), kind=ArtifactKind.vcf_index),
    )
    return Done(result=annotated.model_dump(mode="json"))


async def release(context: TaskContext) -> Outcome:
    """Gather the intervals by contig, write lake and report, and announce the panel; its manifest is written last."""
    task = ReleaseTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    provenance = _engine(context).provenance(reference=reference)
    parts = [await context.fetch(one.vcf, f"{one.index:06d}.vcf.gz") for one in task.intervals]
    contigs = list(dict.fromkeys(one.interval.contig for one in task.intervals))
    vcfs = gather(parts, context.scratch / "panel", contigs=contigs)
    counts = summary.count([one.vcf for one in vcfs])
    lake = write_lake(vcfs, context.scratch / "lake")
    told = report.document(
        freeze=task.freeze,
        reference=task.reference,
        counts=counts,
        decisions=task.decisions,
        provenance=provenance,
        gene_model=reference.gff is not None,
    )
    written = report.write(told, context.scratch / "report")
    entries: list[dict[str, object]] = []
    for one in vcfs:
        entries.append(await _released(context, task, one.vcf, ArtifactKind.vcf, one.vcf.name))
        entries.append(await _released(context, task, one.index, ArtifactKind.vcf_index, one.index.name))
    entries += [await _released(context, task, file.path, ArtifactKind.parquet, f"lake/{file.name}") for file in lake]
    entries.append(await _released(context, task, written.html, ArtifactKind.report, written.html.name))
    machine = await _released(context, task, written.json, ArtifactKind.report, written.json.name)
    entries.append(machine)
    manifest = await manifests.write_manifest(
        context.store, _key(context, task, "manifest.json"), entries, stage="annotate", subject=task.cohort
    )
    event = PanelReleased(
        freeze=task.freeze,
        cohort=task.cohort,
        manifest=manifest,
        report=Artifact.model_validate(machine["artifact"]),
        summary=counts.summary(),
        decisions=task.decisions,
        reference=task.reference,
        provenance=provenance,
    )
    result = {
        "manifest": manifest.model_dump(mode="json"),
        "summary": event.summary.model_dump(mode="json"),
        "report": machine["artifact"],
    }
    return Done(result=result, events=(event,))


async def _released(
    context: TaskContext, task: ReleaseTask, path: Path, kind: ArtifactKind, name: str
) -> dict[str, object]:
    """Store one file of the panel and say under which name people find it."""
    tags = {"kind": kind.value, "stage": context.service, "subject": tag_value(task.cohort), "retain": "policy"}
    stored = await context.store.put_file(_key(context, task, name), path, tags=tags)
    return {"name": name, "artifact": stored.artifact(kind).model_dump(mode="json")}


def _key(context: TaskContext, task: ReleaseTask, name: str) -> str:
    """In the released zone, and still under this attempt's own prefix: a zombie writes where nobody looks. A contig's
    name may hold what a key may not (`HLA-A*01:01`); the manifest says which name is meant."""
    plain = "/".join(keys.slug(part) for part in name.split("/"))
    return keys.released(cohort=task.cohort, freeze=task.number, name=f"{context.lease.attempt}/{plain}")


def _engine(context: TaskContext) -> Engine:
    return engine_for(context.settings.annotate.engine)
