"""Who asked for what, and which services have noted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from console import views as v
from console.page import questions as q
from console.page.site import names, render, site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST = 50
LATEST = 200


async def audit_of(views: v.Views, subjects: list[str]) -> list[dict[str, Any]]:
    """Commands about these subjects, the latest first."""
    return merged(await views.everywhere(q.AUDIT_OF, subjects, MOST))[:MOST]


def merged(rows: Mapping[str, Sequence[v.Row]]) -> list[dict[str, Any]]:
    """One line for each request, with the services that noted it."""
    found: dict[Any, dict[str, Any]] = {}
    for service, of_service in rows.items():
        for row in of_service:
            one = found.setdefault(row["request_id"], {**row, "services": []})
            one["services"].append(service)
            one["received_at"] = min(one["received_at"], row["received_at"])
    return sorted(found.values(), key=lambda one: one["received_at"], reverse=True)


async def audit(request: Request) -> Response:
    site = site_of(request)
    async with site.ledgers.reading() as views:
        rows = merged(await views.everywhere(q.AUDIT_LATEST, LATEST))[:LATEST]
        known = await names(site, site.viewer(request), views, [row["subject"] for row in rows])
    return render(request, "audit.html", title="Audit", rows=rows, most=LATEST, names=known, notes=views.notes)
