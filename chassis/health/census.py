"""What a service's ledger holds, counted for Prometheus: its backlog, how attempts ended, what finished work cost.

**Truth, not memory.** Workers come and go, often faster than they are scraped, and one that is lost can count nothing.
So attempts are not counted where they happen: each `consume` counts the ledger's attempt log, from its beginning. Its
counters are whole again right after a restart, and neither fall nor jump; a loss counts as well as a crash. Every
`consume` of a service says the same of it, so that queries take `max by (service, ...)`, never the sum. What only one
process knows (its slots, its partitions' lag, its events) it counts itself, in memory, and queries sum that.

**Cheap.** After the first look only what ended since is read, by index. An attempt's end may be committed a little
after the moment that it bears: what is younger than SETTLES_S is read again each time, and then added for good.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncpg import Record
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from chassis.cost.prices import PriceList
from chassis.health import census_statements as sql
from chassis.health.pulse import Beat, unwatched
from chassis.ledger.ledger import NOW, Connection, Ledger
from chassis.ledger.tasks import Ending
from chassis.ledger.trouble import TROUBLE
from chassis.service import Service
from chassis.telemetry.exposed import Counted, Histogram

log = logging.getLogger(__name__)

LOOK_S = 10.0
"""Between two looks; more where a look takes long."""
BUSY_SHARE = 0.02
"""Of its time that the census may ask the ledger."""
LONGEST_REST = 20
SETTLES_S = 120.0
"""Statements and idle transactions are ended by the server well before."""
PAGE = 50_000
"""Rows of the log that one question of the first look covers."""
FRUITFUL = (Ending.done.value, Ending.waiting.value)
"""An attempt that ended otherwise was wasted."""

DURATIONS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0)
"""Seconds: from a check of a tiny file to a genome on one core."""
AMOUNTS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Money, in the price list's currency."""

