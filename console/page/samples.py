"""Samples: lists by where they stand, and a sample's page with everything that is known of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from console import views as v
from console.labels import KEY
from console.page import questions as q
from console.page.audit import audit_of
from console.page.paging import place
from console.page.runs import sample_lines
from console.page.site import cost, names, render, site_of
from console.page.work import tasks_of, traces_of
from console.sampling import sample_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

STATIONS = ("ingest", "align", "jointcall")
"""The services that say where a sample stands."""


async def samples(request: Request) -> Response:
    """GET /samples?at=SERVICE&state=STATE&run=RUN&q=KEY: any of these narrows the list."""
    site = site_of(request)
    viewer = site.viewer(request)
    at = place(request)
    station = request.query_params.get("at", "ingest")
    station = station if station in STATIONS else "ingest"
    state, run, typed = (request.query_params.get(name) or None for name in ("state", "run", "q"))
    async with site.ledgers.reading() as views:
        if typed and viewer.signed_in and not typed.startswith("smp_"):
            labelled = await views.rows("ingest", q.LABELLED, typed, at.rows)
            keys, total = [row["key"] for row in labelled], len(labelled)
        else:
            prefix = typed.rstrip("…") if typed else None
            rows = await views.rows(station, q.SAMPLE_PAGE, state, run, prefix, at.rows, at.offset)
            keys, total = [row["subject"] for row in rows], rows[0]["total"] if rows else 0

        async def flow() -> dict[str, list[v.Row]]:
            return await views.everywhere(q.FLOW, services=STATIONS)

        counts = await site.fresh.get("sample-states", flow, seconds=site.refresh)
        lines, known = await asyncio.gather(sample_lines(views, keys), names(site, viewer, views, keys))
    at = replace(at, total=total)
    states = {
        service: sorted(
            ((row["state"], row["subjects"]) for row in rows if row["kind"] == "sample"), key=lambda pair: -pair[1]
        )
        for service, rows in counts.items()
    }
    return render(
        request,
        "samples.html",
        title="Samples",
        lines=lines,
        at=at,
        station=station,
        state=state,
        run=run,
        typed=typed or "",
        states=states,
        names=known,
        notes=views.notes,
    )


async def sample(request: Request) -> Response:
    """One sample: stages, versions, QC, attempts, refusals, artifacts by tier, traces, audit."""
    from starlette.exceptions import HTTPException

    site = site_of(request)
    viewer = site.viewer(request)
    key = request.path_params["key"]
    if not KEY.fullmatch(key):
        raise HTTPException(404, "A sample's key is smp_ and 24 digits or letters from a to f.")
    async with site.ledgers.reading() as views:
        known = await names(site, viewer, views, [key])
        (found, tasks, artifacts, archive), (audit, traces, spent) = await asyncio.gather(
            asyncio.gather(
                sample_of(views, key, known.labels),
                tasks_of(views, key),
                views.rows("archive", q.ARTIFACTS_OF, key),
                views.rows("archive", v.SUBJECT, key),
            ),
            asyncio.gather(audit_of(views, [key]), traces_of(views, key), cost(site, views, key)),
        )
        files = await views.rows("ingest", q.FILES_OF_SAMPLE, key) if viewer.signed_in else []
        withdrawal = await views.one("archive", v.WITHDRAWAL, key)
    if found["state"] is None and not found["history"] and not artifacts:
        raise HTTPException(404, "No sample of this key is known.")
    history = [*found["history"], *({"service": "archive", **row} for row in archive)]
    dead = any(task["state"] == "failed" for task in tasks)
    return render(
        request,
        "sample.html",
        title=known.of(key),
        key=key,
        found=found,
        tasks=tasks,
        artifacts=artifacts,
        audit=audit,
        traces=traces,
        cost=spent,
        files=files,
        withdrawal=withdrawal,
        names=known,
        dead=dead,
        history=sorted(history, key=lambda row: row["since"]),
        notes=views.notes,
        working=any(task["state"] in ("waiting", "ready", "leased") for task in tasks),
    )
