"""The watchdog for subjects: notes which of them have not moved within their expected time, and what they wait for.

A look costs a few index reads and one pass over the service's `status_subject`, artifacts left out; no question returns
more than MOST rows, none runs for more than ten seconds, and looks follow each other the more slowly the longer they
take. So of more than MOST subjects that stand still, the ones that do so for longest are shown.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from asyncpg import Record

from chassis.health import statements as sql
from chassis.health.expected import Expected, Length, Usual
from chassis.health.pulse import Beat, unwatched
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.tasks import MEMORY_CLASSES
from chassis.ledger.trouble import TROUBLE
from chassis.service import Service
from chassis.telemetry.instruments import subjects_stuck

log = logging.getLogger(__name__)

MOST = 2000
"""Rows of an answer."""
LAST = 100
"""Ended tasks of a kind that tell what is usual."""
BUSY_SHARE = 0.02
"""Of its time that the watchdog may look."""
LONGEST_REST = 20
"""Times its period, all the same."""
_CLASSES = [name for name, _ in MEMORY_CLASSES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A subject, or a kind of task of it (`align task`), that has not moved since then."""

    subject: str
    kind: str
    state: str
    since: datetime
    expected_s: float
    waits_for: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.subject, self.kind, self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What changed at this look, as (subject, kind, state), and how many are stuck by (kind, state)."""

    found: tuple[tuple[str, str, str], ...]
    moved: tuple[tuple[str, str, str], ...]
    stuck: Mapping[tuple[str, str], int]


async def watching(
    service: Service, ledger: Ledger, expected: Expected, *, every_s: float, beat: Beat = unwatched
) -> None:
    """Look for ever. Any number of processes may: at any time one looks, and all gauge what was noted."""
    labels: set[tuple[str, str]] = set()
    while True:
        began = time.monotonic()
        try:
            seen = await look(service, ledger, expected)
        except TROUBLE as error:
            log.warning("no look for stuck subjects this time", extra={"error": type(error).__name__})
        else:
            labels |= seen.stuck.keys()
            subjects_stuck(service=service.name, stuck={label: seen.stuck.get(label, 0) for label in labels})
        beat()
        rest = (time.monotonic() - began) / BUSY_SHARE
        await asyncio.sleep(min(max(rest, every_s), LONGEST_REST * every_s))


async def look(service: Service, ledger: Ledger, expected: Expected) -> Look:
    """Look once, in one transaction, and log what changed. Where another process looks just now, only count."""
    async with ledger.transaction() as tx:
        await tx.conn.execute(sql.HURRY)
        found: Sequence[tuple[str, str, str]] = ()
        moved: Sequence[tuple[str, str, str]] = ()
        if await tx.conn.fetchval(sql.LEAD, f"cohortstream_watch_{service.name}"):
            still = [*await _tasks(tx, service, expected), *await _subjects(tx, expected)]
            found, moved = await _note(tx, still)
        counted = await tx.conn.fetch(sql.COUNTS)
    return Look(
        found=tuple(found),
        moved=tuple(moved),
        stuck={(row["kind"], row["state"]): row["subjects"] for row in counted},
    )


async def _subjects(tx: Tx, expected: Expected) -> list[Still]:
    """From half their time on, so that movement in what they wait for is seen before the time is over."""
    if not await tx.conn.fetchval(sql.OFFERS_SUBJECTS):
        return []
    kinds, states = [kind for kind, _ in expected.subjects], [state for _, state in expected.subjects]
    lengths = [_seconds(one) for one in expected.subjects.values()]
    rows = await tx.conn.fetch(sql.SUBJECTS, kinds, states, lengths, _seconds(expected.otherwise), MOST)
    return [
        Still(
            subject=row["subject"],
            kind=row["kind"],
            state=row["state"],
            since=row["since"],
            expected_s=row["expected_seconds"],
            waits_for=row["waits_for"],
        )
        for row in rows
    ]


async def _tasks(tx: Tx, service: Service, expected: Expected) -> list[Still]:
    times = expected.tasks
    ended = await tx.conn.fetch(sql.ENDED, [kind.name for kind in service.kinds], LAST)
    took: dict[str, list[float]] = {}
    for row in ended:
        took.setdefault(row["kind"], []).append(row["seconds"])
    moving = [(row["pool"], row["memory_class"]) for row in ended if row["ended_ago"] <= _seconds(times.claimed)]
    still: list[Still] = []
    for row in await tx.conn.fetch(sql.AT_WORK, MOST):
        within = _seconds(times.at_work(_usual(took.get(row["kind"], []))))
        if row["seconds"] > within:
            still.append(_still(row, "leased", row["started_at"], within, f"its worker on {row['host']}"))
        else:
            moving.append((row["pool"], row["memory_class"]))
    claimed = _seconds(times.claimed)
    for row in await tx.conn.fetch(sql.READY, claimed, MOST):
        if not _moves(row["pool"], row["memory_class"], moving):
            waits_for = f"a worker of pool {row['pool']} with room for a {row['memory_class']} task"
            still.append(_still(row, "ready", row["since"], claimed, waits_for))
    woken = _seconds(times.woken)
    still += [
        _still(row, "waiting", row["since"], woken, "a sweep that wakes it: does a process run?")
        for row in await tx.conn.fetch(sql.OVERDUE, woken, MOST)
    ]
    return list(_longest(still))


async def _note(tx: Tx, still: Sequence[Still]) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Keep what stands still. Returns those that are stuck from now on, and those that are no longer."""
    keys = [one.key for one in still]
    subjects, kinds, states = ([key[place] for key in keys] for place in range(3))
    gone = [row for row in await tx.conn.fetch(sql.GONE, subjects, kinds, states) if row["found"]]
    await tx.conn.execute(
        sql.NOTE,
        subjects,
        kinds,
        states,
        [one.since for one in still],
        [one.expected_s for one in still],
        [one.waits_for for one in still],
    )
    moves = [*gone, *await tx.conn.fetch(sql.MOVES)]
    found = await tx.conn.fetch(sql.FOUND)
    for rows, said in ((found, "a subject has not moved within its time"), (moves, "a stuck subject moved on")):
        for row in rows:
            log.warning(said, extra={name: row[name] for name in ("subject", "kind", "state", "expected_seconds")})
    return [_key(row) for row in found], [_key(row) for row in moves]


def _moves(pool: str, memory_class: str, moving: Iterable[tuple[str, str]]) -> bool:
    """Does a worker of this pool that has room for such a task work?"""
    least = _CLASSES.index(memory_class)
    return any(one == pool and _CLASSES.index(other) >= least for one, other in moving)


def _longest(still: Iterable[Still]) -> Iterable[Still]:
    """Of a subject's tasks of one kind and state, the one that stands still for longest."""
    kept: dict[tuple[str, str, str], Still] = {}
    for one in still:
        if one.key not in kept or one.since < kept[one.key].since:
            kept[one.key] = one
    return kept.values()


def _still(row: Record, state: str, since: datetime, within: float, waits_for: str) -> Still:
    return Still(
        subject=str(row["subject"]),
        kind=f"{row['kind']} task",
        state=state,
        since=since,
        expected_s=within,
        waits_for=waits_for,
    )


def _usual(seconds: Sequence[float]) -> Usual | None:
    if not seconds:
        return None
    place = math.ceil(0.95 * len(seconds)) - 1
    return Usual(tasks=len(seconds), longest=timedelta(seconds=sorted(seconds)[place]))


def _seconds(length: Length) -> float:
    return math.inf if length is None else length.total_seconds()


def _key(row: Record) -> tuple[str, str, str]:
    return row["subject"], row["kind"], row["state"]
