"""Following one freeze from its request to the panel's release, or to why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console import views as v
from console.labels import KEY, Labels
from console.standing import MOVERS, Standing, standings

if TYPE_CHECKING:
    from contracts.events import CohortFreezeRequested

LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeNow:
    """A freeze at one moment; `panel` is its row once it is released, `error` why it ended without one."""

    row: Mapping[str, Any]
    line: Standing | None
    panel: Mapping[str, Any] | None
    error: str | None

    @property
    def ended(self) -> bool:
        return self.panel is not None or self.error is not None

    @property
    def words(self) -> str:
        if self.line is None:
            return str(self.row["state"])
        return self.line.state + (f": waits for {self.line.waits_for}" if self.line.waits_for else "")

    def as_dict(self) -> dict[str, Any]:
        return {
            **self.row,
            "state": "released" if self.panel is not None else self.line.state if self.line else self.row["state"],
            "waits_for": self.line.waits_for if self.line else None,
            "panel": self.panel,
        }


async def freeze_of(views: v.Views, asked: CohortFreezeRequested) -> str | None:
    """The freeze that a request made; None while jointcall has not met it."""
    for row in reversed(await views.rows("jointcall", v.FREEZES, asked.cohort)):
        if row.get("request_id") == asked.request_id:
            return str(row["freeze"])
    return None


async def freeze_now(views: v.Views, freeze: str) -> FreezeNow | None:
    """How a freeze is by every service's word; None when there is none of this id."""
    row = await views.one("jointcall", v.FREEZE, freeze)
    if row is None:
        return None
    said = {service: await views.rows(service, v.SUBJECT, freeze) for service in MOVERS}
    lines = standings(said)
    panel = await views.one("annotate", v.PANEL, freeze)
    ended = row["state"] in ("failed", "cancelled")
    error = None
    if panel is None and ended:
        labels = Labels(await views.rows("ingest", v.LABELS))
        error = in_words(row["error"], labels) if row["error"] else f"the freeze is {row['state']}"
    return FreezeNow(row=row, line=lines[0] if lines else None, panel=panel, error=error)


async def follow(views: v.Views, freeze: str, tell: Callable[[FreezeNow], None]) -> FreezeNow:
    """Look until the freeze has ended; `tell` hears each look."""
    while True:
        now = await freeze_now(views, freeze)
        if now is not None:
            tell(now)
            if now.ended:
                return now
        await asyncio.sleep(LOOK_S)


def in_words(error: Mapping[str, Any], labels: Labels) -> str:
    """A rejection as stored, with the labels of the samples that it names by key."""
    said = f"{error['code']}: {error['message']} [{error['where']}]. Rule: {error['rule']}. To mend it: {error['fix']}."
    return KEY.sub(lambda found: labels.shown(found[0]), said)
