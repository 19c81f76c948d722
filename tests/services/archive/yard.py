"""The archive without Kafka: its handlers, its sweep and its tasks, run here and now on real Postgres and S3."""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from chassis.errors import LeaseLost, Rejected
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Ending, Lease
from chassis.outcomes import Failed, Outcome, Retry
from chassis.reference.cache import ReferenceCache
from chassis.service import Service, locate
from chassis.settings import Settings
from chassis.storage.manifests import write_manifest
from chassis.storage.store import Store, StoreUnavailable, tags_of
from chassis.tools.fingerprint import combine, reads_fingerprint_of_alignment, reads_fingerprint_of_fastq
from chassis.worker.context import Parked, TaskContext, restore_of
from chassis.worker.settle import settle
from contracts.events import (
    ArtifactHoldReleased,
    ArtifactHoldRequested,
    ArtifactRestoreRequested,
    CohortFrozen,
    CramReady,
    Event,
    GvcfReady,
    PanelReleased,
    PanelSummary,
    RunCompleted,
)
from contracts.values import (
    Arrival,
    Artifact,
    ArtifactKind,
    EngineName,
    LaneReads,
    ManifestRef,
    QcStatus,
    QcVerdict,
    ReferenceId,
    RunSample,
    Sample,
)
from services.archive.condemn import grace
from services.archive.policies import Rules, load_rules
from services.archive.standing import tiering_of
from services.archive.sweep import Sweep
from services.archive.tiers.choice import decide_tiering
from tests.support import events
from tests.support.deliver import deliver

TTL = timedelta(seconds=30)
CLOCK = """
create table if not exists test_clock (ahead interval not null);
insert into test_clock select interval '0' where not exists (select from test_clock);
create or replace function ledger_now() returns timestamptz language sql volatile
    as 'select clock_timestamp() + (select ahead from archive.test_clock)'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    ledger: Ledger
    service: Service
    settings: Settings
    store: Store
    folder: Path

    @property
    def rules(self) -> Rules:
        return load_rules(self.settings.archive.policies)

    async def hear(self, *heard: Event) -> None:
        receipts = await deliver(self.ledger, self.service, *heard)
        assert all(receipt == "handled" for receipt in receipts), receipts

    async def sweep(self) -> int:
        """As the consumer does it: how objects go cold is decided once."""
        async with self.ledger.connection() as conn:
            known = await conn.fetchval("select exists (select from tiering)")
            tiering = await (tiering_of(conn) if known else decide_tiering(self.settings, self.store, conn))
        return await Sweep(
            ledger=self.ledger, rules=self.rules.under(tiering), tiering=tiering, grace=grace(self.settings)
        ).run()

    async def pass_time(self, ahead: timedelta) -> None:
        async with self.ledger.connection() as conn:
            await conn.execute("update test_clock set ahead = ahead + $1", ahead)

    async def pass_grace(self) -> None:
        await self.pass_time(grace(self.settings))

    async def claim(self, *, ttl: timedelta = TTL) -> Lease | None:
        async with self.ledger.connection() as conn:
            leases = await queue.claim(
                conn, pools=["default"], memory_classes=["small"], owner="w", host="h", ttl=ttl, limit=1
            )
        return leases[0] if leases else None

    async def run(self, lease: Lease, *, store: Store | None = None) -> Outcome:
        """The task's code, as the child runs it."""
        scratch = self.folder / "scratch" / lease.attempt / uuid.uuid4().hex
        scratch.mkdir(parents=True)
        with ReferenceCache(root=self.folder / "references", limit_bytes=1 << 30) as references:
            context = TaskContext(
                service="archive",
                settings=self.settings,
                lease=lease,
                store=store or self.store,
                references=references,
                scratch=scratch,
                log=scratch / "log",
                record=partial(self._record, lease),
            )
            try:
                outcome: Outcome = await locate(self.service.kind(lease.kind).work)(context)
                return outcome
            except Rejected as rejected:
                return Failed(rejection=rejected.rejection)
            except StoreUnavailable as away:
                return Retry(reason=str(away), after=timedelta(seconds=1))
            except Parked as parked:
                return Retry(reason="archived", after=timedelta(days=3), waits_for=restore_of(parked.artifact))

    async def _record(self, lease: Lease, chunk: str, value: Mapping[str, Any]) -> None:
        async with self.ledger.connection() as conn:
            if not await queue.checkpoint(conn, lease, chunk=chunk, value=value):
                raise LeaseLost(lease.key)

    async def settle(self, lease: Lease, outcome: Outcome) -> Ending:
        return await settle(self.ledger, self.service, lease, outcome)

    async def work(self) -> list[str]:
        """Every task that is ready, one after the other; the keys in the order in which they ran."""
        done = []
        while (lease := await self.claim()) is not None:
            await self.settle(lease, await self.run(lease))
            done.append(lease.key)
        return done

    async def work_only(self, prefix: str) -> None:
        """As `work`, but other tasks stay as they are."""
        async with self.ledger.connection() as conn:
            await conn.execute("update task set pool = 'aside' where not starts_with(key, $1)", prefix)
        try:
            await self.work()
        finally:
            async with self.ledger.connection() as conn:
                await conn.execute("update task set pool = 'default' where pool = 'aside'")

    async def told(self, topic: str) -> list[dict[str, Any]]:
        async with self.ledger.connection() as conn:
            rows = await conn.fetch("select body from outbox where topic = $1 order by id", topic)
        return [json.loads(bytes(row["body"])) for row in rows]

    async def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        async with self.ledger.connection() as conn:
            return [dict(row) for row in await conn.fetch(statement, *values)]

    async def copy(self, artifact: Artifact) -> dict[str, Any]:
        rows = await self.rows("select * from status_artifact where artifact = $1", artifact.id)
        assert len(rows) == 1
        return rows[0]

    async def why_not(self, artifact: Artifact) -> list[str]:
        rows = await self.rows("select why_not from status_plan where artifact = $1", artifact.id)
        return [reason for row in rows for reason in row["why_not"]]

    async def put(self, kind: ArtifactKind, key: str, body: bytes, *, subject: str = "x") -> Artifact:
        stored = await self.store.put_bytes(key, body, tags=tags_of(kind=kind, stage="align", subject=subject))
        return stored.artifact(kind)


