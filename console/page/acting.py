"""What a signed-in person asks for through the page: the command line's commands, with the person's name."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chassis.errors import reject
from console import commands_out, decisions
from console import views as v
from console.decisions import Asked

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from contracts.values import Actor

NOTED_S = 1.5
"""How long the answer to a form waits for the service's word; the page that follows goes on looking."""
REMEMBERED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One thing asked for through this page."""

    asked: Asked
    verb: str
    by: str
    reason: str
    back: str
    at: datetime


@dataclass(slots=True)
class Requests:
    """The latest ones by request id, while this process runs; the services' audit keeps them for good."""

    _by_id: OrderedDict[str, Made] = field(default_factory=OrderedDict)

    def add(self, one: Made) -> str:
        name = str(one.asked.command.request_id)
        self._by_id[name] = one
        while len(self._by_id) > REMEMBERED:
            self._by_id.popitem(last=False)
        return name

    def get(self, name: str) -> Made | None:
        return self._by_id.get(name)


Make = Callable[[v.Views, Mapping[str, str], str, "Actor"], Awaitable[Asked]]


async def _hold(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    return decisions.verdict(form["subject"], word="hold", reason=reason, actor=actor)


async def _pass(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    return decisions.verdict(form["subject"], word="pass", reason=reason, actor=actor)


async def _cancel(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    return await decisions.cancelling(views, form["subject"], reason=reason, actor=actor)


async def _revive(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    return await decisions.reviving(views, form["subject"], reason=reason, actor=actor)


async def _replay(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    service, number = _item(form["subject"])
    return await decisions.deciding(views, service, number, decision="replay", reason=reason, actor=actor)


async def _discard(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    service, number = _item(form["subject"])
    return await decisions.deciding(views, service, number, decision="discard", reason=reason, actor=actor)


async def _restore(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    days = form.get("days", "7")
    if not days.isdecimal() or not 1 <= int(days) <= 365:
        raise reject(
            code="COMMAND_VALUE",
            message="the number of days is not from 1 to 365",
            where="days",
            rule="a restored object stays readable for whole days, a year at most",
            fix="give a number of days, such as 7",
        )
    return decisions.restoring(form["subject"], days=int(days), reason=reason, actor=actor)


async def _keep(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    return decisions.keeping(form["subject"], reason=reason, actor=actor)


async def _release(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    return decisions.releasing(form["subject"], reason=reason, actor=actor)


async def _freeze(views: v.Views, form: Mapping[str, str], reason: str, actor: Actor) -> Asked:
    from contracts.events import CohortFreezeRequested, Selection

    tag = form.get("tag", "").strip()
    selection = Selection(how="tag", tag=tag) if tag else Selection(how="all")
    asked = commands_out.command(
        CohortFreezeRequested, actor=actor, cohort=form["subject"], selection=selection, reason=reason
    )
    return Asked(command=asked, services=("jointcall",))


VERBS: Mapping[str, Make] = {
    "hold": _hold,
    "pass": _pass,
    "cancel": _cancel,
    "revive": _revive,
    "replay": _replay,
    "discard": _discard,
    "restore": _restore,
    "keep": _keep,
    "release": _release,
    "freeze": _freeze,
}


async def act(request: Request) -> Response:
    """POST /act/{verb}: publish the command and go on to what became of it. Raises Rejected, Unreachable."""
    from starlette.exceptions import HTTPException
    from starlette.responses import RedirectResponse

    from console.page.site import site_of

    site = site_of(request)
    viewer = site.viewer(request)
    make = VERBS.get(request.path_params["verb"])
    if make is None:
        raise HTTPException(404)
    form = await form_of(request)
    if viewer.name is None:
        raise HTTPException(403, "Sign in first: nothing was asked for.")
    if not site.sessions.is_own_form(viewer, form.get("form_token", "")):
        raise HTTPException(403, "The form is from another visit: open the page again. Nothing was asked for.")
    reason = " ".join(form.get("reason", "").split())
    if not reason:
        raise reject(
            code="REASON_MISSING",
            message="there is no reason",
            where="reason",
            rule="whoever reads the audit later wants to know why",
            fix="say in a few words why",
        )
    async with site.ledgers.reading() as views:
        asked = await make(views, {"subject": "", **form}, reason, actor_named(viewer.name))
        await commands_out.publish(site.settings, asked.command)
        await asyncio.gather(
            *(commands_out.noted(views, service, asked.command, seconds=NOTED_S) for service in asked.services)
        )
    verb = request.path_params["verb"]
    made = Made(
        asked=asked, verb=verb, by=viewer.name, reason=reason, back=back_of(form.get("back", "")), at=datetime.now(UTC)
    )
    return RedirectResponse(f"/asked/{site.requests.add(made)}", status_code=303)


async def asked_page(request: Request) -> Response:
    """What became of something asked for: published, noted by whom, where its subject stands."""
    from starlette.exceptions import HTTPException

    from console.page import questions as q
    from console.page.site import names, render, site_of

    site = site_of(request)
    one = site.requests.get(request.path_params["request"])
    if one is None:
        raise HTTPException(404, "This process does not remember that request; the audit does.")
    command = one.asked.command
    async with site.ledgers.reading() as views:
        rows = await views.everywhere(v.NOTED, command.request_id)
        notes = {service: row for service, of in rows.items() for row in of}
        said = await views.everywhere(q.OF_SUBJECTS, [command.subject])
        known = await names(site, site.viewer(request), views, [command.subject])
    silent = [service for service in one.asked.services if service not in notes]
    return render(
        request,
        "asked.html",
        title=f"Asked: {one.verb}",
        live=bool(silent),
        one=one,
        command=command,
        noted=notes,
        silent=silent,
        said=[{"service": service, **row} for service, of in said.items() for row in of],
        names=known,
    )


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, texts only."""
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def actor_named(name: str) -> Actor:
    from contracts.values import Actor, ActorKind

    return Actor(kind=ActorKind.person, name=name)


def back_of(path: str) -> str:
    """A path of this page, whatever a form says."""
    return path if re.fullmatch(r"/(?![/\\])[\x21-\x7e]{0,300}", path) and "\\" not in path else "/"


def _item(subject: str) -> tuple[str, int]:
    from console.supervisor import SERVICES

    service, _, number = subject.partition("/")
    if service not in SERVICES or not number.isdecimal() or len(number) > 18:
        raise decisions.unknown_item(subject[:80])
    return service, int(number)
