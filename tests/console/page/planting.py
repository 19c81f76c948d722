"""A site in the middle of its work, planted into empty ledgers: plausible rows for every page, the same each time."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

HOSTILE = "<script>alert('label')</script>"
LABELLED = "HG00100"
RUN = "240611_A01417_0218_AHK7YWDSX5"
REFUSED_RUN = "240612_A01417_0219_BHK7YWDSX5"
WORKING, RELEASED, FAILED = "biobank:2", "biobank:1", "pilot:1"
CONTIGS = (("chr1", 249_000_000, 50), ("chr2", 242_000_000, 48), ("chr20", 64_000_000, 13), ("chrX", 156_000_000, 31))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def key(number: int) -> str:
    """The key of the sample of this number; 1 is LABELLED's."""
    return f"smp_{hashlib.sha256(str(number).encode()).hexdigest()[:24]}"


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def rejection(code: str, message: str, *, where: str = "the sample sheet, line 7") -> dict[str, str]:
    rule = "a file arrives whole before it is read"
    return {"code": code, "message": message, "where": where, "rule": rule, "fix": "copy the file again"}


@dataclass
class Planting:
    """Rows by schema and table, written at the end, each table at once."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    rows: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def ago(self, **back: float) -> datetime:
        return self.now - timedelta(**back)

    def add(self, schema: str, table: str, **row: Any) -> None:
        self.rows.setdefault((schema, table), []).append(row)

    def task(self, schema: str, name: str, kind: str, subject: str, state: str, **more: Any) -> None:
        """A task with an attempt for each epoch that has ended."""
        epoch = more.pop("epoch", 1 if state in ("leased", "done", "failed") else 0)
        took = more.pop("took", 40.0)
        changed = more.pop("changed", self.ago(minutes=3))
        endings: Sequence[str] = more.pop("endings", ("done",) if state == "done" else ())
        ended = state in ("done", "failed")
        self.add(
            schema,
            "task",
            key=name,
            slug=name.replace(":", "-"),
            kind=kind,
            subject=subject,
            belongs_to=more.pop("belongs_to", ""),
            payload="{}",
            pool=more.pop("pool", "default"),
            memory_class="small",
            state=state,
            ready_at=changed,
            epoch=epoch,
            owner="worker-1" if state == "leased" else None,
            traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
            created_at=changed - timedelta(seconds=took + 60),
            started_at=None if state in ("ready", "waiting") else changed - timedelta(seconds=took),
            changed_at=changed,
            finished_at=changed if ended else None,
            **more,
        )
        for at, ending in enumerate(endings):
            when = changed - timedelta(seconds=took * (len(endings) - 1 - at))
            reason = None if ending == "done" else "the host was taken away"
            begun = when - timedelta(seconds=took)
            self.add(
                schema, "attempt", task_key=name, incarnation=1, epoch=at + 1, owner="worker-1", host="node-3",
                started_at=begun, ended_at=when, ending=ending, reason=reason,
            )  # fmt: skip

    async def write(self, dsn: str) -> None:
        conn = await asyncpg.connect(dsn)
        try:
            async with conn.transaction():
                for (schema, table), rows in self.rows.items():
                    await _insert(conn, schema, table, rows)
        finally:
            await conn.close()


async def _insert(conn: Any, schema: str, table: str, rows: list[dict[str, Any]]) -> None:
    by_columns: dict[tuple[str, ...], list[Iterable[Any]]] = {}
    for row in rows:
        by_columns.setdefault(tuple(row), []).append(tuple(row.values()))
    for columns, values in by_columns.items():
        named = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join(f"${at + 1}" for at in range(len(columns)))
        await conn.executemany(f"insert into {schema}.{table} ({named}) values ({marks})", values)


def plant(people: int = 24) -> Planting:
    """Two runs, `people` samples (one with a hostile label), three freezes, a quarantine, a store with tiers."""
    site = Planting()
    _runs(site)
    for number in range(1, people + 1):
        _sample(site, number)
    _freezes(site)
    _quarantine(site)
    _store(site, people)
    site.add("align", "watched", subject=key(5), kind="sample", state="aligning", moved_at=site.ago(hours=6),
             expected_seconds=5400.0, waits_for="its alignment", found_at=site.ago(hours=4))  # fmt: skip
    for at, (kind, subject, reason) in enumerate(
        (
            ("sample.verdict.requested", key(3), "low yield in lane 2, repeat in progress"),
            ("cohort.freeze.requested", "biobank", "the spring release"),
        )
    ):
        site.add("jointcall", "audit", request_id=UUID(int=at + 1), type=kind, subject=subject, actor="bea",
                 reason=reason, received_at=site.ago(hours=3 + at))  # fmt: skip
    return site


def _runs(site: Planting) -> None:
    sheet = rejection("SHEET_SYNTAX", "the sheet names a lane twice")
    for run, state, back, refused in ((RUN, "completed", 9.0, None), (REFUSED_RUN, "rejected", 2.0, sheet)):
        site.add("ingest", "run", run=run, root="/instruments/a", folder=run, state=state, since=site.ago(hours=back),
                 created_at=site.ago(hours=back + 1), parts=1,
                 rejection=json.dumps(refused) if refused else None)  # fmt: skip
    site.add("ingest", "run", run="240613_A00871_0090_AH5GNWDSX7", root="/instruments/b", folder="b", state="copying",
             since=site.ago(minutes=6), waits_for="the copy to end", created_at=site.ago(minutes=30))  # fmt: skip


def _sample(site: Planting, number: int) -> None:
    one, project = key(number), "GENOMES"
    label = {1: LABELLED, 2: HOSTILE}.get(number, f"HG{number:05d}")
    failed, aligning, calling = number == 4, number in (5, 6, 7, 8), number in (9, 10)
    site.add("ingest", "sample", key=one, project=project, label=label, version=1, created_at=site.ago(hours=9))
    bad = rejection("FASTQ_TRUNCATED", f"a FASTQ of {one} ends within a record", where="lane 2, mate 1")
    lanes = [{"lane": 1, "r1": f"{label}_L001_R1.fastq.gz", "r2": f"{label}_L001_R2.fastq.gz"}]
    site.add("ingest", "run_sample", run=RUN, sample=one, attempt=1, task=f"check:{number}", since=site.ago(hours=8),
             version=None if failed else 1, state="failed" if failed else "announced",
             offer=json.dumps({"lanes": lanes}), rejection=json.dumps(bad) if failed else None)  # fmt: skip
    site.task("ingest", f"check:{number}", "check", one, "failed" if failed else "done", belongs_to=RUN,
              changed=site.ago(hours=8), error=json.dumps(bad) if failed else None)  # fmt: skip
    if failed:
        return
    state = "aligning" if aligning else "calling" if calling else "called"
    depth = round(site.chance.uniform(24, 34), 1)
    figures = {"mean_coverage": depth, "duplication": 0.09, "mapped": 0.997, "insert_median": 412.0}
    site.add("align", "sample_version", sample=one, version=1, project=project, run=RUN, arrived="{}", state=state,
             since=site.ago(minutes=10 + number), aligned=None if aligning else json.dumps({"metrics": figures}),
             called=json.dumps({"verdict": "pass"}) if state == "called" else None)  # fmt: skip
    again = ("preemption", "done") if number % 5 == 0 else ("done",)
    work = {"belongs_to": RUN, "pool": "spot", "changed": site.ago(minutes=5 + 7 * number % 110)}
    if aligning:
        running = number < 7
        site.task("align", f"align:{one}:v1:p", "align", one, "leased" if running else "ready", **work)
    else:
        lost = len(again) - 1
        site.task("align", f"align:{one}:v1:p", "align", one, "done", took=1900.0 + 37 * number, epoch=len(again),
                  endings=again, preemptions=lost, **work)  # fmt: skip
    if not aligning:
        site.task("align", f"call:{one}:v1:p", "call", one, "leased" if calling else "done", belongs_to=RUN,
                  changed=site.ago(minutes=2 + 5 * number % 90), took=900.0 + 11 * number)  # fmt: skip
    if state == "called":
        verdict = "hold" if number == 11 else "pass"
        why = ["contamination 0.034 is above 0.02"] if verdict == "hold" else []
        gvcf = json.dumps({"id": sha(f"gvcf{number}")})
        site.add("jointcall", "sample", key=one, project=project, version=1, gvcf=gvcf, reference_name="GRCh38",
                 reference_digest="d" * 32, pipeline="gatk 4.6.1", verdict=verdict, reasons=json.dumps(why),
                 mean_coverage=depth, since=site.ago(minutes=2 + number))  # fmt: skip
    if number == 3:
        site.add("jointcall", "override", sample=one, verdict="hold", by="bea", since=site.ago(hours=3),
                 reason="low yield in lane 2, repeat in progress")  # fmt: skip


def _freezes(site: Planting) -> None:
    site.add("jointcall", "cohort", cohort="biobank", freezes=2, created_at=site.ago(days=30))
    site.add("jointcall", "cohort", cohort="pilot", freezes=1, created_at=site.ago(days=3))
    dead = rejection("GVCF_ORDER", f"the gVCF of {key(6)} is not in the reference's order", where="record 88,213")
    total = sum(many for _, _, many in CONTIGS)
    for freeze, state, back, error in (
        (WORKING, "genotyping", 1.6, None),
        (RELEASED, "genotyped", 700.0, None),
        (FAILED, "failed", 70.0, dead),
    ):
        cohort, _, number = freeze.rpartition(":")
        intervals = total if freeze == WORKING else 12
        site.add("jointcall", "cohort_freeze", freeze_id=freeze, cohort=cohort, number=int(number), engine="gatk",
                 request_id=UUID(int=100 + len(site.rows.get(("jointcall", "cohort_freeze"), ()))), requested_by="bea",
                 state=state, since=site.ago(hours=back), samples=2504 if freeze == WORKING else 1200,
                 intervals=intervals, error=json.dumps(error) if error else None)  # fmt: skip
        if freeze != WORKING:
            for index in range(12):
                where = _where("chr20", 64_000_000, index * 5_000_000 + 1, (index + 1) * 5_000_000)
                site.add("jointcall", "freeze_interval", freeze_id=freeze, index=index, interval=where, attempts=1,
                         predicted_work=1.0, state="genotyped", variants=9000, seconds=600.0 + index)  # fmt: skip
    _intervals(site)
    summary = {"samples": 1200, "variants": 1_204_331, "snps": 1_048_112, "indels": 156_219, "passed": 1_131_408,
               "ti_tv": 2.071, "het_hom": 1.612, "filtered_rate": 0.0605}  # fmt: skip
    decisions = [
        {
            "variant_type": "snp",
            "method": "vqsr",
            "rule": "88,120 SNPs are in the training resources; 5,000 are asked for",
        },
        {
            "variant_type": "indel",
            "method": "hard-filter",
            "rule": "hard filters: 1,204 indels are in the training resources",
        },
    ]
    manifest = {"uri": "file:///store/released/biobank-1/manifest", "sha256": sha("m"), "entries": 3, "size": 100}
    site.add("annotate", "panel", freeze_id=RELEASED, cohort="biobank", number=1, state="released",
             since=site.ago(days=28), released_at=site.ago(days=28), intervals=12, summary=json.dumps(summary),
             manifest=json.dumps(manifest), recalibrated=json.dumps({"decisions": decisions}))  # fmt: skip


def _intervals(site: Planting) -> None:
    """The first 84 are done, some of the others too, twelve run; some were taken away or lost on the way."""
    index = 0
    for contig, length, many in CONTIGS:
        step = length // many
        for at in range(many):
            done = index < 84 or site.chance.random() < 0.1
            state = "done" if done else "leased" if index < 96 else "ready"
            seconds = round(site.chance.gammavariate(6.0, 95.0), 1)
            again = site.chance.choices((0, 1, 2, 3), weights=(16, 3, 1, 0.4))[0] if state != "ready" else 0
            lost = site.chance.randint(0, again)
            where = _where(contig, length, at * step + 1, length if at == many - 1 else (at + 1) * step)
            site.add("jointcall", "freeze_interval", freeze_id=WORKING, index=index, interval=where, predicted_work=1.0,
                     state="genotyped" if done else "queued", variants=int(seconds * 61) if done else None,
                     seconds=seconds if done else None, attempts=again + 1 if done else None)  # fmt: skip
            endings = ("preemption",) * (again - lost) + ("loss",) * lost
            site.task("jointcall", f"interval:{WORKING}:{index}:abc", "interval", WORKING, state, belongs_to="biobank",
                      pool="spot", changed=site.ago(seconds=60 * (86 - min(index, 85)) + 20), took=seconds,
                      epoch=0 if state == "ready" else again + 1, preemptions=again - lost, losses=lost,
                      endings=(*endings, "done") if done else endings)  # fmt: skip
            index += 1


def _where(contig: str, length: int, start: int, end: int) -> str:
    return json.dumps({"contig": contig, "start": start, "end": end, "contig_length": length})


def _quarantine(site: Planting) -> None:
    for at, (service, code, message) in enumerate(
        (
            ("align", "SCHEMA", "the event lacks its field sample.key"),
            ("align", "SCHEMA", f"the name {HOSTILE} is no name"),
            ("jointcall", "BUILD_MISMATCH", f"the gVCF of {key(12)} was made on another reference"),
        )
    ):
        site.add(service, "quarantine", topic="run.completed", partition=0, offset=40 + at, headers="{}", body=b"{}",
                 code=code, rejection=json.dumps(rejection(code, message, where="the event")),
                 received_at=site.ago(minutes=50 + at))  # fmt: skip


def _store(site: Planting, people: int) -> None:
    for tier, price in (("STANDARD", 0.023), ("GLACIER", 0.0036), ("DEEP_ARCHIVE", 0.00099)):
        site.add("archive", "price", tier=tier, per_gb_month=price, overhead_bytes=0)
    kinds = (("fastq", 61e9, "GLACIER"), ("cram", 17e9, "STANDARD"), ("gvcf", 3.1e9, "STANDARD"))
    for number in range(1, people + 1):
        for kind, size, tier in kinds:
            name = sha(f"{kind}{number}")
            resting = "STANDARD" if number > 18 else tier
            site.add("archive", "artifact", id=name, uri=f"s3://store/landing/{RUN}/{name[:16]}.{kind}", kind=kind,
                     size=int(size * site.chance.uniform(0.8, 1.2)), stage="landing", subject=key(number), rank=0,
                     recorded_at=site.ago(hours=8), tier=resting, tier_since=site.ago(hours=2), state="stored",
                     since=site.ago(hours=8))  # fmt: skip
            if kind == "fastq" and resting == "STANDARD":
                site.add("archive", "planned", id=name, uri=f"s3://store/landing/{RUN}/{name[:16]}.{kind}",
                         policy="fastq-to-glacier", action="GLACIER", why_not=["its CRAM is not verified yet"],
                         saves_monthly=1.18, planned_at=site.ago(minutes=1))  # fmt: skip
    site.add("archive", "hold", request_id=UUID(int=900), artifact=sha("cram1"), actor="bea",
             placed_at=site.ago(days=2), reason="for the comparison of aligners")  # fmt: skip
    site.add("archive", "restore", artifact=sha("fastq1"), number=1, days=7, actor="bea", state="asked",
             reason="to be aligned again", asked_at=site.ago(hours=1))  # fmt: skip
    site.add("archive", "tiering", backend="storage-class", said="the store has storage classes", classes=["GLACIER"],
             decided_at=site.ago(hours=9))  # fmt: skip
