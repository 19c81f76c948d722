"""The engines of the services in a bare loop, with warm JVMs and nothing around them.

No Kafka, ledger, store, leases or checkpoints: what the demo takes longer than this is what orchestration costs. Either
each service's work has processes of its own, as many as the service has slots, or all share the same ones, which saves
the JVMs' starts and is a bound that services on hosts of their own cannot reach.
`python -m tests.bench.bare_loop JOB.json` prints `{"called": t, "released": t}`, times of time.time().
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from chassis.reference.local import LocalReference
from chassis.settings import Settings
from chassis.tools.gatk import gatk_for
from contracts.events import FilterDecision
from contracts.values import Interval, ReferenceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`lanes` by sample: FASTQ pairs. `slots` by service. `optical_distance` in pixels, `memory_mb` of a slot."""

    reference: LocalReference
    lanes: dict[str, list[tuple[str, str]]]
    out: Path
    call_interval_bp: int
    interval_bp: int
    chunk_bp: int
    slots: dict[str, int]
    shared: bool
    memory_mb: int
    optical_distance: int

    def settings(self) -> Settings:
        return Settings(state_dir=self.out)


_bench: Bench | None = None


def begin(bench: Bench) -> None:
    global _bench
    _bench = bench


def the_bench() -> Bench:
    assert _bench is not None
    return _bench


def sample(name: str) -> Path:
    """Reads to a gVCF."""
    from services.align.engines.protocol import LaneInput, ReadGroup
    from services.align.workers import scatter

    bench, engine = the_bench(), _align_engine()
    scratch = bench.out / name
    scratch.mkdir(parents=True)
    bams = []
    for number, (r1, r2) in enumerate(bench.lanes[name], start=1):
        group = ReadGroup(id=f"FLOWCELL.{number}", sample=name, library=f"{name}-LIB1")
        bam = scratch / f"lane-{number}.bam"
        engine.align_lane(
            lane=LaneInput(r1=Path(r1), r2=Path(r2), read_group=group),
            reference=bench.reference,
            out_bam=bam,
            scratch=scratch,
            threads=1,
        )
        bams.append(bam)
    cram = scratch / "sample.cram"
    engine.merge(
        inputs=bams,
        previous=None,
        reference=bench.reference,
        optical_distance=bench.optical_distance,
        out_cram=cram,
        scratch=scratch,
        threads=1,
    )
    parts = []
    for number, intervals in enumerate(scatter(bench.reference.intervals, bench.call_interval_bp)):
        part = scratch / f"part-{number}.g.vcf.gz"
        engine.call(cram=cram, reference=bench.reference, intervals=intervals, out_gvcf=part, scratch=scratch)
        parts.append(part)
    out = scratch / f"{name}.g.vcf.gz"
    engine.gather(parts=parts, out_gvcf=out)
    return out


def genotype(interval: Interval) -> tuple[Path, Path]:
    """An interval's VCF and its sites."""
    from services.jointcall.engines.gather import gather
    from services.jointcall.engines.protocol import GvcfInput

    bench, engine = the_bench(), _joint_engine()
    scratch = _folder(interval)
    scratch.mkdir(parents=True)
    batch = []
    for name in bench.lanes:
        path = bench.out / name / f"{name}.g.vcf.gz"
        batch.append(GvcfInput(name=name, path=path, index=path.with_name(path.name + ".tbi")))
    generation = scratch / "generation"
    engine.add_samples(
        generation=None, batch=batch, interval=interval, reference=bench.reference, out=generation, scratch=scratch
    )
    chunks = [
        engine.genotype_chunk(
            generation=generation,
            chunk=chunk,
            reference=bench.reference,
            out=scratch / f"{chunk.slug}.vcf.gz",
            scratch=scratch,
        )
        for chunk in engine.chunks(interval)
    ]
    out, sites = scratch / "interval.vcf.gz", scratch / "interval.sites.vcf.gz"
    gather(chunks=chunks, out_vcf=out, out_sites=sites)
    return out, sites


def decide(sites: Sequence[Path]) -> tuple[FilterDecision, ...]:
    from services.vqsr.engines.sites import gather_sites, measure
    from services.vqsr.rules import VARIANT_TYPES, Minimums
    from services.vqsr.rules import decide as decide_one

    bench = the_bench()
    gathered = bench.out / "all.sites.vcf.gz"
    gather_sites(sites, gathered)
    found = measure(gathered, resources=bench.reference.known_sites)
    settings = bench.settings().vqsr
    decisions = tuple(
        decide_one(
            kind,
            samples=len(bench.lanes),
            training_variants=found[kind].training_variants,
            minimums=Minimums(
                samples=settings.minimum_samples,
                training_snps=settings.minimum_training_snps,
                training_indels=settings.minimum_training_indels,
            ),
            annotation_variance=found[kind].variance,
        )
        for kind in VARIANT_TYPES
    )
    if any(one.method != "hard-filter" for one in decisions):
        raise ValueError("the bench's cohort is meant to be too small for a model")
    return decisions


