"""Events that services refused: why, and what a person makes of them. Payloads are not shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from console import views as v
from console.labels import KEY
from console.page import questions as q
from console.page.site import names, render, site_of
from console.supervisor import SERVICES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

STATES = ("held", "replayed", "discarded")
MOST = 200


async def quarantine(request: Request) -> Response:
    site = site_of(request)
    state = request.query_params.get("state", "held")
    state = state if state in STATES else "held"
    async with site.ledgers.reading() as views:
        rows = await views.everywhere(q.QUARANTINE_PAGE, [state], MOST)
        items = [{"service": service, **row} for service, of in rows.items() for row in of]
        items.sort(key=lambda item: item["received_at"], reverse=True)
        known = await names(
            site, site.viewer(request), views, KEY.findall(" ".join(str(i["rejection"]) for i in items))
        )
    return render(
        request,
        "quarantine.html",
        title="Quarantine",
        items=items[:MOST],
        state=state,
        states=STATES,
        most=MOST,
        names=known,
        notes=views.notes,
    )


async def item(request: Request) -> Response:
    from starlette.exceptions import HTTPException

    site = site_of(request)
    service, number = request.path_params["service"], request.path_params["number"]
    if service not in SERVICES or not re.fullmatch(r"[0-9]{1,18}", number):
        raise HTTPException(404, "Items are named SERVICE/NUMBER, such as align/3.")
    async with site.ledgers.reading() as views:
        row = await views.one(service, v.QUARANTINED, int(number))
        if row is None:
            raise HTTPException(404, "There is no such item in the quarantine.")
        known = await names(site, site.viewer(request), views, KEY.findall(str(row["rejection"])))
        audit = await views.rows(service, q.AUDIT_OF, [f"{service}/{number}"], 20)
    return render(
        request,
        "item.html",
        title=f"Quarantine {service}/{number}",
        row=row,
        service=service,
        names=known,
        audit=[{**one, "services": [service]} for one in audit],
        notes=views.notes,
    )
