"""Tasks and attempts of a subject, as its page shows them; the traces they belong to."""

from __future__ import annotations

import asyncio
from typing import Any

from console import views as v
from console.page import questions as q
from console.supervisor import SERVICES

MOST_TASKS = 60


async def tasks_of(views: v.Views, subject: str) -> list[dict[str, Any]]:
    """Its tasks in every service, the latest first, each with its attempts."""
    tasks = await views.everywhere(q.TASKS_OF_SUBJECT, subject, MOST_TASKS)

    async def attempts(service: str) -> list[v.Row]:
        keys = [task["key"] for task in tasks[service]]
        return await views.rows(service, q.ATTEMPTS_OF, keys) if keys else []

    ended = dict(zip(SERVICES, await asyncio.gather(*map(attempts, SERVICES)), strict=True))
    found = []
    for service in SERVICES:
        for task in tasks[service]:
            its = [attempt for attempt in ended[service] if attempt["task_key"] == task["key"]]
            found.append({"service": service, **task, "attempts": its})
    return sorted(found, key=lambda task: task["created_at"])


async def traces_of(views: v.Views, subject: str) -> list[dict[str, Any]]:
    """The traces that its tasks belong to, the latest first, with the services that each went through."""
    rows = await views.everywhere(q.TRACES_OF, subject)
    found: dict[str, dict[str, Any]] = {}
    for service, of_service in rows.items():
        for row in of_service:
            one = found.setdefault(
                row["trace_id"], {"trace_id": row["trace_id"], "since": row["since"], "services": []}
            )
            one["since"] = min(one["since"], row["since"])
            one["services"].append(service)
    return sorted(found.values(), key=lambda one: one["since"], reverse=True)
