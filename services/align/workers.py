"""Align's work: a sample's reads to a CRAM, lane by lane; a CRAM to a gVCF, group of intervals by group."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chassis.errors import reject
from chassis.outcomes import Done, Outcome
from chassis.reference.local import LocalReference
from chassis.worker.context import REFERENCE_LOOK, TaskContext, Waiting
from contracts.events import CramReady, GvcfReady
from contracts.values import Artifact, ArtifactKind, Interval, LaneReads
from services.align.engines.header import header_of
from services.align.engines.protocol import ChunkedEngine, LaneInput, ReadGroup
from services.align.engines.registry import engine_for
from services.align.policy import UNSET
from services.align.qc import load_rules, verdict
from services.align.tasks import AlignTask, CallTask

CARD_LIMIT = 1024 * 1024
"""Bytes of a sample card; a few names and keys."""


async def align(context: TaskContext) -> Outcome:
    """Align each lane, then merge all reads of the sample and mark duplicates over them."""
    task = AlignTask.model_validate(context.payload)
    reference = await context.reference(_reference_name(context, task))
    engine = _engine(context)
    if task.previous is not None and not task.previous.reference.same_build(reference.id):
        raise _other_build(task, reference)
    label, libraries = await _card(context, task)
    inputs = [
        await _lane(context, engine, reference, lane, _read_group(task, lane, label, libraries))
        for lane in task.arrived.lanes
    ]
    previous = await _previous(context, task)
    cram = context.scratch / "sample.cram"
    metrics = engine.merge(
        inputs=inputs,
        previous=previous,
        reference=reference,
        optical_distance=task.optical_distance,
        out_cram=cram,
        scratch=context.scratch,
        threads=context.settings.worker.threads,
    )
    stored = await context.upload(cram, kind=ArtifactKind.cram)
    index = await context.upload(cram.with_name("sample.cram.crai"), kind=ArtifactKind.crai)
    event = CramReady(
        sample=task.sample,
        run=task.run,
        cram=stored,
        crai=index,
        reference=reference.id,
        libraries=task.libraries,
        read_groups=metrics.read_groups,
        reads=metrics.reads,
        mean_coverage=metrics.mean_coverage,
        duplication=metrics.duplication,
        mapped=metrics.mapped,
        insert_median=metrics.insert_median,
        fingerprint=metrics.fingerprint,
        provenance=engine.provenance(),
    )
    figures = {name: value for name, value in asdict(metrics).items() if isinstance(value, int | float)}
    result = {
        "cram": stored.model_dump(mode="json"),
        "crai": index.model_dump(mode="json"),
        "reference": reference.id.model_dump(mode="json"),
        "libraries": task.libraries,
        "metrics": figures,
    }
    return Done(result=result, events=(event,))


async def call(context: TaskContext) -> Outcome:
    """Call variants over a fixed scatter of the calling intervals, gather, judge."""
    task = CallTask.model_validate(context.payload)
    reference = await context.reference(task.reference)
    engine = _engine(context)
    cram: Path | None = None
    parts: list[Path] = []
    for number, intervals in enumerate(scatter(reference.intervals, context.settings.align.call_interval_bp)):
        chunk = f"part-{number:05d}"
        part = context.scratch / f"{chunk}.g.vcf.gz"
        known = context.chunks.get(chunk)
        if known is not None:
            await context.fetch(Artifact.model_validate(known), part.name)
        else:
            cram = cram or await _cram(context, task)
            engine.call(cram=cram, reference=reference, intervals=intervals, out_gvcf=part, scratch=context.scratch)
            artifact = await context.upload(part, kind=ArtifactKind.gvcf, name=f"parts/{part.name}", retain="scratch")
            await context.checkpoint(chunk, artifact.model_dump(mode="json"))
        parts.append(part)
    out = context.scratch / "sample.g.vcf.gz"
    counts = engine.gather(parts=parts, out_gvcf=out)
    stored = await context.upload(out, kind=ArtifactKind.gvcf)
    index = await context.upload(out.with_name(out.name + ".tbi"), kind=ArtifactKind.gvcf_index)
    judged = verdict(load_rules(context.settings.align.qc_rules), task.metrics)
    event = GvcfReady(
        sample=task.sample,
        run=task.run,
        gvcf=stored,
        index=index,
        reference=task.reference,
        verdict=judged,
        mean_coverage=task.metrics["mean_coverage"],
        records=counts.records,
        variants=counts.variants,
        covered_bp=counts.covered,
        declared_bp=sum(one.length for one in reference.intervals),
        provenance=engine.provenance(),
    )
    result = {
        "gvcf": stored.model_dump(mode="json"),
        "index": index.model_dump(mode="json"),
        "verdict": judged.model_dump(mode="json"),
    }
    return Done(result=result, events=(event,))


def scatter(intervals: Sequence[Interval], most_bp: int) -> Iterator[tuple[Interval, ...]]:
    """Consecutive calling intervals in groups of at most `most_bp` bases (or one interval, if it alone is longer).

    Fixed by reference and setting alone: every sample is cut at the same places, whoever calls it.
    """
    group: list[Interval] = []
    for interval in intervals:
        if group and sum(one.length for one in group) + interval.length > most_bp:
            yield tuple(group)
            group = []
        group.append(interval)
    if group:
        yield tuple(group)


async def _lane(
    context: TaskContext, engine: ChunkedEngine, reference: LocalReference, lane: LaneReads, group: ReadGroup
) -> Path:
    """A lane's sorted BAM, from an earlier attempt where there is one."""
    chunk = f"lane-{lane.read_group}-{lane.library[-8:]}"
    bam = context.scratch / f"{chunk}.bam"
    known = context.chunks.get(chunk)
    if known is not None:
        return await context.fetch(Artifact.model_validate(known), bam.name)
    r1 = await context.fetch(lane.r1, "r1.fastq.gz")
    r2 = await context.fetch(lane.r2, "r2.fastq.gz")
    engine.align_lane(
        lane=LaneInput(r1=r1, r2=r2, read_group=group),
        reference=reference,
        out_bam=bam,
        scratch=context.scratch,
        threads=context.settings.worker.threads,
    )
    artifact = await context.upload(bam, kind=ArtifactKind.lane_bam, name=f"lanes/{bam.name}", retain="scratch")
    await context.checkpoint(chunk, artifact.model_dump(mode="json"))
    return bam


