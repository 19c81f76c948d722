"""When the last of a run's samples has ended, in that transaction: announce the good ones, once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from asyncpg import Record

from chassis.errors import Rejection
from chassis.ledger import outbox
from chassis.ledger.attempts import link_done
from chassis.ledger.ledger import Tx
from contracts.events import MAX_EVENT_BYTES, RunCompleted, RunRejected
from contracts.values import Artifact, LaneReads, RunSample, Sample
from services.ingest import statements as sql
from services.ingest.arrivals import Settled, lane_id, settle
from services.ingest.offers import WITHDRAWN, failed, known_lanes, known_samples
from services.ingest.runfolder import PLATFORM
from services.ingest.tasks import CHECK

log = logging.getLogger(__name__)

PART_BYTES = MAX_EVENT_BYTES - 4096
PART_SAMPLES = 64
"""As many as run.completed holds; sizes usually end a part earlier."""


async def gather(tx: Tx, run: str) -> None:
    """Announce a run's good samples if none is being checked any more. Safe to call after any sample's end.

    The lock on the run's row makes two last samples take turns: the second sees the first. A run that was announced
    before and got more good samples since (a mended sheet, a revived task) announces these as a further part.
    """
    row = await tx.conn.fetchrow(sql.LOCK_RUN, run)
    samples = await tx.conn.fetch(sql.SAMPLES_OF_RUN, run)
    if row is None or any(sample["state"] == "checking" for sample in samples):
        return
    now = await tx.now()
    good = [sample for sample in samples if sample["state"] == "good"]
    announced = await _settle_all(tx, row, good, now) if good else []
    refused = await tx.conn.fetch(sql.SAMPLES_OF_RUN, run)
    rejected = [sample for sample in refused if sample["state"] == "failed"]
    parts = list(in_parts(announced))
    if parts:
        await link_done(tx, run, CHECK)
        await _announce(tx, row, parts, rejected=len(rejected))
    total = row["parts"] + len(parts)
    if total:
        await tx.conn.execute(sql.COMPLETED, run, now, total)
    elif row["state"] == "checking":
        rejection = _nothing_good(rejected)
        await tx.conn.execute(sql.REFUSED, run, now, rejection.as_dict())
        await outbox.add(tx, RunRejected(run=run, rejection=rejection.detail(), attempt=row["attempt"]))


async def _announce(tx: Tx, row: Record, parts: Sequence[tuple[RunSample, ...]], *, rejected: int) -> None:
    total = row["parts"] + len(parts)
    for number, samples in enumerate(parts, start=row["parts"] + 1):
        await outbox.add(
            tx,
            RunCompleted(
                run=row["run"],
                platform=PLATFORM,
                instrument=row["instrument"],
                optical_distance=row["optical_distance"],
                samples=samples,
                part=number,
                parts=total,
                rejected=rejected,
            ),
        )
    log.info("run announced", extra={"run": row["run"], "samples": sum(map(len, parts)), "rejected": rejected})


async def _settle_all(tx: Tx, run: Record, good: Sequence[Record], now: datetime) -> list[RunSample]:
    """Give each good sample its version under its lock; locks are taken in the order of keys, so that two runs with the
    same samples take turns too."""
    keys = [row["sample"] for row in good]
    locked = {row["key"]: row for row in await tx.conn.fetch(sql.LOCK_SAMPLES, keys)}
    known = await known_samples(tx, keys)
    withdrawn = {row["subject"] for row in await tx.conn.fetch(sql.WITHDRAWN, keys)}
    stored = await known_lanes(tx, run["flowcell"])
    announced: list[RunSample] = []
    for row in good:
        key = row["sample"]
        lanes = [LaneReads.model_validate(lane) for lane in row["result"]["lanes"]]
        settled = settle(known[key], lanes, further=row["offer"]["further"], stored=stored)
        if isinstance(settled, Settled):
            settled = await _stored_elsewhere(tx, settled) or settled
        if key in withdrawn:
            settled = WITHDRAWN
        if isinstance(settled, Rejection):
            await tx.conn.execute(sql.FAILED_LATE, run["run"], key, now, settled.as_dict())
            await outbox.add(tx, failed(key, row["task"], settled))
            continue
        await _store(tx, run["run"], row, settled, now)
        announced.append(
            RunSample(
                sample=Sample(key=key, project=locked[key]["project"], version=settled.version),
                arrival=settled.arrival,
                card=Artifact.model_validate(row["result"]["card"]),
                lanes=settled.lanes,
            )
        )
    return announced


async def _stored_elsewhere(tx: Tx, settled: Settled) -> Rejection | None:
    """PAIR_DUPLICATE when a file is stored already as another lane's: one of the two is in the wrong place."""
    sums = [artifact.id for lane in settled.fresh for artifact in (lane.r1, lane.r2)]
    fresh = {lane_id(lane) for lane in settled.fresh}
    for row in await tx.conn.fetch(sql.LANES_WITH_FILES, sums):
        if (row["flowcell"], row["lane"], row["index"]) not in fresh:
            return Rejection(
                code="PAIR_DUPLICATE",
                message="a file of the sample is stored already as that of another lane or sample",
                where=f"the same content as lane {row['lane']} of flow cell {row['flowcell']}",
                rule="each FASTQ belongs to one lane of one sample",
                fix="find out whose reads these are and put the right file in its place",
            )
    return None


async def _store(tx: Tx, run: str, row: Record, settled: Settled, now: datetime) -> None:
    sample = row["sample"]
    names: Mapping[str, str] = row["offer"]["libraries"]
    for lane in settled.fresh:
        await tx.conn.execute(sql.NEW_LIBRARY, lane.library, sample, names[lane.library])
        await tx.conn.execute(
            sql.NEW_LANE,
            lane.flowcell,
            lane.lane,
            lane.index,
            lane.library,
            sample,
            run,
            lane.r1.model_dump(mode="json"),
            lane.r2.model_dump(mode="json"),
            lane.r1.id,
            lane.r2.id,
            lane.read_pairs,
            now,
        )
    await tx.conn.execute(sql.RAISE_VERSION, sample, settled.version)
    await tx.conn.execute(sql.ANNOUNCED, run, sample, now, settled.arrival.value, settled.version)


def in_parts(samples: Sequence[RunSample]) -> Iterator[tuple[RunSample, ...]]:
    """Cut the list so that each part's event stays under the limit of 64 KB."""
    part: list[RunSample] = []
    size = 0
    for sample in samples:
        bytes_ = len(sample.model_dump_json(exclude_none=True)) + 1
        if part and (len(part) == PART_SAMPLES or size + bytes_ > PART_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(sample)
        size += bytes_
    if part:
        yield tuple(part)


def _nothing_good(rejected: Sequence[Record]) -> Rejection:
    first = Rejection(**rejected[0]["rejection"])
    return Rejection(
        code=first.code,
        message=f"none of the run's {len(rejected)} samples can be used; the first: {first.message}",
        where=first.where,
        rule=first.rule,
        fix=first.fix,
    )
