"""Finding and taking the number of a ledger's next life: one that no ledger, object or restore ever had."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chassis.errors import Rejected
from chassis.ledger import dump
from chassis.storage import keys
from chassis.storage.store import Store, tags_of

if TYPE_CHECKING:
    import asyncpg


_RELEASED = re.compile(rf"{keys.RELEASED}/[^/]+/\d+/(\d+)-\d+/")
"""A release lies under its attempt too (decisions/0011)."""


async def next_incarnation(
    conn: asyncpg.Connection[Any], store: Store, *, services: Sequence[str], kept: Sequence[int]
) -> int:
    """Beyond those of the backup (`kept`), of the ledgers in the database and of every attempt in the store; then taken
    by an object that the store writes once, so that two restores of one backup never have the same."""
    most = max(kept, default=1)
    for service in services:
        for schema in await dump.schemas_of(conn, service):
            number = await conn.fetchval(f"select number from {schema}.incarnation")  # noqa: S608  the catalog's name
            most = max(most, number)
        async for facts in store.list(f"{keys.WORKING}/{service}"):
            writer = keys.attempt_of(facts.key)
            if writer is not None:
                most = max(most, writer.incarnation)
    async for facts in store.list(keys.RELEASED):
        released = _RELEASED.match(facts.key)
        if released is not None:
            most = max(most, int(released[1]))
    while True:
        most += 1
        if await _taken(store, most):
            return most


async def _taken(store: Store, number: int) -> bool:
    document = {"incarnation": number, "taken_at": datetime.now(UTC).isoformat(), "by": secrets.token_hex(8)}
    try:
        await store.put_bytes(
            keys.incarnation(number=number),
            json.dumps(document).encode(),
            tags=tags_of(kind="incarnation", stage="console", subject="site", retain="hold"),
            if_absent=True,
        )
    except Rejected as rejected:
        if rejected.rejection.code != "IDEMPOTENCY_CONFLICT":
            raise
        return False
    return True
