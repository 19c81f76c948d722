"""A panel's work without its tools: the plan, its intervals' leases, their ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Lease
from contracts.values import ArtifactKind
from services.annotate import commits
from tests.support import events

INTERVALS = 3


def entry(index: int) -> dict[str, Any]:
    return {
        "index": index,
        "interval": events.interval(index).model_dump(mode="json"),
        "vcf": events.artifact(ArtifactKind.vcf, f"{index}.vcf.gz").model_dump(mode="json"),
        "vcf_index": events.artifact(ArtifactKind.vcf_index, f"{index}.vcf.gz.tbi").model_dump(mode="json"),
        "variants": 5,
        "passed": 4,
    }


async def claim(ledger: Ledger, *, limit: int = 1) -> list[Lease]:
    async with ledger.connection() as conn:
        return await queue.claim(
            conn,
            pools=("default",),
            memory_classes=("small",),
            owner="w",
            host="h",
            ttl=timedelta(minutes=1),
            limit=limit,
        )


async def end(ledger: Ledger, lease: Lease, result: dict[str, Any], committed: Callable[..., Awaitable[None]]) -> None:
    async with ledger.transaction() as tx:
        assert await queue.finish(tx, lease, result=result)
        await committed(tx, lease, result)


async def planned(ledger: Ledger) -> Sequence[Lease]:
    """The leases of all intervals, in order of their index."""
    (plan,) = await claim(ledger)
    await end(ledger, plan, {"entries": [entry(index) for index in range(INTERVALS)]}, commits.planned)
    leases = await claim(ledger, limit=INTERVALS)
    return sorted(leases, key=lambda lease: lease.key)


async def stands(ledger: Ledger, freeze: str) -> str:
    async with ledger.connection() as conn:
        return str(await conn.fetchval("select state from status_subject where subject = $1", freeze))
