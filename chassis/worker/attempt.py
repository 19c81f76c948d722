"""One attempt at one task: the child works, this process renews the lease and writes what the child reports."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from chassis.errors import LeaseLost
from chassis.health.pulse import Beat, unwatched
from chassis.ledger import attempts, queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Before, Ending, Lease
from chassis.ledger.trouble import passes
from chassis.outcomes import Retry
from chassis.service import Service
from chassis.storage import keys
from chassis.telemetry.context import current_traceparent
from chassis.worker.disk import is_full
from chassis.worker.host import ChildGone, ChildHost
from chassis.worker.settle import settle, settle_crash, settle_release
from chassis.worker.trail import Trail, trail
from chassis.worker.wire import lease_out, outcome_in

log = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 4
FENCE_MARGIN = 0.25
"""Without a renewal the child is killed when this part of the lease is left, by this process's own monotonic clock."""
DATABASE_TROUBLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asked just when the server ended the connection
    OSError,
    TimeoutError,
)
SIGKILLED = 137
TOLD_TO_STOP, HOST_GOES = "told to stop", "the host goes away"


class ChildUnable(Exception):
    """A child ended before it could take a task: something is wrong with this host or its settings."""


class HostFull(Exception):
    """The disk of this host is full; the task was given back to be tried elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where attempts of this worker run."""

    ledger: Ledger
    service: Service
    state_dir: Path
    scratch: Path
    ttl: timedelta
    stopping: asyncio.Event
    drain_seconds: float
    why_stopping: Callable[[], str] = lambda: TOLD_TO_STOP
    """In few words, for the trace of what is preempted."""


async def run_attempt(
    site: Site, child: ChildHost, lease: Lease, *, held_since: float, beat: Beat = unwatched
) -> Ending | None:
    """Run the attempt to its end and write that down. None when the lease was lost: nothing is written then.

    `held_since` is this process's monotonic clock just before the claim; `beat` is called at each renewal. The child is
    dead afterwards unless it ended the task by itself. Raises ChildUnable when the child could not even start, HostFull
    when the disk has no room.
    """
    before = await _before(site, lease)
    with trail(site.service.name, lease, before) as told:
        try:
            async with _folders(site, lease) as (scratch, attempt_log):
                try:
                    ending = await _attempt(site, child, lease, held_since, beat, scratch, attempt_log, told)
                except LeaseLost:
                    await child.kill()
                    raise
        except LeaseLost:
            log.warning("lease lost; the result is thrown away", extra={"task": lease.key, "epoch": lease.epoch})
            await _tell_lost(site, lease, told)
            return None
        except HostFull:
            told.because("disk full")
            told.ended(Ending.retry)
            raise
        except ChildUnable:
            told.because("the child cannot start")
            told.ended(Ending.preemption)
            raise
        except DATABASE_TROUBLE:
            told.lost()
            raise
        told.ended(ending)
        return ending


async def _before(site: Site, lease: Lease) -> Before | None:
    """For the trace alone: no attempt waits for a ledger that cannot say."""
    try:
        async with site.ledger.connection() as conn:
            return await attempts.before(conn, lease)
    except DATABASE_TROUBLE:
        return None


async def _tell_lost(site: Site, lease: Lease, told: Trail) -> None:
    """What a person cancelled has its end in the ledger and nobody else to tell it; what expired is the sweeper's."""
    try:
        async with site.ledger.connection() as conn:
            ending = await attempts.ending_of(conn, lease)
    except DATABASE_TROUBLE:
        ending = None
    if ending is Ending.cancelled:
        told.ended(ending)
    else:
        told.lost()


async def _attempt(
    site: Site,
    child: ChildHost,
    lease: Lease,
    held_since: float,
    beat: Beat,
    scratch: Path,
    attempt_log: Path,
    told: Trail,
) -> Ending:
    settling = asyncio.Event()
    beating = asyncio.create_task(_heartbeat(site, lease, held_since, beat))
    working = asyncio.create_task(_work(site, child, lease, scratch, attempt_log, settling, told))
    draining = asyncio.create_task(_drain(site))
    try:
        await asyncio.wait({beating, working, draining}, return_when=asyncio.FIRST_COMPLETED)
        if settling.is_set():
            # The work is over and its last write fenced: that write says whether the lease held, nobody else.
            await asyncio.wait({working})
        if working.done():
            return working.result()
        # Cancelled first, or it would take the killing for a crash; killed before anything that needs the ledger.
        working.cancel()
        await child.kill()
        if beating.done():
            beating.result()
        told.because(site.why_stopping())
        return await settle_release(site.ledger, site.service, lease)
    finally:
        for task in (beating, working, draining):
            task.cancel()
        await asyncio.gather(beating, working, draining, return_exceptions=True)


