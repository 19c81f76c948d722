"""Jointcall's work: write a freeze's manifests; genotype an interval, chunk by chunk."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.errors import reject
from chassis.ledger.ledger import Connection, open_ledger
from chassis.outcomes import Done, Outcome
from chassis.reference.local import LocalReference
from chassis.storage import manifests
from chassis.worker.context import TaskContext
from contracts.events import CohortFrozen, IntervalGenotyped
from contracts.values import Actor, ActorKind, Artifact, ArtifactKind, Interval
from services.jointcall import increments, statements
from services.jointcall.engines.gather import gather
from services.jointcall.engines.generation import pack, unpack
from services.jointcall.engines.protocol import CalledChunk, Engine, is_incremental
from services.jointcall.engines.registry import engine_for
from services.jointcall.increments import Imported
from services.jointcall.inputs import gvcf_input
from services.jointcall.intervals import Sizes, cover_alike, work_of
from services.jointcall.intervals import plan as plan_intervals
from services.jointcall.tasks import Columns, IntervalTask, PlanTask, freeze_id

IMPORT = "import"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """An interval of an earlier freeze, with the generation that it left and the variants that it has."""

    interval: Interval
    columns: Columns
    variants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the ledger knows of a freeze that is to be planned, and the engine for it. `standing` are the intervals of
    the freeze `begun_with`, which this one can begin with."""

    entries: list[dict[str, Any]]
    engine: Engine
    sizes: Sizes
    density: dict[Interval, int]
    begun_with: str | None = None
    standing: tuple[_Standing, ...] = ()


async def plan(context: TaskContext) -> Outcome:
    """Write the sample and interval manifests and announce the freeze."""
    task = PlanTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    known = await _from_ledger(context, task)
    if known.standing and cover_alike([one.interval for one in known.standing], reference.intervals):
        begun_with = known.begun_with
        intervals = [(one.interval, work_of(one.interval, variants=one.variants)) for one in known.standing]
        columns = [one.columns for one in known.standing]
    else:
        begun_with, columns = None, []
        planned = plan_intervals(
            reference_intervals=reference.intervals, max_bp=known.sizes.interval_bp, density=known.density
        )
        intervals = [(one.interval, one.predicted_work) for one in planned]
    interval_entries = [{"interval": one.model_dump(mode="json"), "predicted_work": work} for one, work in intervals]
    manifest = await manifests.write_manifest(
        context.store, None, known.entries, stage="jointcall", subject=task.cohort
    )
    interval_manifest = await manifests.write_manifest(
        context.store, None, interval_entries, stage="jointcall", subject=task.cohort
    )
    event = CohortFrozen(
        freeze=task.freeze,
        cohort=task.cohort,
        number=task.number,
        previous=begun_with or (freeze_id(task.cohort, task.number - 1) if task.number > 1 else None),
        manifest=manifest,
        intervals=interval_manifest,
        reference=task.reference,
        engine=known.engine.name,
        requested_by=Actor(kind=ActorKind.person, name=task.requested_by),
    )
    result = {
        "manifest": manifest.model_dump(mode="json"),
        "interval_manifest": interval_manifest.model_dump(mode="json"),
        "intervals": interval_entries,
        "begun_with": begun_with,
        "columns": [one.model_dump(mode="json") for one in columns],
    }
    return Done(result=result, events=(event,))


async def interval(context: TaskContext) -> Outcome:
    """Import the samples' gVCFs, genotype sub-interval by sub-interval, gather. Each chunk outlives this attempt."""
    started = time.monotonic()
    task = IntervalTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    sizes = Sizes.of(context.settings.jointcall, samples=task.manifest.entries, engine=task.engine)
    engine = engine_for(task.engine, chunk_bp=sizes.chunk_bp, memory_mb=context.lease.memory_mb)
    generation = context.scratch / "generation"
    imported = (
        await increments.imported(context, task, engine, reference, generation) if is_incremental(engine) else None
    )
    chunks = await _genotyped_chunks(context, task, engine, reference, generation, imported)
    out, sites = context.scratch / "interval.vcf.gz", context.scratch / "interval.sites.vcf.gz"
    counts = gather(chunks=chunks, out_vcf=out, out_sites=sites)
    left_out = _left_out(chunks)
    if left_out:
        log.warning(
            "sites are left out for everybody: a gVCF's record is called with an ALT and has no PL",
            extra={"freeze": task.freeze, "interval": task.interval.slug, "sites": left_out},
        )
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
        reuse=imported.reuse if imported is not None else None,
        left_out=left_out,
        **stored,
    )
    result = {name: artifact.model_dump(mode="json") for name, artifact in stored.items()}
    if imported is not None:
        result |= {one: imported.dump()[one] for one in ("columns", "reuse")}
    figures = {"variants": counts.variants, "seconds": seconds, "left_out": left_out}
    return Done(result=result | figures, events=(event,))


