"""What the bare sides work on: the demo's first run, its reference indexed, its intervals cut; none of it measured."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED, DEPTH = 7, 28.0  # the demo's own
OPTICAL_DISTANCE = 2500  # pixels, of the demo's patterned flow cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What both bare sides work on; made once, the same bytes that the demo makes for itself."""

    run: Path
    samples: tuple[str, ...]
    reads: int
    fastq_bytes: int
    bases: int
    job: dict[str, Any]
    plan: Path
    call_parts: int
    intervals: int


async def prepare(folder: Path, *, people: int) -> Material:
    """Into an empty folder."""
    from chassis.reference.bundle import add
    from chassis.reference.cache import ReferenceCache
    from chassis.settings import StoreSettings
    from chassis.storage import open_store
    from chassis.tools import jars
    from chassis.tools.gatk import PINS
    from console.demo.sources import simulated
    from console.demo.stage import Stage
    from services.align.workers import scatter
    from services.jointcall.intervals import plan

    for name in ("runs", "store", "plan"):
        (folder / name).mkdir(parents=True)
    jars.fetch(jars.load(PINS))
    simulation = simulated(folder, people=people, seed=SEED, depth=DEPTH)
    arrival = simulation.arrivals[0]
    run_folder = arrival.write(folder / "runs")
    async with open_store(StoreSettings(base=f"file://{folder / 'store'}")) as store:
        await add(
            store,
            name="demo",
            fasta=simulation.reference,
            gff=simulation.gff,
            max_interval_bp=simulation.max_interval_bp,
            scratch=folder,
        )
        with ReferenceCache(root=folder / "cache", limit_bytes=1 << 33) as cache:
            reference = await cache.local(store, "demo")
    settings = Stage(folder=folder, state=folder / "state", runs=folder / "runs").settings(qc_rules="demo")
    parts = list(scatter(reference.intervals, settings.align.call_interval_bp))
    for number, part in enumerate(parts):
        lines = (f"{one.contig}\t{one.start - 1}\t{one.end}\n" for one in part)
        (folder / "plan" / f"call-{number:03d}.bed").write_text("".join(lines))
    whole = (f"{one.contig}\t{one.start - 1}\t{one.end}\n" for one in reference.intervals)
    (folder / "plan" / "whole.bed").write_text("".join(whole))
    planned = plan(reference_intervals=reference.intervals, max_bp=settings.jointcall.interval_bp)
    rows = (f"{n}\t{one.interval.contig}\t{one.interval.start}\t{one.interval.end}\n" for n, one in enumerate(planned))
    (folder / "plan" / "joint.tsv").write_text("".join(rows))
    lanes = {name: _lanes(run_folder, name) for name in arrival.samples}
    return Material(
        run=run_folder,
        samples=arrival.samples,
        reads=sum(_lines(r1) // 4 for pairs in lanes.values() for r1, _ in pairs) * 2,
        fastq_bytes=sum(Path(path).stat().st_size for pairs in lanes.values() for pair in pairs for path in pair),
        bases=sum(one.length for one in reference.intervals),
        plan=folder / "plan",
        call_parts=len(parts),
        intervals=len(planned),
        job={
            "reference": {
                "id": reference.id.model_dump(mode="json"),
                "fasta": str(reference.fasta),
                "gff": str(reference.gff),
                "intervals": [one.model_dump(mode="json") for one in reference.intervals],
            },
            "lanes": lanes,
            "call_interval_bp": settings.align.call_interval_bp,
            "interval_bp": settings.jointcall.interval_bp,
            "chunk_bp": settings.jointcall.chunk_bp,
            "slots": slots(settings.worker.memory_mb),
            "memory_mb": memory_mb(),
            "optical_distance": OPTICAL_DISTANCE,
        },
    )


def _lanes(run_folder: Path, name: str) -> list[tuple[str, str]]:
    """FASTQ pairs, by lane."""
    firsts = sorted(run_folder.rglob(f"{name}_S*_R1_001.fastq.gz"))
    return [(str(r1), str(r1.with_name(r1.name.replace("_R1_001", "_R2_001")))) for r1 in firsts]


def _lines(path: str) -> int:
    with gzip.open(path, "rb") as stream:
        return sum(1 for _ in stream)


def slots(slot_mb: int) -> dict[str, int]:
    """As many as the demo gives to each service."""
    from console.supervisor import default_plan

    return {one.service: one.slots for one in default_plan(slot_mb=slot_mb) if one.role == "work"}


def memory_mb() -> int:
    """Of the memory class that the demo's tasks have."""
    from chassis.ledger.tasks import MEMORY_CLASSES

    return dict(MEMORY_CLASSES)["small"]
