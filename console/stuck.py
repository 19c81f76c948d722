"""Subjects that have not moved within their expected time, as the services' watchdogs found them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from console.labels import Labels
from console.output import age, span, table

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """`kind` is a kind of subject, or of its tasks (`align task`); `since` is when it moved last."""

    service: str
    subject: str
    kind: str
    state: str
    since: datetime
    expected_seconds: float
    waits_for: str
    found_at: datetime

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.service, self.kind, self.subject, self.state

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def stuck_subjects(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Stuck, ...]:
    """By service, those that stand still for longest first."""
    return tuple(
        Stuck(
            service=service,
            subject=row["subject"],
            kind=row["kind"],
            state=row["state"],
            since=row["since"],
            expected_seconds=row["expected_seconds"],
            waits_for=row["waits_for"],
            found_at=row["found_at"],
        )
        for service, of_service in rows.items()
        for row in sorted(of_service, key=lambda row: row["since"])
    )


def said_of(one: Stuck, labels: Labels) -> str:
    """In a sentence."""
    return (
        f"{labels.shown(one.subject)}: {one.kind} {one.state} for {age(one.since)} "
        f"(expected: {span(one.expected_seconds)}), waits for {one.waits_for}"
    )


def stuck_table(stuck: Iterable[Stuck], labels: Labels) -> Table:
    rows = [
        (
            labels.shown(one.subject),
            f"{one.service}: {one.kind}",
            one.state,
            age(one.since),
            span(one.expected_seconds),
            one.waits_for,
        )
        for one in stuck
    ]
    return table(("stuck", "", "state", "#for", "#expected", "waits for"), rows)