def _left_out(chunks: Sequence[CalledChunk]) -> int | None:
    """None where no chunk tells."""
    told = [chunk.left_out for chunk in chunks if chunk.left_out is not None]
    return sum(told) if told else None


async def _genotyped_chunks(
    context: TaskContext,
    task: IntervalTask,
    engine: Engine,
    reference: LocalReference,
    generation: Path,
    imported: Imported | None,
) -> Sequence[CalledChunk]:
    """Every sub-interval's VCF, from an earlier attempt where there is one."""
    called: list[CalledChunk] = []
    for chunk in engine.chunks(task.interval):
        path = context.scratch / f"{chunk.slug}.vcf.gz"
        known = context.chunks.get(chunk.slug)
        if known is not None:
            settled, left_out = bool(known.get("settled")), known.get("left_out")
            await context.fetch(Artifact.model_validate(known["vcf"]), path.name)
            called.append(CalledChunk(interval=chunk, vcf=path, settled=settled, left_out=left_out))
            continue
        if not generation.exists():
            if is_incremental(engine) and imported is not None:
                await increments.taken(context, task, engine, imported.columns, generation)
            else:
                await _generation(context, task, engine, reference, generation)
        one = engine.genotype_chunk(
            generation=generation, chunk=chunk, reference=reference, out=path, scratch=context.scratch
        )
        called.append(one)
        artifact = await context.upload(path, kind=ArtifactKind.workspace, name=f"chunks/{path.name}", retain="scratch")
        left = {"vcf": artifact.model_dump(mode="json"), "settled": one.settled, "left_out": one.left_out}
        await context.checkpoint(chunk.slug, left)
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
    batch = [await gvcf_input(context, entry) for entry in await manifests.read_manifest(context.store, task.manifest)]
    engine.add_samples(
        generation=None, batch=batch, interval=task.interval, reference=reference, out=out, scratch=context.scratch
    )
    tar = context.scratch / "generation.tar"
    pack(out, tar)
    artifact = await context.upload(tar, kind=ArtifactKind.workspace, retain="scratch")
    tar.unlink()
    await context.checkpoint(IMPORT, artifact.model_dump(mode="json"))


async def _from_ledger(context: TaskContext, task: PlanTask) -> _Known:
    dsn = context.settings.ledger.url()
    async with open_ledger(dsn=dsn, service=context.service, pool_size=1) as ledger, ledger.connection() as conn:
        rows = await conn.fetch(statements.SAMPLES_OF, task.freeze)
        if not rows:
            raise reject(
                code="COHORT_EMPTY",
                message="the freeze has no samples in the ledger",
                where=task.freeze,
                rule="a freeze has at least one sample",
                fix="ask for a new freeze",
            )
        entries = [{"sample": row["sample"], "version": row["version"], **row["gvcf"]} for row in rows]
        sizes = Sizes.of(context.settings.jointcall, samples=len(entries), engine=task.engine)
        engine = engine_for(task.engine, chunk_bp=sizes.chunk_bp, memory_mb=context.lease.memory_mb)
        last = await conn.fetchrow(statements.LAST_FREEZE, task.cohort, task.number, task.reference.digest)
        seen = await conn.fetch(statements.DENSITY, last["freeze_id"]) if last is not None else []
        density = {Interval.model_validate(row["interval"]): row["variants"] for row in seen}
        begun_with, standing = await _standing(conn, task, engine)
    return _Known(
        entries=entries, engine=engine, sizes=sizes, density=density, begun_with=begun_with, standing=standing
    )


async def _standing(conn: Connection, task: PlanTask, engine: Engine) -> tuple[str | None, tuple[_Standing, ...]]:
    """The last freeze that an incremental engine can begin with, and its intervals: it has samples of this one."""
    if not is_incremental(engine):
        return None, ()
    last = await conn.fetchval(
        statements.LAST_WHOLE, task.cohort, task.number, task.reference.digest, task.engine, engine.lineage
    )
    if last is None or not await conn.fetchval(statements.SHARED, last, task.freeze):
        return None, ()
    rows = await conn.fetch(statements.STANDING, last)
    return last, tuple(
        _Standing(
            interval=Interval.model_validate(row["interval"]),
            columns=Columns.model_validate(row["columns"]),
            variants=row["variants"],
        )
        for row in rows
    )


def _index(path: Path) -> Path:
    return path.with_name(path.name + ".tbi")
