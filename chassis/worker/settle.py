"""An attempt's end, written to the ledger: result and events in one transaction, or why there is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import assert_never

from chassis.errors import LeaseLost, Rejection
from chassis.faultpoints import point
from chassis.ledger import outbox, queue
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.queue import Given
from chassis.ledger.tasks import Ending, Lease, TaskState
from chassis.ledger.trouble import passes
from chassis.outcomes import Done, Failed, Outcome, Retry
from chassis.service import Service, TaskKind
from chassis.telemetry.database import transaction_span

log = logging.getLogger(__name__)

PAUSES = (0.2, 1.0, 3.0, 8.0)
"""Seconds between tries to commit a finished attempt: hours of work are worth waiting for a database that restarts."""


async def settle(ledger: Ledger, service: Service, lease: Lease, outcome: Outcome) -> Ending:
    """Commit how the attempt ended. Raises LeaseLost, having changed nothing, when the lease is no longer held."""
    kind = service.kind(lease.kind)
    point("before-commit", of=service.name)
    match outcome:
        case Done():
            await _surely(ledger, lease, TaskState.done, lambda tx: _done(tx, kind, lease, outcome))
            point("after-commit", of=service.name)
            return Ending.done
        case Retry():
            ending = Ending.waiting if outcome.waits_for is not None else Ending.retry
            async with _told(ledger) as tx:
                given = await queue.retry(
                    tx,
                    lease,
                    reason=outcome.reason,
                    after=outcome.after,
                    waits_for=outcome.waits_for,
                    budgets=kind.budgets,
                )
                await outbox.add(tx, *outcome.events)
                return await _given(tx, kind, lease, given, outcome.reason, ending)
        case Failed():
            await _surely(ledger, lease, TaskState.failed, lambda tx: _failed(tx, kind, lease, outcome))
            return Ending.failed
        case _:
            assert_never(outcome)


async def settle_crash(
    ledger: Ledger, service: Service, lease: Lease, *, reason: str, more_memory: bool = False
) -> Ending:
    """The child failed while its worker lived to say so."""
    kind = service.kind(lease.kind)
    async with _told(ledger) as tx:
        given = await queue.crash(tx, lease, reason=reason, more_memory=more_memory, budgets=kind.budgets)
        return await _given(tx, kind, lease, given, reason, Ending.crash)


async def settle_release(ledger: Ledger, service: Service, lease: Lease) -> Ending:
    """The worker is told to stop: the next one may go on at once."""
    kind = service.kind(lease.kind)
    async with _told(ledger) as tx:
        given = await queue.release(tx, lease, budgets=kind.budgets)
        return await _given(tx, kind, lease, given, "preempted", Ending.preemption)


async def dead_letter(tx: Tx, kind: TaskKind, lease: Lease, rejection: Rejection) -> None:
    """Tell whoever waits for this task that it will never end well."""
    if kind.gave_up is not None:
        await kind.gave_up(tx, lease, rejection)


def spent(lease: Lease, budget: str, reason: str) -> Rejection:
    return Rejection(
        code="BUDGET_SPENT",
        message=f"the task used up its budget of {budget}; last: {reason}",
        where=lease.key,
        rule="a task ends without a result only so often, counted apart by crashes, retries, preemptions and losses",
        fix="read the attempt's log, mend the cause, then `cohortstream revive` its subject",
    )


async def _done(tx: Tx, kind: TaskKind, lease: Lease, outcome: Done) -> bool:
    if not await queue.finish(tx, lease, result=outcome.result):
        return False
    if kind.committed is not None:
        await kind.committed(tx, lease, outcome.result)
    await outbox.add(tx, *outcome.events)
    return True


async def _failed(tx: Tx, kind: TaskKind, lease: Lease, outcome: Failed) -> bool:
    if not await queue.fail(tx, lease, outcome.rejection):
        return False
    await dead_letter(tx, kind, lease, outcome.rejection)
    await outbox.add(tx, *outcome.events)
    return True


async def _given(tx: Tx, kind: TaskKind, lease: Lease, given: Given, reason: str, ending: Ending) -> Ending:
    if given.spent is not None:
        rejection = spent(lease, given.spent, reason)
        if await queue.fail(tx, lease, rejection):
            await dead_letter(tx, kind, lease, rejection)
            return Ending.failed
        raise LeaseLost(lease.key)
    if given.state is None:
        raise LeaseLost(lease.key)
    return ending


@asynccontextmanager
async def _told(ledger: Ledger) -> AsyncIterator[Tx]:
    with transaction_span(ledger.service):
        async with ledger.transaction() as tx:
            yield tx


async def _surely(ledger: Ledger, lease: Lease, wanted: TaskState, write: Callable[[Tx], Awaitable[bool]]) -> None:
    """Run a fenced write until its COMMIT is acknowledged. When an acknowledgement is lost, the next try finds the
    lease gone and reads back by epoch who took it: this very write, or someone else."""
    unsure = False
    for pause in (*PAUSES, None):
        try:
            async with _told(ledger) as tx:
                if not await write(tx) and not (unsure and await queue.ended_as(tx.conn, lease) is wanted):
                    raise LeaseLost(lease.key)
            return
        except Exception as error:
            if pause is None or not passes(error):
                raise
            log.warning("a commit was not acknowledged; trying again", extra={"task": lease.key})
            unsure = True
        await asyncio.sleep(pause)
