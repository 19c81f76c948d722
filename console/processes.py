"""What the processes of this state folder say of themselves, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from chassis.health.report import Report


def summary(reports: Sequence[Report], silent_s: float) -> list[str]:
    """A sentence for each process that is not well; nothing when all are."""
    return [
        f"warning: {_name(one)} is {_word(one, silent_s)}: {one.why_not(silent_s)}"
        for one in reports
        if not (one.live_within(silent_s) and one.ready)
    ]


def processes_table(reports: Sequence[Report], silent_s: float) -> Table:
    from console.output import span, state, table

    rows = [
        (
            _name(one),
            one.identity.host,
            str(one.identity.pid),
            state(_word(one, silent_s)),
            f"{span(one.age_s)} ago",
            one.why_not(silent_s),
        )
        for one in reports
    ]
    return table(("process", "host", "#pid", "state", "#said so", "why not"), rows)


def _name(one: Report) -> str:
    return f"{one.identity.service} {one.identity.role}"


def _word(one: Report, silent_s: float) -> str:
    if not one.live_within(silent_s):
        return "not live"
    return "ready" if one.ready else "not ready"
