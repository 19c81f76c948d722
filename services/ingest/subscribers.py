"""Cancelled and withdrawn samples end like failed ones: their run does not wait for them."""

from __future__ import annotations

from chassis.ledger import outbox
from chassis.ledger.ledger import Tx
from chassis.messaging import common
from contracts.events import SampleWithdrawalRequested, WorkCancelRequested
from services.ingest import statements as sql
from services.ingest.gather import gather
from services.ingest.observation import RunState
from services.ingest.offers import WITHDRAWN, failed
from services.ingest.runs import CANCELLED, refuse_run


async def on_cancel(tx: Tx, event: WorkCancelRequested) -> None:
    await common.on_cancel(tx, event)
    now = await tx.now()
    rows = await tx.conn.fetch(sql.CANCELLED, event.target, now, CANCELLED.as_dict())
    for row in rows:
        await outbox.add(tx, failed(row["sample"], row["task"], CANCELLED))
    for run in sorted({row["run"] for row in rows}):
        await gather(tx, run)
    waiting = await tx.conn.fetchrow(sql.LOCK_RUN, event.target)
    if waiting is not None and not rows and not RunState(waiting["state"]).final:
        await tx.conn.execute(sql.ACTED, event.target)
        await refuse_run(tx, event.target, CANCELLED, now)


async def on_withdrawal(tx: Tx, event: SampleWithdrawalRequested) -> None:
    await common.on_withdrawal(tx, event)
    rows = await tx.conn.fetch(sql.LEFT_OUT, event.sample, await tx.now(), WITHDRAWN.as_dict())
    for row in rows:
        await outbox.add(tx, failed(row["sample"], row["task"], WITHDRAWN))
    for run in sorted({row["run"] for row in rows}):
        await gather(tx, run)