@asynccontextmanager
async def open_yard(
    ledger: Ledger, settings: Settings, store: Store, folder: Path, build: Callable[[Settings], Service]
) -> AsyncIterator[Yard]:
    async with ledger.connection() as conn:
        await conn.execute(CLOCK)
    yield Yard(ledger=ledger, service=build(settings), settings=settings, store=store, folder=folder)


def sample(number: int = 1, version: int = 1) -> Sample:
    return Sample(key=events.sample_of(number), project="P", version=version)


def lane(number: int, r1: Artifact, r2: Artifact) -> LaneReads:
    return LaneReads(flowcell="FC", lane=number, index="ACGT", library="lib_" + "0" * 24, r1=r1, r2=r2, read_pairs=2)


def run_completed(of: Sample, *lanes: LaneReads, run: str = "run1") -> RunCompleted:
    arrived = RunSample(
        sample=of,
        arrival=Arrival.new if of.version == 1 else Arrival.top_up,
        card=events.artifact(ArtifactKind.card, f"{of.key}.json"),
        lanes=lanes,
    )
    return RunCompleted(run=run, platform="ILLUMINA", instrument="NovaSeq", optical_distance=2500, samples=(arrived,))


def cram_ready(
    of: Sample,
    cram: Artifact,
    *,
    read_groups: tuple[str, ...] = ("FC.1.ACGT",),
    fingerprint: str = "0" * 64,
    reference: ReferenceId = events.REFERENCE,
) -> CramReady:
    return CramReady(
        sample=of,
        run="run1",
        cram=cram,
        crai=events.artifact(ArtifactKind.crai, f"{of.key}.{of.version}.crai"),
        reference=reference,
        libraries=("lib_" + "0" * 24,),
        read_groups=read_groups,
        reads=4,
        mean_coverage=30.0,
        duplication=0.1,
        mapped=1.0,
        insert_median=300.0,
        fingerprint=fingerprint,
        provenance=events.PROVENANCE,
    )


