"""The first page: what needs a person, then what moves now; and the way to anything by its name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from console import views as v
from console.labels import KEY
from console.page import questions as q
from console.page.needs import Need, needs
from console.page.rendering import place_of, tone
from console.page.site import names, render, site_of
from console.standing import Pool, pools
from console.supervisor import SERVICES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SHOWN = 8
"""Needs on the first page; the rest stand on a page of their own."""
MOST_MATCHES = 20
OPEN = 6
TONE_ORDER = ("ok", "run", "wait", "hold", "off", "bad")
DOES = {
    "ingest": "takes runs in",
    "align": "reads to CRAM and gVCF",
    "jointcall": "freezes and joint calls",
    "vqsr": "filters",
    "annotate": "annotates, releases",
    "archive": "keeps, tiers, purges",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One service: what it works on now, and its subjects by state."""

    service: str
    does: str
    running: int
    queued: int
    failed: int
    states: tuple[tuple[str, str, int], ...]
    """(kind, state, how many), the busiest first."""

    @property
    def by_kind(self) -> list[tuple[str, list[tuple[str, int]]]]:
        kinds = dict.fromkeys(kind for kind, _, _ in self.states)
        return [(kind, [(state, many) for its, state, many in self.states if its == kind]) for kind in kinds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    needs: tuple[Need, ...]
    in_work: int
    stations: tuple[Station, ...]
    freezes: Sequence[Mapping[str, Any]]
    runs: Sequence[Mapping[str, Any]]
    notes: tuple[str, ...]

    @property
    def running(self) -> int:
        return sum(station.running for station in self.stations)

    @property
    def queued(self) -> int:
        return sum(station.queued for station in self.stations)

    @property
    def empty(self) -> bool:
        """Nothing was ever seen here."""
        return not self.runs and not any(station.states for station in self.stations)


async def find_overview(views: v.Views, *, outbox_s: float) -> Overview:
    now = datetime.now(UTC)
    wanting, backlog, flow, open_freezes, runs = await asyncio.gather(
        needs(views, outbox_s=outbox_s, now=now),
        views.everywhere(v.BACKLOG),
        views.everywhere(q.FLOW),
        views.rows("jointcall", q.OPEN_FREEZES),
        views.rows("ingest", q.RUN_PAGE, None, OPEN, 0),
    )
    named = [row["freeze"] for row in open_freezes]
    answers = await views.everywhere(q.PANELS_ENDED, named, services=("vqsr", "annotate")) if named else {}
    ended = {row["subject"] for rows in answers.values() for row in rows}
    open_freezes = [row for row in open_freezes if row["freeze"] not in ended]
    return Overview(
        needs=wanting,
        in_work=len(open_freezes),
        stations=stations(pools(backlog), flow),
        freezes=await with_progress(views, open_freezes[:OPEN]),
        runs=await with_stages(views, runs),
        notes=tuple(views.notes),
    )


def stations(work: Sequence[Pool], flow: Mapping[str, Sequence[v.Row]]) -> tuple[Station, ...]:
    def one(service: str) -> Station:
        its = [pool for pool in work if pool.service == service]
        states = sorted(
            flow.get(service, ()), key=lambda row: (row["kind"] != "sample", -row["subjects"], row["state"])
        )
        return Station(
            service=service,
            does=DOES[service],
            running=sum(pool.running for pool in its),
            queued=sum(pool.queued for pool in its),
            failed=sum(pool.failed for pool in its),
            states=tuple((row["kind"], row["state"], row["subjects"]) for row in states),
        )

    return tuple(one(service) for service in SERVICES)


async def with_stages(views: v.Views, runs: Sequence[v.Row]) -> list[dict[str, Any]]:
    """Runs with their samples by where align has them: (state, tone, how many)."""
    if not runs:
        return []
    rows = await views.rows("align", q.STAGES_OF_RUNS, [run["run"] for run in runs])
    by_run: dict[str, list[tuple[str, str, int]]] = {}
    for row in rows:
        by_run.setdefault(row["run"], []).append((row["state"], tone(row["state"]), row["samples"]))
    return [{**run, "stages": sorted(by_run.get(run["run"], []), key=_stage_order)} for run in runs]


def _stage_order(stage: tuple[str, str, int]) -> int:
    return TONE_ORDER.index(stage[1])


STEPS = (
    ("jointcall", "interval", "genotyped"),
    ("vqsr", "filter", "filtered"),
    ("annotate", "annotate", "annotated"),
)
"""The stages that work through a freeze's intervals: service, its task's kind, the word for done."""


async def with_progress(views: v.Views, freezes: Sequence[v.Row]) -> list[dict[str, Any]]:
    """Freezes with how far each stage is, and what every service says of them."""

    async def one(freeze: v.Row) -> dict[str, Any]:
        steps, said = await asyncio.gather(progress(views, freeze), views.everywhere(q.OF_SUBJECTS, [freeze["freeze"]]))
        lines = [{"service": name, **row} for name, rows in said.items() for row in rows if name != "archive"]
        last = max(lines, key=lambda row: row["since"], default=None)
        return {**freeze, "steps": steps, "said": last}

    return list(await asyncio.gather(*(one(freeze) for freeze in freezes)))


async def progress(views: v.Views, freeze: Mapping[str, Any]) -> list[dict[str, Any]]:
    """(word, done, running, failed, of) for each stage of a freeze."""
    services = [service for service, _, _ in STEPS]
    rows = await views.everywhere(q.KIND_PROGRESS, freeze["freeze"], services=services)
    found = []
    for service, kind, word in STEPS:
        counts = {row["state"]: row["tasks"] for row in rows[service] if row["kind"] == kind}
        done = freeze["genotyped"] if kind == "interval" else counts.get("done", 0)
        found.append(
            {
                "service": service,
                "word": word,
                "done": done,
                "running": counts.get("leased", 0),
                "failed": counts.get("failed", 0),
                "of": freeze["intervals"] or 0,
            }
        )
    return found


def mentioned(found: Sequence[Need]) -> list[str]:
    """What needs are about, and the samples that their words name."""
    words = " ".join(f"{need.words} {need.todo}" for need in found)
    return [*(need.subject for need in found), *KEY.findall(words)]


async def overview(request: Request) -> Response:
    site = site_of(request)
    async with site.ledgers.reading() as views:

        async def find() -> Overview:
            return await find_overview(views, outbox_s=site.settings.watch.outbox_seconds)

        found = await site.fresh.get("overview", find, seconds=site.refresh / 2)
        known = await names(site, site.viewer(request), views, mentioned(found.needs[:SHOWN]))
    return render(
        request,
        "overview.html",
        title="Overview",
        found=found,
        shown=found.needs[:SHOWN],
        names=known,
        notes=found.notes,
    )


async def attention(request: Request) -> Response:
    """Every need, not the first few."""
    site = site_of(request)
    async with site.ledgers.reading() as views:

        async def find() -> tuple[Need, ...]:
            return await needs(views, outbox_s=site.settings.watch.outbox_seconds, now=datetime.now(UTC))

        found = await site.fresh.get("needs", find, seconds=site.refresh / 2)
        what = request.query_params.get("what", "")
        shown = [need for need in found if not what or need.what == what]
        known = await names(site, site.viewer(request), views, mentioned(shown))
    counts = {kind: sum(need.what == kind for need in found) for kind in dict.fromkeys(need.what for need in found)}
    return render(request, "attention.html", title="Needs a person", shown=shown, counts=counts, what=what, names=known)


async def find(request: Request) -> Response:
    """GET /find?q=: straight to the one thing meant, else what it could be."""
    from starlette.responses import RedirectResponse

    site = site_of(request)
    viewer = site.viewer(request)
    named = request.query_params.get("q", "").strip()[:200]
    async with site.ledgers.reading() as views:
        matches = await _matches(views, named, signed_in=viewer.signed_in) if named else []
        known = await names(site, viewer, views, [subject for _, subject in matches])
    if len(matches) == 1:
        kind, subject = matches[0]
        return RedirectResponse(place_of(subject, kind), status_code=303)
    return render(
        request, "find.html", title="Find", live=False, named=named, matches=matches, most=MOST_MATCHES, names=known
    )


RUNS_NAMED = "select run from status_run where run = $1 or starts_with(run, $1) order by run <> $1, since desc limit $2"
SAMPLES_KEYED = (
    "select distinct subject from status_subject where kind = 'sample' and starts_with(subject, $1) limit $2"
)
FREEZES_NAMED = """
select "freeze" from status_freeze where "freeze" = $1 or starts_with("freeze", $1)
order by "freeze" <> $1, since desc limit $2
"""


async def _matches(views: v.Views, named: str, *, signed_in: bool) -> list[tuple[str, str]]:
    """(kind, subject): an exact name alone, else all that begin so."""
    found: list[tuple[str, str]] = []
    if re.fullmatch(r"[0-9a-f]{8,64}", named):
        found += [("artifact", row["artifact"]) for row in await views.rows("archive", v.ARTIFACT_BY_START, named)]
    if named.startswith("smp_"):
        start = named.rstrip("…")
        found += [("sample", row["subject"]) for row in await views.rows("ingest", SAMPLES_KEYED, start, MOST_MATCHES)]
    runs = await views.rows("ingest", RUNS_NAMED, named, MOST_MATCHES)
    freezes = await views.rows("jointcall", FREEZES_NAMED, named, MOST_MATCHES)
    found += [("run", row["run"]) for row in runs] + [("freeze", row["freeze"]) for row in freezes]
    if signed_in:
        found += [("sample", row["key"]) for row in await views.rows("ingest", q.LABELLED, named, MOST_MATCHES)]
    exact = [(kind, subject) for kind, subject in found if subject == named]
    return exact if len(exact) == 1 and not KEY.fullmatch(named) else list(dict.fromkeys(found))[:MOST_MATCHES]
