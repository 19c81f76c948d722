"""What needs a person: stuck, failed, held, quarantined, missing. Each with where to go and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console import views as v
from console.page import questions as q
from console.page.rendering import place_of
from console.standing import Standing, standings
from console.stuck import Stuck, stuck_subjects

ORDER = ("stuck", "failed", "quarantined", "held", "stored", "late")
PERSON = "a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One line. `what` is one of ORDER; `words` say what is the matter, `todo` what mends it."""

    what: str
    subject: str
    kind: str
    service: str
    state: str
    since: datetime | None
    words: str
    todo: str
    href: str


async def needs(views: v.Views, *, outbox_s: float, now: datetime) -> tuple[Need, ...]:
    """All of them, the gravest kind first, at most 200 of a kind and service."""
    candidates, stuck, held, outboxes, artifacts, freezes = await asyncio.gather(
        views.everywhere(q.NEEDS, q.MOST_NEEDS),
        views.everywhere(v.STUCK),
        views.everywhere(q.QUARANTINE_PAGE, ["held"], q.MOST_NEEDS),
        views.everywhere(v.OUTBOX),
        views.rows("archive", q.ARTIFACT_NEEDS, q.MOST_NEEDS),
        views.rows("jointcall", q.FREEZE_PAGE, q.MOST_NEEDS, 0),
    )
    subjects = sorted({row["subject"] for rows in candidates.values() for row in rows})
    said = await views.everywhere(q.OF_SUBJECTS, subjects) if subjects else {}
    stuck_ones = stuck_subjects(stuck)
    lines = [line for line in standings(said) if _wants(line, freezes)]
    why = await _reasons(views, [line.subject for line in lines])
    found = [
        *(_stuck(one) for one in stuck_ones),
        *(_standing(line, why) for line in lines),
        *_quarantined(held),
        *(_artifact(row) for row in artifacts),
        *_late(outboxes, outbox_s, now),
    ]
    return tuple(sorted(found, key=lambda need: (ORDER.index(need.what), -(need.since or now).timestamp())))


def _stuck(one: Stuck) -> Need:
    from console.output import span

    return Need(
        what="stuck",
        subject=one.subject,
        kind=one.kind,
        service=one.service,
        state=one.state,
        since=one.since,
        words=f"has not moved; {span(one.expected_seconds)} would be usual",
        todo=f"waits for {one.waits_for}",
        href=place_of(one.subject, one.kind),
    )


def _wants(line: Standing, freezes: Sequence[v.Row]) -> bool:
    """It still stands so by every service's word, and no later freeze of its cohort made it history."""
    if line.kind == "freeze" and _overtaken(line.subject, freezes):
        return False
    return _failed(line) or PERSON in (line.waits_for or "")


def _failed(line: Standing) -> bool:
    return line.state.startswith(("failed", "rejected", "refused", "FINGERPRINT"))


def _standing(line: Standing, why: Mapping[str, str]) -> Need:
    return Need(
        what="failed" if _failed(line) else "held",
        subject=line.subject,
        kind=line.kind,
        service=line.service,
        state=line.state,
        since=line.since,
        words=why.get(line.subject, ""),
        todo=_todo(line),
        href=place_of(line.subject, line.kind),
    )


async def _reasons(views: v.Views, subjects: list[str]) -> dict[str, str]:
    """Why each stands as it does, in the words of the service that refused or held it."""
    if not subjects:
        return {}
    refused, ended, errors, held = await asyncio.gather(
        views.rows("ingest", q.REFUSED_OF, subjects),
        views.rows("align", q.ENDED_OF, subjects),
        views.rows("jointcall", q.FAILED_FREEZES, subjects),
        views.rows("jointcall", q.SAMPLES_OF, subjects),
    )
    found = {row["key"]: row["override_reason"] or "; ".join(row["reasons"]) for row in held}
    found |= {row["subject"]: f"{row['code']}: {row['message']}" for row in refused}
    for row in (*ended, *errors):
        found[row["subject"]] = f"{row['error']['code']}: {row['error']['message']}"
    return found


def _todo(line: Standing) -> str:
    waits = line.waits_for or ""
    if waits == f"{PERSON}: samples pass":
        return "pass it, or leave it out"
    if waits:
        return waits.removeprefix(f"{PERSON}: ")
    return {
        "freeze": "read why, then ask for the freeze again",
        "sample": "read why, mend it, then revive its work",
        "run": "read why, mend the run folder",
    }.get(line.kind, "read why")


def _overtaken(freeze: str, freezes: Sequence[v.Row]) -> bool:
    cohort, _, number = freeze.rpartition(":")
    return number.isdecimal() and any(row["cohort"] == cohort and row["number"] > int(number) for row in freezes)


def _quarantined(held: Mapping[str, Sequence[v.Row]]) -> list[Need]:
    return [
        Need(
            what="quarantined",
            subject=f"{service}/{row['id']}",
            kind="event",
            service=service,
            state="held",
            since=row["received_at"],
            words=f"{row['code']}: {row['rejection']['message']}",
            todo=row["rejection"]["fix"],
            href=f"/quarantine/{service}/{row['id']}",
        )
        for service, rows in held.items()
        for row in rows
    ]


def _artifact(row: Mapping[str, Any]) -> Need:
    missing = row["state"] == "missing"
    return Need(
        what="stored",
        subject=row["artifact"],
        kind="artifact",
        service="archive",
        state=row["state"],
        since=row["since"],
        words=f"a {row['kind']} of {row['subject']}: a fact names it and the store has it not"
        if missing
        else row["last_act"],
        todo="find it, or make it again" if missing else "read why the store refused",
        href=place_of(row["artifact"], "artifact"),
    )


def _late(outboxes: Mapping[str, Sequence[v.Row]], most_s: float, now: datetime) -> list[Need]:
    return [
        Need(
            what="late",
            subject=service,
            kind="service",
            service=service,
            state="waiting",
            since=row["oldest"],
            words=f"{row['backlog']} events wait for Kafka",
            todo="see whether the broker is away",
            href="/pools",
        )
        for service, rows in outboxes.items()
        for row in rows
        if row["oldest"] is not None and (now - row["oldest"]).total_seconds() > most_s
    ]