def gvcf_ready(of: Sample, gvcf: Artifact, *, status: QcStatus = QcStatus.passed) -> GvcfReady:
    return GvcfReady(
        sample=of,
        run="run1",
        gvcf=gvcf,
        index=events.artifact(ArtifactKind.gvcf_index, f"{of.key}.{of.version}.tbi"),
        reference=events.REFERENCE,
        verdict=QcVerdict(status=status, rules="default", reasons=() if status is QcStatus.passed else ("low",)),
        mean_coverage=30.0,
        records=10,
        variants=2,
        provenance=events.PROVENANCE,
    )


def frozen(members: ManifestRef, intervals: ManifestRef, freeze: str = "c:1") -> CohortFrozen:
    cohort, _, number = freeze.rpartition(":")
    return CohortFrozen(
        freeze=freeze,
        cohort=cohort,
        number=int(number),
        manifest=members,
        intervals=intervals,
        reference=events.REFERENCE,
        engine=EngineName(name="gatk", version="4.6.2.0"),
        requested_by=events.PERSON,
    )


def released(panel: ManifestRef, report: Artifact, freeze: str = "c:1") -> PanelReleased:
    return PanelReleased(
        freeze=freeze,
        cohort=freeze.rpartition(":")[0],
        manifest=panel,
        report=report,
        summary=PanelSummary(samples=1, variants=5, snps=4, indels=1, passed=5, filtered_rate=0.0),
        decisions=events.decisions(),
        reference=events.REFERENCE,
        provenance=events.PROVENANCE,
    )


def hold(artifact: Artifact) -> ArtifactHoldRequested:
    return ArtifactHoldRequested(
        request_id=uuid.uuid4(), artifact=artifact.id, actor=events.PERSON, reason="looking at it"
    )


def hold_released(artifact: Artifact) -> ArtifactHoldReleased:
    return ArtifactHoldReleased(request_id=uuid.uuid4(), artifact=artifact.id, actor=events.PERSON, reason="done")


