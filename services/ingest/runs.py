"""What an observation changes in the ledger. One transaction an observation; the run's row is locked throughout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from asyncpg import Record

from chassis.errors import Rejection
from chassis.ledger import outbox
from chassis.ledger.ledger import Tx
from contracts.events import RunRejected
from services.ingest import statements as sql
from services.ingest.gather import gather
from services.ingest.identity import Identity
from services.ingest.observation import Observation, RunState
from services.ingest.offers import plan_offer, take_in

log = logging.getLogger(__name__)


CANCELLED = Rejection(
    code="CANCELLED",
    message="the work was cancelled",
    where="ingest",
    rule="a person asked for it",
    fix="change the sheet or the files in the run folder: then the run is offered again",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A run folder: the configured root and the folder's name in it."""

    root: str
    folder: str


async def record(
    tx: Tx, seen: Observation, place: Place, *, mark: str, identity: Identity, former_gone: bool = False
) -> None:
    """Write down where the run in `place` stands and act on it: take it in, refuse it, or let it wait.

    `mark` is the folder's glance. `former_gone` says that the folder by which the run was known is no longer there.
    """
    now = await tx.now()
    await tx.conn.execute(sql.FORGET_MISNAMED, place.root, place.folder, seen.run)
    await tx.conn.execute(sql.NEW_RUN, seen.run, place.root, place.folder, now)
    row = await tx.conn.fetchrow(sql.LOCK_RUN, seen.run)
    if row is None:
        log.warning("a run folder changed its run id after its samples were taken in; it is left alone")
        return
    if (row["root"], row["folder"]) != (place.root, place.folder):
        if not former_gone and not (row["state"] == RunState.rejected and seen.offer is not None):
            await _copy(tx, row, seen, place, mark=mark, identity=identity, now=now)
            return
        await tx.conn.execute(sql.MOVED, seen.run, place.root, place.folder)
    await tx.conn.execute(sql.FORGET_COPY, place.root, place.folder)
    if row["state"] == RunState.checking:
        return
    files = {path: file.as_json() for path, file in seen.seen.items()}
    # a mark stands for a look that came to an end: a finished run that changes is looked at until it has settled
    ended = "" if seen.offer is None and seen.rejection is None else mark
    await tx.conn.execute(sql.LOOKED, seen.run, files, ended, seen.papers)
    if seen.rejection is not None:
        await _refuse(tx, row, seen, seen.rejection, now)
    elif seen.offer is not None:
        await _offer(tx, row, seen, place, identity, now)
    elif row["state"] != RunState.completed and not (row["state"] == RunState.rejected and row["acted"] == seen.papers):
        await tx.conn.execute(sql.STANDS, seen.run, seen.state.value, seen.waits_for, now)


async def refuse_run(tx: Tx, run: str, rejection: Rejection, now: datetime) -> None:
    """Nothing of the run can be used as it is."""
    attempt: int = await tx.conn.fetchval(sql.ATTEMPT, run)
    await tx.conn.execute(sql.REFUSED, run, now, rejection.as_dict())
    await outbox.add(tx, RunRejected(run=run, rejection=rejection.detail(), attempt=attempt))
    log.info("run refused", extra={"run": run, "attempt": attempt, "code": rejection.code})


async def _refuse(tx: Tx, row: Record, seen: Observation, rejection: Rejection, now: datetime) -> None:
    if row["acted"] == seen.papers and RunState(row["state"]).final:
        return
    await tx.conn.execute(sql.ACTED, seen.run)
    if row["state"] == RunState.completed:
        log.warning("the papers of a completed run changed and are bad now", extra={"run": seen.run})
        return
    await refuse_run(tx, seen.run, rejection, now)


async def _offer(tx: Tx, row: Record, seen: Observation, place: Place, identity: Identity, now: datetime) -> None:
    assert seen.offer is not None
    if row["acted"] == seen.papers and (row["rejection"] or {}).get("code") == CANCELLED.code:
        return
    await tx.conn.execute(sql.ACTED, seen.run)
    plan = await plan_offer(tx, seen.run, seen.offer, identity)
    if plan.empty:
        if RunState(row["state"]).final:
            return
        # everything in it was refused before in just this form: that is said again, for this offer
        await tx.conn.execute(sql.STANDS, seen.run, RunState.checking.value, "", now)
        await tx.conn.execute(sql.ATTEMPT, seen.run)
    else:
        await take_in(tx, seen.run, plan, seen.offer, root=place.root, folder=place.folder, now=now)
    await gather(tx, seen.run)


async def _copy(
    tx: Tx,
    row: Record,
    seen: Observation,
    place: Place,
    *,
    mark: str,
    identity: Identity,
    now: datetime,
) -> None:
    """A second folder of a known run: the same again is nothing to do, anything else contradicts what was announced."""
    verdict, rejection = "waiting", None
    if seen.offer is not None and row["state"] == RunState.completed:
        plan = await plan_offer(tx, seen.run, seen.offer, identity, copy=True)
        verdict = "same"
        if not plan.empty:
            verdict, rejection = "conflict", _other_content()
            attempt: int = await tx.conn.fetchval(sql.ATTEMPT, seen.run)
            await outbox.add(tx, RunRejected(run=seen.run, rejection=rejection.detail(), attempt=attempt))
    await tx.conn.execute(
        sql.NOTE_COPY,
        place.root,
        place.folder,
        seen.run,
        mark,
        {path: file.as_json() for path, file in seen.seen.items()},
        verdict,
        None if rejection is None else rejection.as_dict(),
        now,
    )


def _other_content() -> Rejection:
    return Rejection(
        code="IDEMPOTENCY_CONFLICT",
        message="a second folder of this run holds other samples or files than those announced",
        where="RunInfo.xml, Run",
        rule="a run is announced once; a folder with its id holds the same",
        fix="take the second folder out of the run roots; to mend a sample, change it in the first folder",
    )
