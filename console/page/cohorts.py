"""Cohorts and their freezes; a freeze with the map of its intervals, its figures and its files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from console import views as v
from console.page import questions as q
from console.page.audit import audit_of
from console.page.charts import durations
from console.page.intervalmap import Colouring, One, intervals, strips
from console.page.overview import progress, with_progress
from console.page.paging import place
from console.page.site import Site, cost, names, render, site_of
from console.page.work import traces_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FREEZES_A_PAGE = 20
INTERVALS_A_PAGE = 50
FILES_S = 15.0
"""How long the store may take to hand out a manifest."""
COLOURINGS = ("state", "time", "retries")
COHORTS_BRIEFLY = """
select c.cohort, c.created_at, c.freezes, f."freeze", f.state, f.since, f.samples, f.number
from status_cohort c left join lateral (
    select * from status_freeze f where f.cohort = c.cohort order by number desc limit 1
) f on true order by f.since desc nulls last limit 200
"""


async def cohorts(request: Request) -> Response:
    site = site_of(request)
    at = place(request, rows=FREEZES_A_PAGE)
    async with site.ledgers.reading() as views:
        every, rows = await asyncio.gather(
            views.rows("jointcall", COHORTS_BRIEFLY),
            views.rows("jointcall", q.FREEZE_PAGE, at.rows, at.offset),
        )
        released = await views.rows(
            "annotate",
            'select "freeze" from status_panel where "freeze" = any($1::text[])',
            [row["freeze"] for row in rows],
        )
        shown = await with_progress(views, rows)
    at = replace(at, total=rows[0]["total"] if rows else 0)
    return render(
        request,
        "cohorts.html",
        title="Cohorts",
        cohorts=every,
        rows=shown,
        at=at,
        released={row["freeze"] for row in released},
        notes=views.notes,
    )


async def freeze(request: Request) -> Response:
    """GET /freezes/COHORT:N?by=state|time|retries&page=N."""
    from starlette.exceptions import HTTPException

    site = site_of(request)
    named = request.path_params["freeze"]
    by = request.query_params.get("by", "state")
    colouring = cast(Colouring, by if by in COLOURINGS else "state")
    at = place(request, rows=INTERVALS_A_PAGE)
    async with site.ledgers.reading() as views:
        row = await views.one("jointcall", v.FREEZE, named)
        if row is None:
            raise HTTPException(404, "There is no such freeze. Freezes are named COHORT:NUMBER.")
        (rows, tasks, panel, said), (steps, audit, traces, spent) = await asyncio.gather(
            asyncio.gather(
                views.rows("jointcall", q.INTERVALS, named, q.MOST_INTERVALS),
                views.rows("jointcall", q.INTERVAL_TASKS, named),
                views.one("annotate", v.PANEL, named),
                views.everywhere(q.OF_SUBJECTS, [named]),
            ),
            asyncio.gather(
                progress(views, row),
                audit_of(views, [named, row["cohort"]]),
                traces_of(views, named),
                cost(site, views, named),
            ),
        )
        failures = await views.everywhere(v.FAILED_TASKS, named) if row["state"] == "failed" else {}
        known = await names(site, site.viewer(request), views, _named_in(row["error"]))
    found = intervals(rows, tasks)
    order = request.query_params.get("order", "genome")
    listed = sorted(found, key=_slowest) if order == "slowest" else list(found)
    at = replace(at, total=len(found))
    lines = [{"service": name, **one} for name, of in said.items() for one in of]
    return render(
        request,
        "freeze.html",
        title=named,
        row=row,
        panel=panel,
        steps=steps,
        lines=lines,
        audit=audit,
        traces=traces,
        cost=spent,
        strips=strips(found, by=colouring),
        by=colouring,
        found=found,
        order=order,
        names=known,
        listed=listed[at.offset : at.offset + at.rows],
        at=at,
        chart=durations(found),
        failures=[{"service": name, **one} for name, of in failures.items() for one in of],
        last=max((one for one in lines if one["service"] != "archive"), key=lambda one: one["since"], default=None),
        slowest=max((one.seconds or 0.0 for one in found), default=0.0),
        notes=views.notes,
    )


async def files(request: Request) -> Response:
    """GET /freezes/COHORT:N/files: what the released panel consists of; `.tsv` is the same for a download."""
    from starlette.exceptions import HTTPException
    from starlette.responses import PlainTextResponse

    site = site_of(request)
    named = request.path_params["freeze"]
    async with site.ledgers.reading() as views:
        panel = await views.one("annotate", v.PANEL, named)
    if panel is None:
        raise HTTPException(404, "This freeze has no released panel yet.")
    listed, wrong = await _files(site, panel)
    if request.url.path.endswith(".tsv"):
        if wrong is not None:
            raise HTTPException(503, wrong)
        lines = ["kind\tbytes\tsha256\turi", *(f"{f['kind']}\t{f['size']}\t{f['id']}\t{f['uri']}" for f in listed)]
        disposition = f'attachment; filename="{named.replace(":", "-")}-files.tsv"'
        return PlainTextResponse("\n".join(lines) + "\n", headers={"content-disposition": disposition})
    return render(
        request,
        "files.html",
        title=f"Files of {named}",
        live=False,
        panel=panel,
        files=listed,
        wrong=wrong,
        named=named,
    )


async def _files(site: Site, panel: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """From the panel's manifest, which never changes; else why it could not be read."""
    from chassis.errors import Rejected
    from chassis.storage.store import ObjectMissing, StoreUnavailable
    from console.panels import read_files

    async def read() -> list[dict[str, Any]]:
        async with asyncio.timeout(FILES_S):
            return await read_files(site.settings, panel)

    try:
        return await site.fresh.get(f"files:{panel['freeze']}", read, seconds=3600.0), None
    except (ObjectMissing, StoreUnavailable, Rejected, TimeoutError, OSError) as error:
        return [], f"The store does not hand out the manifest now: {str(error) or type(error).__name__}"


def _slowest(one: One) -> float:
    return -(one.seconds or 0.0)


def _named_in(error: Any) -> list[str]:
    from console.labels import KEY

    return KEY.findall(str(error or ""))