def restore_requested(artifact: Artifact, *, days: int = 7) -> ArtifactRestoreRequested:
    return ArtifactRestoreRequested(
        request_id=uuid.uuid4(), artifact=artifact.id, actor=events.PERSON, reason="needed", days=days
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One sample's artifacts, really in the store, and the facts that tell of them."""

    r1: Artifact
    r2: Artifact
    cram: Artifact
    gvcf: Artifact
    report: Artifact
    facts: tuple[Event, ...]


async def journey(yard: Yard, *, fingerprint: str = "0" * 64, reads: tuple[bytes, ...] = (b"r1", b"r2")) -> Journey:
    """Objects whose bytes are no FASTQ and no CRAM: enough where nobody reads them."""
    of = sample()
    r1 = await yard.put(ArtifactKind.fastq, f"landing/run1/{of.key}/r1.fastq.gz", reads[0], subject=of.key)
    r2 = await yard.put(ArtifactKind.fastq, f"landing/run1/{of.key}/r2.fastq.gz", reads[1], subject=of.key)
    cram = await yard.put(ArtifactKind.cram, "working/align/t/1-1/s.cram", b"cram", subject=of.key)
    return await _told_of(yard, r1, r2, cram, cram_ready(of, cram, fingerprint=fingerprint))


async def own_journey(yard: Yard) -> Journey:
    """As `journey`, with the card and the indexes in the store too: everything that is the sample's own."""
    told = await journey(yard)
    run, cram, gvcf, *panel = told.facts
    assert isinstance(run, RunCompleted) and isinstance(cram, CramReady) and isinstance(gvcf, GvcfReady)
    key = cram.sample.key
    card = await yard.put(ArtifactKind.card, f"landing/run1/{key}/card.json", b"card", subject=key)
    crai = await yard.put(ArtifactKind.crai, "working/align/t/1-1/s.crai", b"crai", subject=key)
    index = await yard.put(ArtifactKind.gvcf_index, "working/align/t/1-1/s.g.vcf.gz.tbi", b"tbi", subject=key)
    arrived = run.samples[0].model_copy(update={"card": card})
    facts = (
        run.model_copy(update={"samples": (arrived,)}),
        cram.model_copy(update={"crai": crai}),
        gvcf.model_copy(update={"index": index}),
        *panel,
    )
    return replace(told, facts=facts)


async def real_journey(yard: Yard, folder: Path, *, other_reads: bool = False) -> Journey:
    """Real reads: a pair of FASTQs and the CRAM of them; with `other_reads` the CRAM has lost one base's quality."""
    of = sample()
    reference = await _reference(yard, folder)
    pairs = [("q1", "ACGTACGTAC", "TTGACCATGA"), ("q2", "GGGTACCTAA", "CATGCATGCC")]
    r1, r2 = _fastq(folder / "r1.fastq.gz", [(n, a) for n, a, _ in pairs]), folder / "r2.fastq.gz"
    _fastq(r2, [(n, b) for n, _, b in pairs])
    cram_path = folder / "s.cram"
    _cram(cram_path, folder / "ref.fa", pairs, quality="H" if other_reads else "I")
    said = combine(reads_fingerprint_of_fastq(r1, r2))
    if other_reads:
        said = reads_fingerprint_of_alignment(cram_path, folder / "ref.fa")
    stored = [
        await yard.put(kind, key, path.read_bytes(), subject=of.key)
        for kind, key, path in (
            (ArtifactKind.fastq, f"landing/run1/{of.key}/r1.fastq.gz", r1),
            (ArtifactKind.fastq, f"landing/run1/{of.key}/r2.fastq.gz", r2),
            (ArtifactKind.cram, "working/align/t/1-1/s.cram", cram_path),
        )
    ]
    ready = cram_ready(of, stored[2], fingerprint=said, reference=reference)
    return await _told_of(yard, stored[0], stored[1], stored[2], ready)


async def _told_of(yard: Yard, r1: Artifact, r2: Artifact, cram: Artifact, ready: CramReady) -> Journey:
    of = ready.sample
    gvcf = await yard.put(ArtifactKind.gvcf, "working/align/t/1-1/s.g.vcf.gz", b"gvcf", subject=of.key)
    report = await yard.put(ArtifactKind.report, "released/c/1/report.html", b"report", subject="c:1")
    members = await write_manifest(yard.store, None, [{"sample": of.key, "gvcf": gvcf.model_dump(mode="json")}])
    intervals = await write_manifest(yard.store, None, [{"interval": "chr1:1-9"}])
    panel = await write_manifest(
        yard.store, None, [{"contig": "chr1", "files": [report.model_dump(mode="json", exclude_none=True)]}]
    )
    facts = (
        run_completed(of, lane(1, r1, r2)),
        ready,
        gvcf_ready(of, gvcf),
        frozen(members, intervals),
        released(panel, report),
    )
    return Journey(r1=r1, r2=r2, cram=cram, gvcf=gvcf, report=report, facts=facts)


async def _reference(yard: Yard, folder: Path) -> ReferenceId:
    from chassis.reference.bundle import add

    fasta = folder / "ref.fa"
    bases = "".join("ACGT"[hashlib.sha256(str(place).encode()).digest()[0] % 4] for place in range(600))
    fasta.write_text(f">chr1\n{bases}\n", encoding="ascii")
    bundle = await add(yard.store, name="toy", fasta=fasta, max_interval_bp=1000, scratch=folder)
    return bundle.id


def _fastq(path: Path, reads: list[tuple[str, str]]) -> Path:
    with gzip.open(path, "wt", encoding="ascii") as out:
        for name, bases in reads:
            out.write(f"@{name}\n{bases}\n+\n{'I' * len(bases)}\n")
    return path


def _cram(path: Path, fasta: Path, pairs: list[tuple[str, str, str]], *, quality: str) -> None:
    import pysam

    pysam.faidx(str(fasta))
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 600}]}
    with pysam.AlignmentFile(
        str(path), "wc", header=header, reference_filename=str(fasta), format_options=[b"version=3.0"]
    ) as out:
        for name, *mates in pairs:
            for mate, bases in enumerate(mates, start=1):
                record = pysam.AlignedSegment(out.header)
                record.query_name = name
                record.flag = 0x1 | 0x4 | 0x8 | (0x40 if mate == 1 else 0x80)
                record.query_sequence = bases
                record.query_qualities = pysam.qualitystring_to_array(quality * len(bases))
                out.write(record)
