"""A freeze's tasks on a spot fleet: a discrete-event loop around the real queue on a real ledger.

What the ledger sees is what workers do: `queue.claim` (one task, one host), `queue.checkpoint` per chunk, `settle` and
`settle_release` of the worker, `sweep_leases` of its sweeper, all with the budgets and the lease of the defaults. Only
the machines and the minutes are drawn.

**Renewals.** A worker renews every quarter of its lease; at 61,000 hours of work that is 15 million statements of which
none changes anything while the machine lives. Who reads `lease_until` is the sweep alone, and it asks one question:
has it passed? Along a chain of renewals the answer is no at every moment until the machine vanishes, and afterwards it
is yes from (last renewal of the chain + lease) on. So `queue.renew` is called once per `RENEWED_AHEAD` (24 h) with the
deadline that the last renewal of that stretch would set: no sweep before can tell the difference, and the deadline
after a machine's end is the same to the microsecond. A renewal that finds its lease gone stops the simulation.

**Sweeps.** Every worker process sweeps each quarter of a lease. Sweeps that find nothing change nothing: only the first
one after an expiry is made, on a grid as wide as if one process alone swept.

**Checkpoints.** Who reads a checkpoint is the task's next claim alone. So the chunks of an attempt are recorded by one
`queue.checkpoint` when the attempt ends: at the machine's end for a machine that vanishes, with the chunks that it had
recorded by then and under the same fence. With `each_chunk` every chunk is a call of its own at its own time; a test
holds the two against each other. What is stored is small (no artifact's address).
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chassis.errors import LeaseLost
from chassis.ledger import queue
from chassis.ledger.ledger import Connection, Ledger
from chassis.ledger.tasks import Ending, Lease, NewTask
from chassis.outcomes import Done
from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import WorkerSettings
from chassis.worker.attempt import RENEWALS_PER_LEASE
from chassis.worker.settle import settle, settle_release
from chassis.worker.sweeper import SWEEPS_PER_LEASE, sweep_leases
from tests.simulate.account import Costs, Figures, Tally, figures
from tests.simulate.clock import VirtualClock
from tests.simulate.fleet import HOUR, Fleet, Machine
from tests.simulate.work import Job

KIND = "interval"
POOL = "spot"
RENEWED_AHEAD = 24 * HOUR
DEFAULTS = WorkerSettings()
LEASE = DEFAULTS.lease_seconds
BEAT = LEASE / RENEWALS_PER_LEASE
SWEEP = LEASE / SWEEPS_PER_LEASE
FINISHED = "select state, count(*) as tasks from task group by state"

Happening = Callable[[], Awaitable[None]]


def service() -> Service:
    """The least service that the worker's code takes."""
    return Service(
        name="simulate",
        subscriptions=Subscriptions(),
        kinds=(TaskKind(name=KIND, work="services.jointcall.workers:interval"),),
    )


@dataclass(eq=False, slots=True, kw_only=True)
class Attempt:
    lease: Lease
    job: Job
    began: float
    todo: deque[tuple[str, float]]
    """Chunks that are recorded nowhere, the one in hand first."""
    recorded: float = 0.0
    """Seconds of this attempt that outlive it."""
    unwritten: list[str] = field(default_factory=list)
    """Recorded chunks that the ledger was not told of yet."""
    expires: float = 0.0


