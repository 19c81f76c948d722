"""Check a sample's FASTQs and store them: read each pair to its end, upload both, record the lane, then the card.

What a sample is called stands in its card alone, in the landing zone: `{"format": 1, "sample": key, "project": ...,
"label": ..., "libraries": {library key: label}}`. Labels are the laboratory's names where the site declares its ids
pseudonymous, else the keys themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from chassis.errors import Rejected, Rejection, reject
from chassis.faultpoints import point
from chassis.ledger import outbox
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Lease
from chassis.outcomes import Done, Outcome, Retry
from chassis.storage import keys
from chassis.storage.store import tags_of
from chassis.worker.context import TaskContext
from contracts.values import Artifact, ArtifactKind, LaneReads
from services.ingest import statements as sql
from services.ingest.gather import gather
from services.ingest.offers import STAGE, failed
from services.ingest.pairs import CheckedPair, check_pair
from services.ingest.tasks import CheckLane, CheckTask

CARD_FORMAT = 1
CHANGED_AGAIN_AFTER = timedelta(seconds=30)


async def check(context: TaskContext) -> Outcome:
    """The task's work. A lane that an earlier attempt recorded is not read again."""
    task = CheckTask.read(context.payload)
    _withhold(context, task)
    root = _configured(task, context.settings.ingest.roots)
    lanes: list[LaneReads] = []
    for lane in task.lanes:
        recorded = context.chunks.get(lane.chunk)
        if recorded is None:
            first, second = (_inside(root, path, lane=lane.lane) for path in (lane.r1, lane.r2))
            before = _stamps(first, second)
            checked = await asyncio.to_thread(check_pair, first, second, lane=lane.lane)
            if _stamps(first, second) != before:
                return Retry(
                    reason=f"the files of {lane.chunk} changed while they were read", after=CHANGED_AGAIN_AFTER
                )
            recorded = await _store(context, task, lane, first, second, checked)
            await context.checkpoint(lane.chunk, recorded)
        lanes.append(LaneReads.model_validate(recorded))
    _all_different(lanes)
    card = await _write_card(context, task)
    return Done(
        result={"lanes": [lane.model_dump(mode="json") for lane in lanes], "card": card.model_dump(mode="json")}
    )


def _withhold(context: TaskContext, task: CheckTask) -> None:
    """Errors of the file system name files, and their names begin as the sample is called."""
    for key, name in task.libraries.items():
        context.withheld.add(name, key=key)
    context.withheld.add(task.label, key=task.sample)
    for lane in task.lanes:
        for mate, path in ((1, lane.r1), (2, lane.r2)):
            context.withheld.add(Path(path).name, key=f"R{mate} of lane {lane.lane}")


async def committed(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    """In the transaction that finishes the task: the sample is good; the last one announces the run."""
    run = await tx.conn.fetchval(sql.CHECKED, lease.key, await tx.now(), dict(result))
    if run is not None:
        await gather(tx, run)


async def gave_up(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    """In the transaction that makes the task a dead letter: the sample is refused, the run's others go on."""
    row = await tx.conn.fetchrow(sql.GAVE_UP, lease.key, await tx.now(), rejection.as_dict())
    if row is not None:
        await outbox.add(tx, failed(row["sample"], lease.key, rejection))
        await gather(tx, row["run"])


async def _store(
    context: TaskContext, task: CheckTask, lane: CheckLane, first: Path, second: Path, checked: CheckedPair
) -> dict[str, Any]:
    r1 = await _upload(context, task, lane, first, mate=1, sha256=checked.r1_sha256)
    r2 = await _upload(context, task, lane, second, mate=2, sha256=checked.r2_sha256)
    point("after-upload", of=context.service)
    reads = LaneReads(
        flowcell=task.flowcell,
        lane=lane.lane,
        index=lane.index,
        library=lane.library,
        r1=r1,
        r2=r2,
        read_pairs=checked.read_pairs,
    )
    return reads.model_dump(mode="json")


async def _upload(
    context: TaskContext, task: CheckTask, lane: CheckLane, path: Path, *, mate: int, sha256: str
) -> Artifact:
    """The content must be what was checked: the store compares the sum."""
    name = f"{task.flowcell}.{lane.lane}.{lane.index.replace('+', '-')}_R{mate}-{sha256[:16]}.fastq.gz"
    stored = await context.store.put_file(
        keys.landing(run=task.run, sample=task.sample, name=name),
        path,
        sha256=sha256,
        tags=tags_of(kind=ArtifactKind.fastq, stage=STAGE, subject=task.sample),
        if_absent=True,
    )
    return stored.artifact(ArtifactKind.fastq)


async def _write_card(context: TaskContext, task: CheckTask) -> Artifact:
    plain = context.settings.site.ids_are_pseudonymous
    card = {
        "format": CARD_FORMAT,
        "sample": task.sample,
        "project": task.project,
        "label": task.label if plain else task.sample,
        "libraries": {key: name if plain else key for key, name in sorted(task.libraries.items())},
    }
    content = json.dumps(card, sort_keys=True, separators=(",", ":")).encode()
    name = f"card-{hashlib.sha256(content).hexdigest()[:16]}.json"
    stored = await context.store.put_bytes(
        keys.landing(run=task.run, sample=task.sample, name=name),
        content,
        tags=tags_of(kind=ArtifactKind.card, stage=STAGE, subject=task.sample),
        if_absent=True,
    )
    return stored.artifact(ArtifactKind.card)


def _configured(task: CheckTask, roots: tuple[Path, ...]) -> Path:
    for root in roots:
        if str(root) == task.root:
            return root.resolve()
    raise reject(
        code="UNSAFE_PATH",
        message="the task's run root is none of those configured on this host",
        where="ingest.roots",
        rule="workers read below the configured run roots alone",
        fix="configure the same ingest.roots for `consume` and `work`, then revive the task",
    )


def _inside(root: Path, path: str, *, lane: int) -> Path:
    """The file that `path` (relative to the root) is, links followed. Raises Rejected UNSAFE_PATH outside the root."""
    resolved = (root / path).resolve()
    if Path(path).is_absolute() or ".." in Path(path).parts or not resolved.is_relative_to(root):
        raise reject(
            code="UNSAFE_PATH",
            message="a FASTQ lies outside the run root",
            where=f"lane {lane}",
            rule="every file of a run lies inside the configured run root, links followed",
            fix="copy the file itself into the run folder",
        )
    return resolved


def _stamps(*paths: Path) -> list[tuple[int, int, int] | None]:
    return [_stamp(path) for path in paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _all_different(lanes: list[LaneReads]) -> None:
    """PAIR_DUPLICATE when one file stands for two lanes of the sample."""
    counts = Counter(artifact.id for lane in lanes for artifact in (lane.r1, lane.r2))
    for lane in lanes:
        if counts[lane.r1.id] > 1 or counts[lane.r2.id] > 1:
            raise Rejected(
                Rejection(
                    code="PAIR_DUPLICATE",
                    message="the same file stands for two lanes or mates of the sample",
                    where=f"R{1 if counts[lane.r1.id] > 1 else 2} of lane {lane.lane}",
                    rule="each lane has its own pair of files",
                    fix="put the right file in the place of the wrong one",
                )
            )
