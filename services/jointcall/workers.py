"""Jointcall's work: write a freeze's manifests; genotype an interval, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chassis.errors import Rejected, reject
from chassis.ledger.ledger import open_ledger
from chassis.outcomes import Done, Outcome
from chassis.reference.local import LocalReference
from chassis.storage import manifests
from chassis.worker.context import TaskContext
from contracts.events import CohortFrozen, IntervalGenotyped
from contracts.values import Actor, ActorKind, Artifact, ArtifactKind, Interval
from services.jointcall import statements
from services.jointcall.engines.gather import gather
from services.jointcall.engines.generation import pack, unpack
from services.jointcall.engines.gvcf import sample_name_of
from services.jointcall.engines.protocol import CalledChunk, Engine, GvcfInput
from services.jointcall.engines.registry import engine_for
from services.jointcall.intervals import Sizes
from services.jointcall.intervals import plan as plan_intervals
from services.jointcall.tasks import Gvcf, IntervalTask, PlanTask, freeze_id

IMPORT = "import"


async def plan(context: TaskContext) -> Outcome:
    """Write the sample and interval manifests and announce the freeze."""
    task = PlanTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    entries, density = await _from_ledger(context, task)
    sizes = Sizes.of(context.settings.jointcall, samples=len(entries))
    intervals = plan_intervals(reference_intervals=reference.intervals, max_bp=sizes.interval_bp, density=density)
    interval_entries = [
        {"interval": one.interval.model_dump(mode="json"), "predicted_work": one.predicted_work} for one in intervals
    ]
    manifest = await manifests.write_manifest(context.store, None, entries, stage="jointcall", subject=task.cohort)
    interval_manifest = await manifests.write_manifest(
        context.store, None, interval_entries, stage="jointcall", subject=task.cohort
    )
    engine = engine_for(task.engine, chunk_bp=sizes.chunk_bp, memory_mb=context.lease.memory_mb)
    event = CohortFrozen(
        freeze=task.freeze,
        cohort=task.cohort,
        number=task.number,
        previous=freeze_id(task.cohort, task.number - 1) if task.number > 1 else None,
        manifest=manifest,
        intervals=interval_manifest,
        reference=task.reference,
        engine=engine.name,
        requested_by=Actor(kind=ActorKind.person, name=task.requested_by),
    )
    result = {
        "manifest": manifest.model_dump(mode="json"),
        "interval_manifest": interval_manifest.model_dump(mode="json"),
        "intervals": interval_entries,
    }
    return Done(result=result, events=(event,))


async def interval(context: TaskContext) -> Outcome:
    """Import the samples' gVCFs, genotype sub-interval by sub-interval, gather. Each chunk outlives this attempt."""
    started = time.monotonic()
    task = IntervalTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    sizes = Sizes.of(context.settings.jointcall, samples=task.manifest.entries)
    engine = engine_for(task.engine, chunk_bp=sizes.chunk_bp, memory_mb=context.lease.memory_mb)
    chunks = await _genotyped_chunks(context, task, engine, reference)
    out, sites = context.scratch / "interval.vcf.gz", context.scratch / "interval.sites.vcf.gz"
    counts = gather(chunks=chunks, out_vcf=out, out_sites=sites)
    stored = {
        "vcf": await context.upload(out, kind=ArtifactKind.vcf),
        "vcf_index": await context.upload(_index(out), kind=ArtifactKind.vcf_index),
        "sites": await context.upload(sites, kind=ArtifactKind.sites_vcf),
        "sites_index": await context.upload(_index(sites), kind=ArtifactKind.sites_vcf_index),
    }
    seconds = round(time.monotonic() - started, 3)
    event = IntervalGenotyped(
        freeze=task.freeze,
        cohort=task.cohort,
        index=task.index,
        interval=task.interval,
        samples=counts.samples,
        variants=counts.variants,
        seconds=seconds,
        attempts=context.lease.attempts,
        reference=task.reference,
        provenance=engine.provenance(),
        **stored,
    )
    result = {name: artifact.model_dump(mode="json") for name, artifact in stored.items()}
    return Done(result=result | {"variants": counts.variants, "seconds": seconds}, events=(event,))


