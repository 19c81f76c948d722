"""Align's event: a run whose good samples are stored."""

from __future__ import annotations

from typing import Any

from chassis.errors import reject
from chassis.ledger import queue
from chassis.ledger.ledger import Tx
from contracts.events import RunCompleted
from contracts.values import Arrival
from services.align import statements
from services.align.policy import Policy
from services.align.tasks import Aligned, AlignTask


class Arrivals:
    """Handles runs under one policy (which reference, which engine)."""

    def __init__(self, *, policy: Policy) -> None:
        self._policy = policy

    async def on_run_completed(self, tx: Tx, event: RunCompleted) -> None:
        for arrived in event.samples:
            sample = arrived.sample
            came = arrived.model_dump(mode="json")
            row = {
                "run": event.run,
                "platform": event.platform,
                "optical_distance": event.optical_distance,
                "arrived": came,
            }
            fresh = await tx.conn.fetchval(
                statements.ARRIVE, sample.key, sample.version, sample.project, event.run, row
            )
            if fresh is not None:
                await start_if_ready(tx, self._policy, sample.key, sample.version)
                continue
            known: Any = await tx.conn.fetchrow(statements.VERSION, sample.key, sample.version)
            if arrived.arrival is not Arrival.rerun and known["arrived"]["arrived"]["lanes"] != came["lanes"]:
                raise _other_reads(sample.key, sample.version)


def _other_reads(sample: str, version: int) -> Exception:
    # ingest numbers versions; restored from a backup, it may give a number again that it had given since
    return reject(
        code="IDEMPOTENCY_CONFLICT",
        message=f"version {version} of the sample came before, with other reads",
        where=sample,
        rule="a version of a sample stands for the same reads for ever",
        fix="keep this event: its reads are not aligned. Restore the ledgers from a backup that knows both runs",
    )


async def start_if_ready(tx: Tx, policy: Policy, sample: str, version: int) -> None:
    """Align a version as soon as the one before it is aligned: its reads are merged into this one.

    Called when the version arrives and when the one before it is aligned, so that the order of the two does not matter.
    """
    before: Any = None
    if version > 1:
        before = await tx.conn.fetchrow(statements.VERSION, sample, version - 1)
        if before is None or before["aligned"] is None:
            return
    row = await tx.conn.fetchrow(statements.VERSION, sample, version)
    if row is None or row["state"] != "waiting":
        return
    task = AlignTask.model_validate(
        row["arrived"]
        | {
            "reference_name": policy.reference,
            "pipeline": policy.pipeline,
            "previous": Aligned.model_validate(before["aligned"]) if before is not None else None,
        }
    )
    await queue.enqueue(tx, [task.task(memory_class=policy.memory_class)])
    await tx.conn.execute(statements.SET_STATE, sample, version, "aligning")