@dataclass(eq=False, slots=True, kw_only=True)
class Worker:
    machine: Machine
    attempt: Attempt | None = None
    stopping: bool = False
    gone: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class Play:
    """One freeze on one fleet. `revive_hours`: a person revives what is dead that often; None: nobody does."""

    ledger: Ledger
    jobs: Sequence[Job]
    fleet: Fleet
    strategy: str
    costs: Costs = field(default_factory=Costs)
    revive_hours: float | None = None
    cap_hours: float = 5_000.0
    """Virtual hours after which nobody waits any longer."""
    each_chunk: bool = False

    clock: VirtualClock = field(init=False)
    _conn: Connection = field(init=False)
    """For single statements, without a pool's tidying around each."""
    tally: Tally = field(init=False, default_factory=Tally)
    _service: Service = field(init=False, default_factory=service)
    _events: list[tuple[float, int, Happening]] = field(init=False, default_factory=list)
    _order: Iterator[int] = field(init=False, default_factory=itertools.count)
    _idle: dict[Worker, None] = field(init=False, default_factory=dict)
    _lost: dict[str, tuple[float, float]] = field(init=False, default_factory=dict)
    """Tasks whose machine is gone: when it went, when the lease expires."""
    _sweeps: set[float] = field(init=False, default_factory=set)
    _by_key: dict[str, Job] = field(init=False)

    def __post_init__(self) -> None:
        self._by_key = {job.key: job for job in self.jobs}

    async def run(self) -> Figures:
        """Play until every task has ended or the cap is reached. The ledger must be migrated and empty."""
        self._conn = await self.ledger.dedicated()
        try:
            return await self._run()
        finally:
            await self._conn.close()

    async def _run(self) -> Figures:
        self.clock = VirtualClock(conn=self._conn)
        await self.clock.install()
        await self.clock.tell()
        async with self.ledger.transaction() as tx:
            await queue.enqueue(
                tx,
                [
                    NewTask(key=job.key, kind=KIND, subject=job.subject, pool=POOL, priority=job.priority)
                    for job in self.jobs
                ],
            )
        for place in range(self.fleet.workers):
            self._boot_next(self.fleet.machines(place))
        if self.revive_hours is not None:
            self._at(self.revive_hours * HOUR, self._revive)
        while self._open and self._events[0][0] <= self.cap_hours * HOUR:
            moment, _, happening = heapq.heappop(self._events)
            self.clock.move(moment)
            await happening()
        if self._open:
            self.clock.move(self.cap_hours * HOUR)
        await self._agrees()
        return figures(
            self.tally,
            self.jobs,
            costs=self.costs,
            strategy=self.strategy,
            mtbf_hours=self.fleet.mtbf_hours,
            workers=self.fleet.workers,
            ended=self.clock.now,
        )

    @property
    def _open(self) -> bool:
        given_up = len(self.tally.dead) if self.revive_hours is None else 0
        return len(self.tally.done) + given_up < len(self.jobs)

    def _at(self, moment: float, happening: Happening) -> None:
        heapq.heappush(self._events, (moment, next(self._order), happening))

    # machines

    def _boot_next(self, machines: Iterator[Machine]) -> None:
        machine = next(machines)
        worker = Worker(machine=machine)
        self._at(machine.boots, lambda: self._claim(worker))
        if machine.noticed is not None:
            self._at(machine.noticed, lambda: self._notice(worker))
        self._at(machine.vanishes, lambda: self._vanish(worker, machines))

    async def _notice(self, worker: Worker) -> None:
        worker.stopping = True
        self._idle.pop(worker, None)
        attempt = worker.attempt
        if attempt is not None:
            self._at(self.clock.now + DEFAULTS.drain_seconds, lambda: self._drop(worker, attempt))

    async def _drop(self, worker: Worker, attempt: Attempt) -> None:
        """The chunk in hand did not end within the drain."""
        if worker.attempt is attempt:
            await self._release(worker, attempt)

    async def _vanish(self, worker: Worker, machines: Iterator[Machine]) -> None:
        worker.gone = True
        self._idle.pop(worker, None)
        attempt = worker.attempt
        if attempt is not None:
            await self._checkpoint(attempt)
            self._ended(worker, attempt, "loss")
            self._lost[attempt.job.key] = (self.clock.now, attempt.expires)
            sweep = (math.floor(attempt.expires / SWEEP) + 1) * SWEEP
            if sweep not in self._sweeps:
                self._sweeps.add(sweep)
                self._at(sweep, self._sweep)
        self._boot_next(machines)

    # attempts

    async def _claim(self, worker: Worker) -> None:
        if worker.gone or worker.stopping:
            return
        await self.clock.tell()
        leases = await queue.claim(
            self._conn,
            pools=(POOL,),
            memory_classes=("small",),
            owner=f"{worker.machine.host}/0",
            host=worker.machine.host,
            ttl=timedelta(seconds=LEASE),
            kinds=(KIND,),
        )
        self.tally.calls["claim"] += 1
        if not leases:
            self._idle[worker] = None
            return
        job = self._by_key[leases[0].key]
        now = self.clock.now
        recorded = {name for value in leases[0].checkpoint.values() for name in value["chunks"]}
        todo = deque((name, minutes) for name, minutes in job.chunks if name not in recorded)
        attempt = Attempt(lease=leases[0], job=job, began=now, todo=todo, expires=now + LEASE)
        worker.attempt = attempt
        await self._renew(worker, attempt)
        ready = now + self.costs.setup_minutes * 60
        if todo:
            self._next_chunk(worker, attempt, ready)
        else:
            self._at(ready, lambda: self._finish(worker, attempt))

    async def _renew(self, worker: Worker, attempt: Attempt) -> None:
        """Hold the lease for a stretch, or to the machine's end."""
        if worker.attempt is not attempt:
            return
        now = self.clock.now
        stretch = min(now + RENEWED_AHEAD, worker.machine.vanishes)
        beats = math.floor((stretch - attempt.began) / BEAT)
        expires = attempt.began + beats * BEAT + LEASE
        if expires > attempt.expires:
            await self.clock.tell()
            held = await queue.renew(self._conn, attempt.lease, ttl=timedelta(seconds=expires - now))
            self.tally.calls["renew"] += 1
            if not held:
                raise LeaseLost(f"{attempt.job.key}: its machine lives and renewed in time")
            attempt.expires = expires
        if stretch < worker.machine.vanishes:
            self._at(stretch, lambda: self._renew(worker, attempt))

    def _next_chunk(self, worker: Worker, attempt: Attempt, starts: float) -> None:
        seconds = self.costs.of_chunk(attempt.todo[0][1], recorded=attempt.job.checkpoints)
        self._at(starts + seconds, lambda: self._chunk(worker, attempt, seconds))

    async def _chunk(self, worker: Worker, attempt: Attempt, seconds: float) -> None:
        if worker.attempt is not attempt:
            return
        name, _ = attempt.todo.popleft()
        attempt.recorded += seconds
        if attempt.job.checkpoints:
            attempt.unwritten.append(name)
            if self.each_chunk:
                await self._checkpoint(attempt)
            if worker.stopping:
                await self._release(worker, attempt)
                return
        if attempt.todo:
            self._next_chunk(worker, attempt, self.clock.now)
        else:
            await self._finish(worker, attempt)

    async def _finish(self, worker: Worker, attempt: Attempt) -> None:
        if worker.attempt is not attempt:
            return
        await self._checkpoint(attempt)
        await self.clock.tell()
        result = {"seconds": round(self.clock.now - attempt.began, 3)}
        ending = await settle(self.ledger, self._service, attempt.lease, Done(result=result))
        self.tally.calls["finish"] += 1
        assert ending is Ending.done
        self.tally.done.add(attempt.job.key)
        self._ended(worker, attempt, "done")
        await self._claim(worker)

    async def _checkpoint(self, attempt: Attempt) -> None:
        if not attempt.unwritten:
            return
        if "ledger_now" in queue.CHECKPOINT:
            await self.clock.tell()
        name, value = attempt.unwritten[-1], {"chunks": attempt.unwritten}
        held = await queue.checkpoint(self._conn, attempt.lease, chunk=name, value=value)
        self.tally.calls["checkpoint"] += 1
        if not held:
            raise LeaseLost(f"{attempt.job.key}: its machine lived and renewed in time")
        attempt.unwritten.clear()

    async def _release(self, worker: Worker, attempt: Attempt) -> None:
        await self._checkpoint(attempt)
        await self.clock.tell()
        ending = await settle_release(self.ledger, self._service, attempt.lease)
        self.tally.calls["release"] += 1
        if ending is Ending.failed:
            self.tally.dead.add(attempt.job.key)
        self._ended(worker, attempt, ending.value)
        await self._wake()

    def _ended(self, worker: Worker, attempt: Attempt, ending: str) -> None:
        worker.attempt = None
        self.tally.endings[ending] += 1
        self.tally.busy += self.clock.now - attempt.began
        self.tally.kept[attempt.job.key] = self.tally.kept.get(attempt.job.key, 0.0) + (
            attempt.recorded if attempt.job.checkpoints or ending == "done" else 0.0
        )

    # tasks that come back

    async def _sweep(self) -> None:
        self._sweeps.discard(self.clock.now)
        await self.clock.tell()
        again = set(await sweep_leases(self.ledger, self._service))
        self.tally.calls["sweep"] += 1
        expired = {key for key, (_, expires) in self._lost.items() if expires < self.clock.now}
        if not again <= expired:
            raise LeaseLost(f"swept while their machines live: {sorted(again - expired)}")
        for key in expired:
            vanished, _ = self._lost.pop(key)
            self.tally.waiting += self.clock.now - vanished
        self.tally.dead |= expired - again
        await self._wake()

    async def _revive(self) -> None:
        if self.tally.dead:
            await self.clock.tell()
            async with self.ledger.transaction() as tx:
                revived = await queue.revive_subject(tx, self.jobs[0].subject)
            self.tally.calls["revive"] += len(revived)
            self.tally.dead -= set(revived)
            await self._wake()
        assert self.revive_hours is not None
        self._at(self.clock.now + self.revive_hours * HOUR, self._revive)

    async def _wake(self) -> None:
        """A notification wakes every idle slot; each claims once."""
        for worker in list(self._idle):
            del self._idle[worker]
            await self._claim(worker)
            if worker in self._idle:  # nothing is left for the others either
                return

    async def _agrees(self) -> None:
        """What was counted here is what the ledger says, and each chunk of a finished task was kept once."""
        states = {row["state"]: row["tasks"] for row in await self._conn.fetch(FINISHED)}
        counted = {"done": len(self.tally.done), "failed": len(self.tally.dead)}
        said = {state: states.get(state, 0) for state in counted}
        if said != counted:
            raise RuntimeError(f"counted {counted}, the ledger says {said}")
        for key in self.tally.done:
            job, kept = self._by_key[key], self.tally.kept[key]
            needed = self.costs.of_job(job) - self.costs.setup_minutes * 60
            if abs(kept - needed) > 0.001:
                raise RuntimeError(f"{key} is done with {kept} s of work kept; it needs {needed} s once")