def _reference_name(context: TaskContext, task: AlignTask) -> str:
    """The task's, or what the site has set since a task came that had none."""
    if task.reference_name != UNSET:
        return task.reference_name
    now = context.settings.align.reference
    if now is None:
        raise Waiting(reason="no reference is set: set align.reference and start again", after=REFERENCE_LOOK)
    return now


def _engine(context: TaskContext) -> ChunkedEngine:
    settings = context.settings.align
    engine = engine_for(settings.engine, memory_mb=context.lease.memory_mb, aligner=settings.aligner)
    if engine.granularity == "chunk":
        return engine
    raise reject(
        code="CONFIG_ENGINE",
        message="the engine takes whole samples, and this service's tasks are cut into lanes and intervals",
        where="align.engine",
        rule="the engine works in chunks",
        fix="set align.engine to cpu",
    )


def _read_group(task: AlignTask, lane: LaneReads, label: str, libraries: dict[str, str]) -> ReadGroup:
    return ReadGroup(
        id=lane.read_group,
        sample=label,
        library=libraries.get(lane.library, lane.library),
        platform=task.platform,
    )


async def _card(context: TaskContext, task: AlignTask) -> tuple[str, dict[str, str]]:
    """The labels that stand inside artifacts: of the sample, and of its libraries by key."""
    card = task.arrived.card
    found: Any = json.loads(await context.store.get_bytes(card.uri, limit=CARD_LIMIT, sha256=card.id))
    label, libraries = str(found["label"]), {str(key): str(name) for key, name in found["libraries"].items()}
    for key, name in libraries.items():
        context.withheld.add(name, key=key)
    context.withheld.add(label, key=task.sample.key)
    return label, libraries


async def _previous(context: TaskContext, task: AlignTask) -> Path | None:
    if task.previous is None:
        return None
    await context.fetch(task.previous.crai, "previous.cram.crai")
    return await context.fetch(task.previous.cram, "previous.cram")


async def _cram(context: TaskContext, task: CallTask) -> Path:
    await context.fetch(task.crai, "sample.cram.crai")
    cram = await context.fetch(task.cram, "sample.cram")
    for group in header_of(cram).get("RG", []):
        context.withheld.add(group.get("LB", ""), key="its library")
        context.withheld.add(group.get("SM", ""), key=context.lease.subject)
    return cram


def _other_build(task: AlignTask, reference: LocalReference) -> Exception:
    return reject(
        code="BUILD_MISMATCH",
        message="the sample's earlier reads are aligned to another reference",
        where=f"version {task.sample.version} of the sample, reference {reference.id}",
        rule="a top-up is merged with reads that are aligned to the same reference",
        fix="set align.reference to the reference of the earlier version, or offer all of its runs again",
    )
