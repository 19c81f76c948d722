"""A worker: claims tasks of its pools, one per slot, and runs them in children until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from chassis.health.pulse import Pulse
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Ending, Lease, classes_within
from chassis.service import Service
from chassis.settings import Settings
from chassis.telemetry import instruments
from chassis.worker.attempt import DATABASE_TROUBLE, HOST_GOES, TOLD_TO_STOP, ChildUnable, HostFull, Site, run_attempt
from chassis.worker.host import ChildHost
from chassis.worker.preemption import watch_notice
from chassis.worker.sweeper import sweeping

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker is to do. `builder` names the function that builds the service, for the child to call."""

    service: Service
    builder: str
    settings: Settings
    pools: tuple[str, ...]
    slots: int = 1
    until_empty: bool = False
    """End when nothing is ready, as a batch array's element does."""
    host: str = ""


UNHARMED = (Ending.done, Ending.waiting, Ending.retry)
"""After these the child said so itself and is kept warm; after any other it is not to be trusted."""
REST_SECONDS = 30.0
"""A worker whose disk was full leaves the next claims to others for so long."""


PATIENCE_SECONDS = 180.0
"""Connecting and a statement may take a minute each before they are given up."""


class Worker:
    def __init__(self, *, work: Work, ledger: Ledger, pulse: Pulse | None = None) -> None:
        self._work = work
        self._ledger = ledger
        self._pulse = pulse or Pulse()
        self._host = work.host or socket.gethostname()
        self._owner = f"{self._host}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._woken = asyncio.Event()
        self._unable: ChildUnable | None = None
        self._rests_until = 0.0
        self._busy = 0
        self.stopping = asyncio.Event()
        self._why_stopping = TOLD_TO_STOP
        settings = work.settings
        self._ttl = timedelta(seconds=settings.worker.lease_seconds)
        self._site = Site(
            ledger=ledger,
            service=work.service,
            state_dir=settings.state_dir,
            scratch=settings.worker.scratch or settings.state_dir / "scratch",
            ttl=self._ttl,
            stopping=self.stopping,
            drain_seconds=settings.worker.drain_seconds,
            why_stopping=lambda: self._why_stopping,
        )

    def stop(self) -> None:
        """Stop claiming; what is in hand is finished to its next chunk or released. Safe in a signal handler."""
        self.stopping.set()
        self._woken.set()

    def _host_goes(self) -> None:
        self._why_stopping = HOST_GOES
        self.stop()

    async def run(self) -> None:
        """Until stopped (or empty). Raises ChildUnable when this host cannot run the service's tasks."""
        self._count(0)
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._listen()), group.create_task(self._sweep())]
            notice = self._work.settings.worker.notice_file
            if notice is not None:
                beside.append(group.create_task(watch_notice(notice, self._host_goes)))
            slots = [group.create_task(self._slot(number)) for number in range(self._work.slots)]
            await asyncio.wait(slots)
            for task in beside:
                task.cancel()
        if self._unable is not None:
            raise self._unable

    async def _slot(self, number: int) -> None:
        child: ChildHost | None = None
        name = f"slot {number}"
        beat = self._pulse.expect(name, within_s=self._turn_seconds())
        try:
            while not self.stopping.is_set():
                beat()
                if time.monotonic() < self._rests_until:
                    if self._work.until_empty:
                        return
                    await self._rest()
                    continue
                held_since = time.monotonic()
                lease = await self._claim(number)
                if lease is None:
                    if self._work.until_empty:
                        return
                    await self._idle()
                    continue
                child = await self._child_for(lease, child)
                self._count(+1)
                try:
                    ending = await run_attempt(self._site, child, lease, held_since=held_since, beat=beat)
                except ChildUnable as unable:
                    # Every task of this worker would end so: let its supervisor start another one, later.
                    self._unable = unable
                    self.stop()
                    return
                except HostFull:
                    log.error("the disk of this host is full; others may take the task", extra={"task": lease.key})
                    self._rests_until = time.monotonic() + REST_SECONDS
                    ending = Ending.retry
                except DATABASE_TROUBLE:
                    # The lease lapses by itself and another attempt follows; ours must not go on meanwhile.
                    log.exception("the ledger failed while an attempt ended", extra={"task": lease.key})
                    await child.kill()
                    continue
                finally:
                    self._count(-1)
                log.info(
                    "attempt ended",
                    extra={"task": lease.key, "epoch": lease.epoch, "ending": ending.value if ending else "lost"},
                )
                if ending not in UNHARMED:
                    await child.kill()
        finally:
            self._pulse.over(name)
            if child is not None:
                await child.stop()

    def _count(self, change: int) -> None:
        self._busy += change
        instruments.slots(
            service=self._work.service.name,
            pools=",".join(self._work.pools),
            total=self._work.slots,
            busy=self._busy,
        )

    async def _claim(self, number: int) -> Lease | None:
        self._woken.clear()
        try:
            async with self._ledger.connection() as conn:
                leases = await queue.claim(
                    conn,
                    pools=self._work.pools,
                    memory_classes=classes_within(self._work.settings.worker.memory_mb),
                    owner=f"{self._owner}/{number}",
                    host=self._host,
                    ttl=self._ttl,
                    kinds=[kind.name for kind in self._work.service.kinds],
                )
        except DATABASE_TROUBLE:
            log.warning("the ledger cannot be reached; no claim")
            return None
        return leases[0] if leases else None

    async def _idle(self) -> None:
        """Until a task may be there: told by the ledger, or the poll interval's end, for whom no one tells."""
        try:
            async with asyncio.timeout(self._work.settings.worker.poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(max(0.0, self._rests_until - time.monotonic())):
                await self.stopping.wait()
        except TimeoutError:
            pass

    async def _child_for(self, lease: Lease, child: ChildHost | None) -> ChildHost:
        """A JVM's heap is fixed when it starts, so a child serves one memory class."""
        fits = (
            child is not None
            and child.alive
            and child.memory_mb == lease.memory_mb
            and child.tasks < self._work.settings.worker.tasks_per_child
        )
        if child is not None and fits:
            return child
        if child is not None:
            await child.stop()
        return ChildHost(builder=self._work.builder, settings=self._work.settings, memory_mb=lease.memory_mb)

    async def _listen(self) -> None:
        """Wake idle slots when the ledger says that tasks came."""
        while True:
            try:
                conn = await self._ledger.dedicated()
            except DATABASE_TROUBLE:
                await asyncio.sleep(self._work.settings.worker.poll_seconds)
                continue
            lost = asyncio.Event()
            conn.add_termination_listener(lambda _, lost=lost: lost.set())
            try:
                await conn.add_listener(queue.channel(self._work.service.name), lambda *_: self._woken.set())
                self._woken.set()
                await lost.wait()
            except DATABASE_TROUBLE:
                continue
            finally:
                await _close(conn)

    async def _sweep(self) -> None:
        beat = self._pulse.expect("sweeper", within_s=self._turn_seconds())
        await sweeping(self._ledger, self._work.service, ttl=self._ttl, beat=beat)

    def _turn_seconds(self) -> float:
        """How long a loop may take to come round: it waits for a lease or a poll, and for a ledger that is silent until
        the connection's own deadlines end that wait."""
        return self._ttl.total_seconds() + self._work.settings.worker.poll_seconds + PATIENCE_SECONDS


async def _close(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    try:
        await conn.close(timeout=1)
    except (*DATABASE_TROUBLE, asyncio.CancelledError):
        conn.terminate()


def pools_of(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names) if names else ("default",)
