"""What every page needs at hand, and how an answer is made of a template."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from console import views as v
from console.labels import KEY
from console.page import questions as q
from console.page.acting import Requests
from console.page.ledgers import Fresh, Ledgers
from console.page.rendering import Names, names_for
from console.page.sessions import COOKIE, VISIT, Attempts, Sessions, Viewer
from console.page.statics import Statics

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request
    from starlette.responses import Response

    from chassis.settings import Settings
    from console.costs import Cost

NAVIGATION = (
    ("/", "Overview"),
    ("/runs", "Runs"),
    ("/samples", "Samples"),
    ("/cohorts", "Cohorts"),
    ("/pools", "Pools"),
    ("/quarantine", "Quarantine"),
    ("/storage", "Storage"),
    ("/audit", "Audit"),
)


@dataclass(slots=True, kw_only=True)
class Site:
    """One running page. Its state is what was asked through it lately and who is signed in: both end with it."""

    settings: Settings
    ledgers: Ledgers
    sessions: Sessions
    templates: Environment
    statics: Statics
    fresh: Fresh = field(default_factory=Fresh)
    attempts: Attempts = field(default_factory=Attempts)
    requests: Requests = field(default_factory=Requests)

    @property
    def refresh(self) -> float:
        return self.settings.page.refresh_seconds

    def viewer(self, request: Request) -> Viewer:
        return self.sessions.viewer(request.cookies.get(COOKIE), request.cookies.get(VISIT))


def site_of(request: Request) -> Site:
    site = request.app.state.site
    assert isinstance(site, Site)
    return site


async def cost(site: Site, views: v.Views, subject: str) -> Cost | None:
    """What a subject has cost so far; it is summed over much, and so found out once for a while."""
    from console.costs import cost_of, prices_of

    async def find() -> Cost | None:
        return await cost_of(views, subject, prices_of(site.settings))

    return await site.fresh.get(f"cost:{subject}", find, seconds=site.refresh * 5)


async def names(site: Site, viewer: Viewer, views: v.Views, subjects: Iterable[str]) -> Names:
    """Names of these subjects for this viewer. Labels are asked for only where they may be seen."""
    keys = sorted({subject for subject in subjects if KEY.fullmatch(subject)})
    if not viewer.signed_in or not keys:
        return names_for(viewer, ())
    return names_for(viewer, await views.rows("ingest", q.LABELS_OF, keys))


def render(
    request: Request, template: str, *, title: str, status: int = 200, live: bool = True, **given: Any
) -> Response:
    """A whole page, or only its live region where htmx asks for that. `live`: the region renews itself."""
    from starlette.responses import HTMLResponse

    site = site_of(request)
    viewer = site.viewer(request)
    query = f"?{request.url.query}" if request.url.query else ""
    given.setdefault("names", names_for(viewer, ()))
    body = site.templates.get_template(template).render(
        {
            **given,
            "layout": "region.html" if request.headers.get("hx-request") == "true" else "page.html",
            "title": title,
            "live": live,
            "here": f"{request.url.path}{query}",
            "path": request.url.path,
            "now": datetime.now(UTC),
            "viewer": viewer,
            "may_sign_in": site.sessions.open_to_sign_in,
            "form_token": site.sessions.form_token(viewer),
            "navigation": NAVIGATION,
            "refresh": site.refresh,
            "static": site.statics.address,
            "style_ids": site.statics.style_ids,
            "notes": given.get("notes", ()),
            "cost": given.get("cost"),
        }
    )
    return HTMLResponse(body, status_code=status, headers={"vary": "HX-Request, Cookie"})