async def _heartbeat(site: Site, lease: Lease, held_since: float, beat: Beat) -> None:
    """Renew until the lease is lost. Raises LeaseLost then, and also when the ledger was out of reach for too long."""
    ttl = site.ttl.total_seconds()
    pause = held_since + ttl / RENEWALS_PER_LEASE - time.monotonic()
    while True:
        beat()
        await asyncio.sleep(max(pause, 0))
        pause = ttl / RENEWALS_PER_LEASE
        asked = time.monotonic()
        left = held_since + ttl * (1 - FENCE_MARGIN) - asked
        if left <= 0 and asked - held_since > ttl:
            # This process was stopped or starved past its lease: whether it is still ours, the ledger says.
            left = ttl / RENEWALS_PER_LEASE
        try:
            async with asyncio.timeout(max(left, 0.05)), site.ledger.connection() as conn:
                if not await queue.renew(conn, lease, ttl=site.ttl):
                    raise LeaseLost(lease.key)
            held_since = asked
        except DATABASE_TROUBLE as error:
            if time.monotonic() - held_since >= ttl * (1 - FENCE_MARGIN):
                raise LeaseLost(f"{lease.key}: the ledger was out of reach") from error
            log.warning("a renewal failed; trying again", extra={"task": lease.key})


async def _drain(site: Site) -> None:
    """Ends when a stopping worker has no more time for the chunk in hand."""
    await site.stopping.wait()
    await asyncio.sleep(site.drain_seconds)


async def _work(
    site: Site,
    child: ChildHost,
    lease: Lease,
    scratch: Path,
    attempt_log: Path,
    settling: asyncio.Event,
    told: Trail,
) -> Ending:
    try:
        await child.ready()
    except ChildGone as gone:
        # No fault of the task: the next worker may have it.
        settling.set()
        await child.kill()
        await settle_release(site.ledger, site.service, lease)
        raise ChildUnable(str(gone)) from gone
    try:
        child.tasks += 1
        await child.tell(
            {
                "task": lease_out(lease),
                "scratch": str(scratch),
                "log": str(attempt_log),
                "traceparent": current_traceparent(),
            }
        )
        while True:
            said = await child.hear()
            if said.get("say") != "chunk":
                settling.set()
            told.because(site.why_stopping() if said["say"] == "stopped" else said.get("why"))
            ending = await _answer(site, child, lease, said)
            if ending is not None:
                return ending
    except (LeaseLost, HostFull):
        raise
    except ChildGone as gone:
        settling.set()
        told.because("the child was killed" if gone.status == SIGKILLED else "the child ended without a word")
        await child.kill()
        return await settle_crash(
            site.ledger, site.service, lease, reason=str(gone), more_memory=gone.status == SIGKILLED
        )
    except Exception as error:  # what cannot be written down is a crash of this task, not of the worker
        if passes(error):
            raise
        log.exception("what a task reported could not be committed", extra={"task": lease.key})
        settling.set()
        told.because("committing failed")
        await child.kill()
        reason = f"committing failed: {type(error).__name__}"
        return await settle_crash(site.ledger, site.service, lease, reason=reason)


async def _answer(site: Site, child: ChildHost, lease: Lease, said: dict[str, Any]) -> Ending | None:
    match said:
        case {"say": "chunk", "chunk": chunk, "value": value}:
            async with site.ledger.connection() as conn:
                held = await queue.checkpoint(conn, lease, chunk=chunk, value=value)
            if not held:
                raise LeaseLost(lease.key)
            await child.tell({"reply": "stop" if site.stopping.is_set() else "go"})
            return None
        case {"say": "outcome", "outcome": outcome}:
            return await settle(site.ledger, site.service, lease, outcome_in(outcome))
        case {"say": "stopped"}:
            return await settle_release(site.ledger, site.service, lease)
        case {"say": "full", "reason": reason}:
            await child.kill()
            await _elsewhere(site, lease, reason)
            raise HostFull(reason)
        case {"say": "crash", "reason": reason, **more}:
            await child.kill()
            return await settle_crash(
                site.ledger, site.service, lease, reason=reason, more_memory=bool(more.get("more_memory"))
            )
        case {"say": "lost"}:
            raise LeaseLost(lease.key)
        case _:
            raise RuntimeError(f"the child said {said.get('say')!r}, which is no message")


async def _elsewhere(site: Site, lease: Lease, reason: str) -> None:
    """No fault of the task, yet counted: where every disk is too small it must end."""
    host = lease.owner.partition("/")[0]
    with suppress(LeaseLost):
        await settle(
            site.ledger, site.service, lease, Retry(reason=f"disk full on {host}: {reason}", after=timedelta(0))
        )


@asynccontextmanager
async def _folders(site: Site, lease: Lease) -> AsyncIterator[tuple[Path, Path]]:
    """A scratch folder that goes with the attempt, and a log that stays."""
    slug = keys.slug(lease.key)
    scratch = site.scratch / site.service.name / slug / lease.attempt
    attempt_log = site.state_dir / "logs" / "attempts" / site.service.name / slug / f"{lease.attempt}.log"
    try:
        await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
    except OSError as error:
        if not is_full(error):
            raise
        await _elsewhere(site, lease, str(error.strerror))
        raise HostFull(str(error.strerror)) from error
    try:
        yield scratch, attempt_log
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, True)