Label = tuple[str, ...]
Counts = dict[Label, list[float]]
"""By label: how many values in each bucket and beyond the last, then their sum."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class _Log:
    """One log, read from its beginning: what is settled and up to when, and what came since and is read again."""

    def __init__(self, *, page: str, rows: str, bounds: tuple[float, ...]) -> None:
        self._page, self._rows, self._bounds = page, rows, bounds
        self._since = BEGINNING
        self._settled: Counts = {}
        self.whole: Counts = {}

    async def read(
        self, conn: Connection, *, horizon: datetime, named: Sequence[str], more: Sequence[Any] = ()
    ) -> None:
        """Read on, page by page. `named` are the columns of a label, `more` the statements' further parameters."""
        while True:
            end = await conn.fetchval(self._page, self._since, PAGE, *more[:1])
            if end is None or end >= horizon:
                break
            self._add(self._settled, await self._between(conn, end, horizon, more), named)
            self._since = end
        rows = await self._between(conn, None, horizon, more)
        self._add(self._settled, [row for row in rows if row["settled"]], named)
        self._since = max(self._since, horizon)
        self.whole = {label: list(values) for label, values in self._settled.items()}
        self._add(self.whole, [row for row in rows if not row["settled"]], named)

    async def _between(self, conn: Connection, end: datetime | None, horizon: datetime, more: Sequence[Any]) -> Any:
        return await conn.fetch(self._rows, self._since, end, horizon, list(self._bounds), *more)

    def _add(self, counts: Counts, rows: Iterable[Record], named: Sequence[str]) -> None:
        for row in rows:
            values = counts.setdefault(tuple(row[name] for name in named), [0.0] * (len(self._bounds) + 2))
            values[row["bucket"]] += row["count"]
            values[-1] += row["total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One look's findings, shown until the next."""

    tasks: Mapping[Label, tuple[int, float]] = field(default_factory=dict)
    """(pool, kind, state) -> how many, and the age in seconds of the oldest."""
    attempts: Mapping[Label, list[float]] = field(default_factory=dict)
    """(pool, kind, ending) -> a count for each bucket of DURATIONS and beyond, then the seconds in all."""
    costs: Mapping[Label, list[float]] = field(default_factory=dict)
    """(what, kind) -> a count for each bucket of AMOUNTS and beyond, then the amount in all."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Quarantined events by code."""
    held_oldest_s: float = 0.0
    stored: Sequence[Record] = ()


Observe = Callable[[Found], Iterator[Observation]]


class Census:
    """Counts one service's ledger. Its instruments are those of `meter`; `histograms` are for a Scrape."""

    def __init__(self, *, service: Service, prices: PriceList, meter: Meter) -> None:
        self._service = service.name
        self._currency = prices.currency
        named = [(pool, size, rate) for pool, one in prices.compute.items() for size, rate in one.slot_hour.items()]
        self._rates = [list(column) for column in zip(*named, strict=True)]
        self._found: Found | None = None
        self._attempts = _Log(page=sql.ATTEMPTS_PAGE, rows=sql.ATTEMPTS, bounds=DURATIONS)
        self._costs = {
            (kind.per, kind.name): _Log(page=sql.DONE_PAGE, rows=sql.COSTS, bounds=AMOUNTS)
            for kind in service.kinds
            if kind.per is not None
        }
        self._pools: set[Label] = {("default", kind.name) for kind in service.kinds}
        gauge, counter = meter.create_observable_gauge, meter.create_observable_counter
        for create, name, unit, description, observe in (
            (gauge, "tasks", "1", "tasks by state", self._tasks),
            (gauge, "tasks.oldest", "s", "how long the oldest task has been in its state", self._oldest),
            (gauge, "quarantine.held", "1", "events that wait for a person, by the reason's code", self._quarantine),
            (gauge, "quarantine.oldest", "s", "age of the oldest such event", self._quarantine_age),
            (gauge, "storage.objects", "1", "objects kept", self._stored("objects")),
            (gauge, "storage.size", "By", "what they take", self._stored("bytes")),
            (gauge, "storage.cost", "/mo", "what keeping them costs a month", self._stored("monthly")),
            (counter, "attempts", "1", "attempts that ended, by how", self._ended),
            (counter, "attempts.time", "s", "slot time of attempts that ended", self._time),
            (counter, "attempts.wasted", "s", "slot time of attempts that ended without a result", self._wasted),
        ):
            create(
                f"cohortstream.{name}", callbacks=[self._whenever_found(observe)], unit=unit, description=description
            )

    @property
    def found(self) -> Found | None:
        """None before the first look."""
        return self._found

    def histograms(self) -> Iterator[Histogram]:
        """Durations of attempts and costs of samples and intervals."""
        found = self._found
        if found is None:
            return
        yield Histogram(
            name="cohortstream_attempt_duration_seconds",
            description="slot time from claim to end of an attempt",
            bounds=DURATIONS,
            labels=("service", "pool", "kind", "ending"),
            series=[_counted(self._of_attempt(label), values) for label, values in found.attempts.items()],
        )
        for what in dict.fromkeys(what for what, _ in found.costs):
            yield Histogram(
                name=f"cohortstream_{what}_cost",
                description=f"what a task for one {what} has cost when it is done, its wasted attempts included",
                bounds=AMOUNTS,
                labels=("service", "kind", "currency"),
                series=[
                    _counted({"service": self._service, "kind": kind, "currency": self._currency}, values)
                    for (of, kind), values in found.costs.items()
                    if of == what
                ],
            )

    async def look(self, ledger: Ledger) -> Found:
        """Look once. Raises what the database raises; the last findings then stay."""
        async with ledger.connection() as conn:
            horizon = await conn.fetchval(NOW) - timedelta(seconds=SETTLES_S)
            await self._attempts.read(conn, horizon=horizon, named=("pool", "kind", "ending"))
            for (_, kind), part in self._costs.items():
                await part.read(conn, horizon=horizon, named=(), more=(kind, *self._rates))
            tasks = {
                (row["pool"], row["kind"], row["state"]): (int(row["tasks"]), float(row["oldest"] or 0.0))
                for row in await conn.fetch(sql.TASKS)
            }
            held = await conn.fetch(sql.HELD)
            stored = await conn.fetch(sql.STORED) if await conn.fetchval(sql.OFFERS_STORAGE) else []
        self._pools |= {label[:2] for label in (*tasks, *self._attempts.whole)}
        # Every state and every ending, before its first: a counter that begins at one shows no increase.
        self._found = Found(
            tasks={(*place, state): (0, 0.0) for place in sorted(self._pools) for state in sql.STATES} | tasks,
            attempts={(*place, ending.value): _nothing(DURATIONS) for place in sorted(self._pools) for ending in Ending}
            | self._attempts.whole,
            costs={place: part.whole.get((), _nothing(AMOUNTS)) for place, part in self._costs.items()},
            held={row["code"]: row["events"] for row in held},
            held_oldest_s=max((row["oldest"] for row in held), default=0.0),
            stored=stored,
        )
        return self._found

    def _whenever_found(self, observe: Observe) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def callback(_: CallbackOptions) -> Iterator[Observation]:
            found = self._found
            return iter(()) if found is None else observe(found)

        return callback

    def _tasks(self, found: Found) -> Iterator[Observation]:
        for label, (count, _) in found.tasks.items():
            yield Observation(count, self._of_task(label))

    def _oldest(self, found: Found) -> Iterator[Observation]:
        for label, (_, oldest) in found.tasks.items():
            if label[2] != "failed":
                yield Observation(oldest, self._of_task(label))

    def _of_task(self, label: Label) -> dict[str, str]:
        return {"service": self._service, "pool": label[0], "kind": label[1], "state": label[2]}

    def _ended(self, found: Found) -> Iterator[Observation]:
        for label, row in found.attempts.items():
            yield Observation(sum(row[:-1]), self._of_attempt(label))

    def _time(self, found: Found) -> Iterator[Observation]:
        for label, row in found.attempts.items():
            yield Observation(row[-1], self._of_attempt(label))

    def _wasted(self, found: Found) -> Iterator[Observation]:
        for label, row in found.attempts.items():
            if label[2] not in FRUITFUL:
                yield Observation(row[-1], self._of_attempt(label))

    def _of_attempt(self, label: Label) -> dict[str, str]:
        return {"service": self._service, "pool": label[0], "kind": label[1], "ending": label[2]}

    def _quarantine(self, found: Found) -> Iterator[Observation]:
        for code, count in ({"": 0} if not found.held else found.held).items():
            yield Observation(count, {"service": self._service, "code": code})

    def _quarantine_age(self, found: Found) -> Iterator[Observation]:
        yield Observation(found.held_oldest_s, {"service": self._service})

    def _stored(self, what: str) -> Observe:
        def observe(found: Found) -> Iterator[Observation]:
            money = {"currency": self._currency} if what == "monthly" else {}
            for row in found.stored:
                if row[what] is not None:
                    yield Observation(
                        row[what], {"service": self._service, "kind": row["kind"], "tier": row["tier"], **money}
                    )

        return observe


async def counting(census: Census, ledger: Ledger, *, every_s: float = LOOK_S, beat: Beat = unwatched) -> None:
    """Look for ever; while the ledger is away the last findings stay."""
    while True:
        began, first = time.monotonic(), census.found is None
        try:
            await census.look(ledger)
        except TROUBLE as error:
            log.warning("the ledger is not counted this time", extra={"error": type(error).__name__})
        beat()
        # the first look reads the whole log, the later ones what came since
        rest = 0.0 if first else (time.monotonic() - began) / BUSY_SHARE
        await asyncio.sleep(min(max(rest, every_s), LONGEST_REST * every_s))


def _nothing(bounds: Sequence[float]) -> list[float]:
    return [0.0] * (len(bounds) + 2)


def _counted(labels: Mapping[str, str], values: Sequence[float]) -> Counted:
    return Counted(labels=labels, buckets=tuple(values[:-1]), total=values[-1])