async def _genotyped_chunks(
    context: TaskContext, task: IntervalTask, engine: Engine, reference: LocalReference
) -> Sequence[CalledChunk]:
    """Every sub-interval's VCF, from an earlier attempt where there is one."""
    generation = context.scratch / "generation"
    called: list[CalledChunk] = []
    for chunk in engine.chunks(task.interval):
        path = context.scratch / f"{chunk.slug}.vcf.gz"
        known = context.chunks.get(chunk.slug)
        if known is not None:
            await context.fetch(Artifact.model_validate(known), path.name)
            called.append(CalledChunk(interval=chunk, vcf=path))
            continue
        if not generation.exists():
            await _generation(context, task, engine, reference, generation)
        one = engine.genotype_chunk(
            generation=generation, chunk=chunk, reference=reference, out=path, scratch=context.scratch
        )
        called.append(one)
        artifact = await context.upload(path, kind=ArtifactKind.workspace, name=f"chunks/{path.name}", retain="scratch")
        await context.checkpoint(chunk.slug, artifact.model_dump(mode="json"))
    return called


async def _generation(
    context: TaskContext, task: IntervalTask, engine: Engine, reference: LocalReference, out: Path
) -> None:
    """Import, or take up the import of an earlier attempt."""
    known = context.chunks.get(IMPORT)
    if known is not None:
        tar = await context.fetch(Artifact.model_validate(known), "generation.tar")
        unpack(tar, out)
        tar.unlink()
        return
    batch = [await _input(context, entry) for entry in await manifests.read_manifest(context.store, task.manifest)]
    engine.add_samples(
        generation=None, batch=batch, interval=task.interval, reference=reference, out=out, scratch=context.scratch
    )
    tar = context.scratch / "generation.tar"
    pack(out, tar)
    artifact = await context.upload(tar, kind=ArtifactKind.workspace, retain="scratch")
    tar.unlink()
    await context.checkpoint(IMPORT, artifact.model_dump(mode="json"))


async def _input(context: TaskContext, entry: Mapping[str, Any]) -> GvcfInput:
    """A sample's gVCF on this host, under the name that stands inside it. Raises Rejected, naming the sample's key."""
    files = Gvcf.model_validate(entry)
    name = f"{entry['sample']}.g.vcf.gz"
    try:
        path = await context.fetch_shared(files.gvcf, name)
        index = await context.fetch_shared(files.index, f"{name}.tbi")
    except Rejected as rejected:
        raise Rejected(replace(rejected.rejection, where=f"{name}, {rejected.rejection.where}")) from rejected
    must_cover = context.settings.jointcall.coverage_policy != "note" and not files.gaps_accepted
    name = sample_name_of(path)
    context.withheld.add(name, key=entry["sample"])
    return GvcfInput(name=name, path=path, index=index, must_cover=must_cover)


async def _from_ledger(context: TaskContext, task: PlanTask) -> tuple[list[dict[str, Any]], dict[Interval, int]]:
    """The freeze's samples as manifest entries, and what an earlier freeze of the cohort saw per interval."""
    dsn = context.settings.ledger.url()
    async with open_ledger(dsn=dsn, service=context.service, pool_size=1) as ledger, ledger.connection() as conn:
        rows = await conn.fetch(statements.SAMPLES_OF, task.freeze)
        last = await conn.fetchrow(statements.LAST_FREEZE, task.cohort, task.number, task.reference.digest)
        seen = await conn.fetch(statements.DENSITY, last["freeze_id"]) if last is not None else []
    if not rows:
        raise reject(
            code="COHORT_EMPTY",
            message="the freeze has no samples in the ledger",
            where=task.freeze,
            rule="a freeze has at least one sample",
            fix="ask for a new freeze",
        )
    entries = [{"sample": row["sample"], "version": row["version"], **row["gvcf"]} for row in rows]
    return entries, {Interval.model_validate(row["interval"]): row["variants"] for row in seen}


def _index(path: Path) -> Path:
    return path.with_name(path.name + ".tbi")
