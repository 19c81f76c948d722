"""Pools: what waits and for how long, what runs, what was done lately, what was lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from console import views as v
from console.page import questions as q
from console.page.charts import BUCKET_S, BUCKETS, Chart, throughput
from console.page.site import render, site_of
from console.snapshot import Outbox
from console.standing import Pool, pools
from console.supervisor import SERVICES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SPARK = 24
"""Pieces of five minutes in a sparkline: two hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One pool with its last hour. `spark` holds heights from 0 to 100, the oldest first."""

    pool: Pool
    hour: int
    quarter: int
    mean_seconds: float | None
    endings: Mapping[str, int]
    spark: tuple[int, ...]
    spark_most: int

    @property
    def done_in_s(self) -> float | None:
        """When the backlog ends at the last quarter of an hour's pace; None where nothing was done in it."""
        return self.pool.queued / self.quarter * 900 if self.quarter and self.pool.queued else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    lines: tuple[Line, ...]
    outboxes: tuple[Outbox, ...]
    chart: Chart | None
    notes: tuple[str, ...]


async def find_pools(views: v.Views) -> Found:
    now = datetime.now(UTC)
    backlog, outboxes = await asyncio.gather(views.everywhere(v.BACKLOG), views.everywhere(v.OUTBOX))
    kinds = {service: sorted({row["kind"] for row in rows}) for service, rows in backlog.items()}

    async def lately(service: str) -> tuple[list[v.Row], list[v.Row], list[v.Row]]:
        done, ended, finished = await asyncio.gather(
            views.rows(service, q.THROUGHPUT, kinds[service]),
            views.rows(service, q.ENDINGS),
            views.rows(service, q.FINISHED, kinds[service], float(BUCKET_S), float(BUCKETS)),
        )
        return done, ended, finished

    recent = dict(zip(SERVICES, await asyncio.gather(*map(lately, SERVICES)), strict=True))
    series: dict[tuple[str, str], dict[int, int]] = {}
    for service, (_, _, finished) in recent.items():
        for row in finished:
            series.setdefault((service, row["pool"]), {})[row["bucket"]] = row["tasks"]
    return Found(
        lines=tuple(_line(pool, recent[pool.service], series, now) for pool in pools(backlog)),
        outboxes=tuple(
            Outbox(service=service, backlog=row["backlog"], oldest=row["oldest"])
            for service, rows in outboxes.items()
            for row in rows
        ),
        chart=throughput(series, now=now),
        notes=tuple(views.notes),
    )


def _line(
    pool: Pool,
    recent: tuple[list[v.Row], list[v.Row], list[v.Row]],
    series: Mapping[tuple[str, str], Mapping[int, int]],
    now: datetime,
) -> Line:
    done, ended, _ = recent
    row: Mapping[str, Any] = next((row for row in done if row["pool"] == pool.pool), {})
    hour = row.get("hour", 0)
    counts = series.get((pool.service, pool.pool), {})
    last = int(now.timestamp() // BUCKET_S)
    heights = [counts.get(bucket, 0) for bucket in range(last - SPARK + 1, last + 1)]
    most = max(heights)
    return Line(
        pool=pool,
        hour=hour,
        quarter=row.get("quarter", 0),
        mean_seconds=row["seconds"] / hour if hour and row["seconds"] is not None else None,
        endings={one["ending"]: one["attempts"] for one in ended if one["pool"] == pool.pool},
        spark=tuple(round(100 * height / most) if most else 0 for height in heights),
        spark_most=most,
    )


async def pools_page(request: Request) -> Response:
    site = site_of(request)
    async with site.ledgers.reading() as views:

        async def find() -> Found:
            return await find_pools(views)

        found = await site.fresh.get("pools", find, seconds=site.refresh / 2)
    late_s = site.settings.watch.outbox_seconds
    return render(
        request, "pools.html", title="Pools", found=found, late_s=late_s, now=datetime.now(UTC), notes=found.notes
    )
