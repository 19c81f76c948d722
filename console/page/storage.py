"""What is stored, where, at what price; what moves next; what is held and what is on its way back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console import views as v
from console.page import questions as q
from console.page.audit import audit_of
from console.page.charts import Chart
from console.page.charts import storage as storage_chart
from console.page.site import names, render, site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SLOW = 10
"""Storage changes slowly: its sums stay fresh for so many refreshes."""
MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    stored: Sequence[v.Row]
    planned: Sequence[v.Row]
    strays: Sequence[v.Row]
    holds: Sequence[v.Row]
    restores: Sequence[v.Row]
    tiering: v.Row | None
    chart: Chart | None
    notes: tuple[str, ...]

    @property
    def monthly(self) -> float:
        return float(sum(row["monthly"] or 0 for row in self.stored))

    @property
    def bytes(self) -> int:
        return int(sum(row["bytes"] for row in self.stored))

    @property
    def saves(self) -> float:
        """What all that is due would save a month."""
        return float(sum(row["saves"] or 0 for row in self.planned if row["state"] == "due"))


async def find_storage(views: v.Views) -> Found:
    (stored, planned, strays), (holds, restores, tiering) = await asyncio.gather(
        asyncio.gather(
            views.rows("archive", v.STORAGE),
            views.rows("archive", q.PLAN_SUMS),
            views.rows("archive", v.INVENTORY),
        ),
        asyncio.gather(
            views.rows("archive", q.OPEN_HOLDS, MOST),
            views.rows("archive", q.OPEN_RESTORES, MOST),
            views.one("archive", q.TIERING),
        ),
    )
    return Found(
        stored=sorted(stored, key=lambda row: (-row["bytes"], row["kind"], row["tier"])),
        planned=planned,
        strays=sorted(strays, key=lambda row: -row["bytes"]),
        holds=holds,
        restores=restores,
        tiering=tiering,
        chart=storage_chart(stored),
        notes=tuple(views.notes),
    )


async def storage(request: Request) -> Response:
    site = site_of(request)
    async with site.ledgers.reading() as views:

        async def find() -> Found:
            return await find_storage(views)

        found = await site.fresh.get("storage", find, seconds=site.refresh * SLOW / 3)
    return render(request, "storage.html", title="Storage", found=found, notes=found.notes)


async def artifact(request: Request) -> Response:
    """One artifact: its copies, holds and restores."""
    from starlette.exceptions import HTTPException

    site = site_of(request)
    named = request.path_params["artifact"]
    if not re.fullmatch(r"[0-9a-f]{64}", named):
        raise HTTPException(404, "An artifact is named by its SHA-256.")
    async with site.ledgers.reading() as views:
        copies, holds, restores, audit = await asyncio.gather(
            views.rows("archive", q.ARTIFACT, named),
            views.rows("archive", q.HOLDS_ON, named),
            views.rows("archive", q.RESTORES_OF, named),
            audit_of(views, [named]),
        )
        known = await names(site, site.viewer(request), views, [row["subject"] for row in copies])
    if not copies and not restores and not holds:
        raise HTTPException(404, "The archive knows no artifact of this SHA-256.")
    viewer = site.viewer(request)
    return render(
        request,
        "artifact.html",
        title=f"Artifact {named[:12]}",
        named=named,
        copies=copies,
        holds=holds,
        restores=restores,
        audit=audit,
        names=known,
        notes=views.notes,
        cold=any(row["tier"] != "STANDARD" for row in copies),
        own=any(row["released_at"] is None and row["actor"] == viewer.name for row in holds),
    )
