"""Where each subject stands, from what every service says of it. Pure functions of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from console.supervisor import SERVICES

KINDS = ("run", "sample", "freeze", "artifact")
MOVERS = SERVICES[:-1]
"""The services that move runs, samples and freezes on. The archive watches: its word on them counts when it needs a
person, or when it is the only one."""
RUNNING, QUEUED = "leased", ("ready", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One subject's line: what the service that moved it last says of it."""

    subject: str
    kind: str
    belongs_to: str
    service: str
    state: str
    since: datetime
    waits_for: str | None

    @property
    def rests(self) -> bool:
        """It waits for nothing: it is done, or it is where people left it."""
        return self.waits_for is None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def standings(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Standing, ...]:
    """A line for each (kind, subject) out of each service's rows: the latest word counts.

    A failure anywhere stands until something later moves the subject on (a top-up, a person). Of words of one moment,
    the one from further down the flow counts. Sorted by kind, then the latest first.
    """
    latest: dict[tuple[str, str], Standing] = {}
    for service in sorted(rows, key=_place):
        for row in rows[service]:
            one = Standing(
                subject=row["subject"],
                kind=row["kind"],
                belongs_to=row["belongs_to"] or "",
                service=service,
                state=row["state"],
                since=row["since"],
                waits_for=row["waits_for"] or None,
            )
            there = latest.get((one.kind, one.subject))
            watched = service == "archive" and not (one.waits_for or "").startswith("a person")
            if there is None or (one.since >= there.since and not watched):
                latest[one.kind, one.subject] = one
    members = _members(rows)
    lines = (_with_members(line, members.get(line.subject, ()), latest) for line in latest.values())
    return tuple(sorted(lines, key=lambda s: (_kind_place(s.kind), -s.since.timestamp(), s.subject)))


def _members(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, set[str]]:
    """Samples by the run that brought them."""
    found: dict[str, set[str]] = {}
    for of_service in rows.values():
        for row in of_service:
            if row["kind"] == "sample" and row["belongs_to"]:
                found.setdefault(row["belongs_to"], set()).add(row["subject"])
    return found


def _with_members(line: Standing, members: Iterable[str], latest: Mapping[tuple[str, str], Standing]) -> Standing:
    """A run that was handed over waits for those of its samples that are still on their way."""
    if line.kind != "run" or line.waits_for is not None:
        return line
    samples = [latest["sample", member] for member in members]
    on_their_way = sum(one.belongs_to == line.subject and one.waits_for is not None for one in samples)
    return replace(line, waits_for=f"{on_their_way} of its {len(samples)} samples") if on_their_way else line


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The work of one pool of one service. `oldest` is when the oldest task that still waits was made."""

    service: str
    pool: str
    queued: int
    running: int
    done: int
    failed: int
    cancelled: int
    oldest: datetime | None
    seconds: float
    """Work time of the finished tasks."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def pools(rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[Pool, ...]:
    """Tasks by service and pool, all kinds together, from `status_backlog`."""
    counted: dict[tuple[str, str], dict[str, Any]] = {}
    for service, of_service in rows.items():
        for row in of_service:
            one = counted.setdefault((service, row["pool"]), {"oldest": None, "seconds": 0.0})
            one[row["state"]] = one.get(row["state"], 0) + row["tasks"]
            one["seconds"] += float(row["seconds"] or 0)
            if row["state"] in QUEUED and row["oldest"] is not None:
                one["oldest"] = min(one["oldest"] or row["oldest"], row["oldest"])
    return tuple(
        Pool(
            service=service,
            pool=pool,
            queued=sum(one.get(state, 0) for state in QUEUED),
            running=one.get(RUNNING, 0),
            done=one.get("done", 0),
            failed=one.get("failed", 0),
            cancelled=one.get("cancelled", 0),
            oldest=one["oldest"],
            seconds=one["seconds"],
        )
        for (service, pool), one in sorted(counted.items(), key=lambda item: (_place(item[0][0]), item[0][1]))
    )


def current(lines: Sequence[Standing], *, resting: int) -> tuple[Standing, ...]:
    """All lines that wait for something, and the latest `resting` of those that rest, for each kind."""
    left = dict.fromkeys({line.kind for line in lines}, resting)
    kept = []
    for line in lines:
        if line.rests:
            left[line.kind] -= 1
            if left[line.kind] < 0:
                continue
        kept.append(line)
    return tuple(kept)


def _place(service: str) -> int:
    return SERVICES.index(service) if service in SERVICES else len(SERVICES)


def _kind_place(kind: str) -> int:
    return KINDS.index(kind) if kind in KINDS else len(KINDS)