def filter_one(interval: Interval, decisions: tuple[FilterDecision, ...]) -> None:
    from services.vqsr.engines.gatk import GatkFilters

    bench, scratch = the_bench(), _folder(interval)
    GatkFilters(gatk=gatk_for(memory_mb=bench.memory_mb)).filter(
        vcf_in=scratch / "interval.vcf.gz",
        decisions=decisions,
        models={},
        out=scratch / "filtered.vcf.gz",
        scratch=scratch,
    )


def annotate(interval: Interval) -> Path:
    from services.annotate.engines.registry import engine_for

    bench, scratch = the_bench(), _folder(interval)
    out = scratch / "annotated.vcf.gz"
    engine_for("csq").annotate(
        vcf=scratch / "filtered.vcf.gz",
        reference=bench.reference,
        out=out,
        scratch=scratch,
        log=scratch / "csq.log",
    )
    return out


def release(parts: Sequence[Path], decisions: tuple[FilterDecision, ...]) -> None:
    """VCF per contig, lake and report."""
    from services.annotate import report, summary
    from services.annotate.engines.registry import engine_for
    from services.annotate.gather import gather
    from services.annotate.lake import write_lake

    bench = the_bench()
    vcfs = gather(parts, bench.out / "panel")
    counts = summary.count([one.vcf for one in vcfs])
    write_lake(vcfs, bench.out / "lake")
    told = report.document(
        freeze="bench:1",
        reference=bench.reference.id,
        counts=counts,
        decisions=decisions,
        provenance=engine_for("csq").provenance(reference=bench.reference),
        gene_model=True,
    )
    report.write(told, bench.out / "report")


@cache
def _align_engine() -> Any:
    from services.align.engines.registry import engine_for

    return engine_for("cpu", memory_mb=the_bench().memory_mb)


@cache
def _joint_engine() -> Any:
    from services.jointcall.engines.registry import engine_for

    return engine_for("gatk", chunk_bp=the_bench().chunk_bp, memory_mb=the_bench().memory_mb)


def _folder(interval: Interval) -> Path:
    return the_bench().out / f"interval-{interval.slug}"


def run(bench: Bench) -> dict[str, float]:
    from services.jointcall.intervals import plan

    with ExitStack() as stack:
        pools = _Pools(bench, stack)
        list(pools.of("align").map(sample, bench.lanes))
        called = time.time()
        intervals = [
            one.interval for one in plan(reference_intervals=bench.reference.intervals, max_bp=bench.interval_bp)
        ]
        made = list(pools.of("jointcall").map(genotype, intervals))
        decisions = pools.of("vqsr").submit(decide, [sites for _, sites in made]).result()
        list(pools.of("vqsr").map(filter_one, intervals, repeat(decisions)))
        annotated = list(pools.of("annotate").map(annotate, intervals))
        pools.of("annotate").submit(release, annotated, decisions).result()
        return {"called": called, "released": time.time()}


class _Pools:
    """Processes by service, started when they are first wanted; each starts its JVM at its first call."""

    def __init__(self, bench: Bench, stack: ExitStack) -> None:
        self._bench, self._stack = bench, stack
        self._open: dict[str, ProcessPoolExecutor] = {}

    def of(self, service: str) -> ProcessPoolExecutor:
        name = "shared" if self._bench.shared else service
        if name not in self._open:
            self._open[name] = self._stack.enter_context(
                ProcessPoolExecutor(
                    max(self._bench.slots.values()) if self._bench.shared else self._bench.slots[service],
                    mp_context=get_context("spawn"),  # fork would copy the threads of whoever started us
                    initializer=begin,
                    initargs=(self._bench,),
                )
            )
        return self._open[name]


def bench_of(job: dict[str, Any]) -> Bench:
    """From JSON, as `tools.py` writes it."""
    found = job.pop("reference")
    reference = LocalReference(
        id=ReferenceId.model_validate(found["id"]),
        fasta=Path(found["fasta"]),
        gff=Path(found["gff"]),
        intervals=tuple(Interval.model_validate(one) for one in found["intervals"]),
    )
    return Bench(reference=reference, out=Path(job.pop("out")), **job)


if __name__ == "__main__":
    print(json.dumps(run(bench_of(json.loads(Path(sys.argv[1]).read_text())))))
