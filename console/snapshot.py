"""What goes on at a site, at one moment: read from every service's views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from console import views as v
from console.labels import Labels
from console.output import age
from console.standing import MOVERS, Pool, Standing, pools, standings
from console.stuck import Stuck, stuck_subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Events of a service that Kafka has not got yet."""

    service: str
    backlog: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    lines: tuple[Standing, ...]
    pools: tuple[Pool, ...]
    outboxes: tuple[Outbox, ...]
    held: Mapping[str, int]
    """Quarantined events by service, where there are any."""
    stuck: tuple[Stuck, ...]
    labels: Labels
    notes: tuple[str, ...]


async def take(views: v.Views, *, subjects: int = 2000) -> Snapshot:
    """Read it all; `subjects` bounds the lines that each service is asked for, the latest first."""
    views.notes.clear()
    rows = await views.everywhere(v.SUBJECTS, subjects, services=MOVERS)
    rows["archive"] = await views.rows("archive", v.ARCHIVE_SUBJECTS, subjects)
    backlog = await views.everywhere(v.BACKLOG)
    outboxes = await views.everywhere(v.OUTBOX)
    held = await views.everywhere(v.HELD)
    stuck = await views.everywhere(v.STUCK)
    return Snapshot(
        lines=standings(rows),
        pools=pools(backlog),
        outboxes=tuple(
            Outbox(service=service, backlog=row["backlog"], oldest=row["oldest"])
            for service, of_service in outboxes.items()
            for row in of_service
        ),
        held={service: row["held"] for service, of_service in held.items() for row in of_service if row["held"]},
        stuck=stuck_subjects(stuck),
        labels=Labels(await views.rows("ingest", v.LABELS)),
        notes=tuple(views.notes),
    )


def line_json(line: Standing, labels: Labels) -> dict[str, Any]:
    """A line as `--json` prints it, with the label of a sample."""
    return named(line.as_dict(), labels)


def named(document: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """What stands about a subject, with its label where it is a sample."""
    found = labels.get(document["subject"])
    return document | ({"label": found.label, "project": found.project} if found is not None else {})


def late_outboxes(outboxes: Iterable[Outbox], most_s: float, *, now: datetime | None = None) -> list[str]:
    """A warning for each service with an event that has waited for Kafka for longer than `most_s` seconds."""
    now = now or datetime.now(UTC)
    return [
        f"warning: events of {one.service} have waited for Kafka for {age(one.oldest, now=now)}: is the broker away?"
        for one in outboxes
        if one.oldest is not None and (now - one.oldest).total_seconds() > most_s
    ]
