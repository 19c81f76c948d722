"""One attempt at one task: the child works, this process renews the lease and writes what the child reports."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from opentelemetry.trace import SpanKind, Status, StatusCode

from chassis.errors import LeaseLost
from chassis.health.pulse import Beat, unwatched
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Ending, Lease
from chassis.ledger.trouble import passes
from chassis.outcomes import Retry
from chassis.service import Service
from chassis.storage import keys
from chassis.telemetry.context import context_of, current_traceparent, link_to
from chassis.telemetry.setup import tracer
from chassis.worker.disk import is_full
from chassis.worker.host import ChildGone, ChildHost
from chassis.worker.settle import settle, settle_crash, settle_release
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


async def run_attempt(
    site: Site, child: ChildHost, lease: Lease, *, held_since: float, beat: Beat = unwatched
) -> Ending | None:
    """Run the attempt to its end and write that down. None when the lease was lost: nothing is written then.

    `held_since` is this process's monotonic clock just before the claim; `beat` is called at each renewal. The child is
    dead afterwards unless it ended the task by itself. Raises ChildUnable when the child could not even start, HostFull
    when the disk has no room.
    """
    attributes: dict[str, str | int] = {
        "cohortstream.task": lease.key,
        "cohortstream.subject": lease.subject,
        "cohortstream.belongs_to": lease.belongs_to,
        "cohortstream.attempt": lease.attempts,
    }
    with tracer().start_as_current_span(
        f"{site.service.name} {lease.kind}",
        context=context_of(lease.traceparent),
        kind=SpanKind.CONSUMER,
        links=link_to(lease.traceparent),
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        async with _folders(site, lease) as (scratch, attempt_log):
            try:
                ending = await _attempt(site, child, lease, held_since, beat, scratch, attempt_log)
            except LeaseLost:
                await child.kill()
                log.warning("lease lost; the result is thrown away", extra={"task": lease.key, "epoch": lease.epoch})
                span.add_event("lease lost")
                span.set_status(Status(StatusCode.ERROR, "lease lost"))
                return None
            except HostFull:
                span.set_status(Status(StatusCode.ERROR, "disk full"))
                raise
        span.set_attribute("cohortstream.ending", ending.value)
        if ending not in (Ending.done, Ending.waiting):
            span.add_event(ending.value)
            if ending is not Ending.preemption:
                span.set_status(Status(StatusCode.ERROR, ending.value))
        return ending


async def _attempt(
    site: Site, child: ChildHost, lease: Lease, held_since: float, beat: Beat, scratch: Path, attempt_log: Path
) -> Ending:
    settling = asyncio.Event()
    beating = asyncio.create_task(_heartbeat(site, lease, held_since, beat))
    working = asyncio.create_task(_work(site, child, lease, scratch, attempt_log, settling))
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
    site: Site, child: ChildHost, lease: Lease, scratch: Path, attempt_log: Path, settling: asyncio.Event
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
            ending = await _answer(site, child, lease, said)
            if ending is not None:
                return ending
    except (LeaseLost, HostFull):
        raise
    except ChildGone as gone:
        settling.set()
        await child.kill()
        return await settle_crash(
            site.ledger, site.service, lease, reason=str(gone), more_memory=gone.status == SIGKILLED
        )
    except Exception as error:  # what cannot be written down is a crash of this task, not of the worker
        if passes(error):
            raise
        log.exception("what a task reported could not be committed", extra={"task": lease.key})
        settling.set()
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
