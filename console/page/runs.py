"""Sequencing runs: where each stands, and a run's samples with what was refused and why."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console import views as v
from console.page import questions as q
from console.page.audit import audit_of
from console.page.overview import with_stages
from console.page.paging import place
from console.page.site import cost, names, render, site_of
from console.page.work import traces_of
from console.standing import standings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FILES_NAMED = """
select sample, lane, mate, file from status_sample_file where run = $1 and sample = any($2::text[]) order by lane, mate
"""


async def runs(request: Request) -> Response:
    site = site_of(request)
    at = place(request)
    state = request.query_params.get("state") or None
    async with site.ledgers.reading() as views:
        rows = await views.rows("ingest", q.RUN_PAGE, state, at.rows, at.offset)
        shown = await with_stages(views, rows)
    at = replace(at, total=rows[0]["total"] if rows else 0)
    return render(
        request,
        "runs.html",
        title="Runs",
        rows=shown,
        at=at,
        state=state,
        roots=site.settings.ingest.roots,
        notes=views.notes,
    )


async def run(request: Request) -> Response:
    """One run: its samples a page at a time, its refusals, its traces, who asked for what."""
    from starlette.exceptions import HTTPException

    site = site_of(request)
    viewer = site.viewer(request)
    named = request.path_params["run"]
    at = place(request)
    async with site.ledgers.reading() as views:
        row = await views.one("ingest", v.RUN, named)
        if row is None:
            raise HTTPException(404, "No run of this name was seen. A run is named by its folder.")
        (members, refused, stages), (audit, traces, spent) = await asyncio.gather(
            asyncio.gather(
                views.rows("ingest", q.SAMPLE_PAGE, None, named, None, at.rows, at.offset),
                views.rows("ingest", v.REJECTIONS_OF_RUN, named),
                with_stages(views, [row]),
            ),
            asyncio.gather(audit_of(views, [named]), traces_of(views, named), cost(site, views, named)),
        )
        keys = [member["subject"] for member in members]
        lines, known = await asyncio.gather(
            sample_lines(views, keys),
            names(site, viewer, views, [*keys, *(one["subject"] for one in refused)]),
        )
        files: list[v.Row] = []
        if viewer.signed_in and refused:  # file names are the laboratory's words
            files = await views.rows("ingest", FILES_NAMED, named, [one["subject"] for one in refused])
    at = replace(at, total=members[0]["total"] if members else 0)
    return render(
        request,
        "run.html",
        title=named,
        row=stages[0],
        at=at,
        lines=lines,
        refused=refused,
        files=files,
        audit=audit,
        traces=traces,
        cost=spent,
        names=known,
        notes=views.notes,
    )


async def sample_lines(views: v.Views, keys: list[str]) -> list[dict[str, Any]]:
    """A line for each key, in their order: where it stands by every service's word, its QC, its depth."""
    if not keys:
        return []
    said, called = await asyncio.gather(
        views.everywhere(q.OF_SUBJECTS, keys), views.rows("jointcall", q.SAMPLES_OF, keys)
    )
    latest = {line.subject: line for line in standings(said) if line.kind == "sample"}
    by_key = {row["key"]: row for row in called}
    return [{"key": key, "line": latest.get(key), "called": by_key.get(key)} for key in keys]
