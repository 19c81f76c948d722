"""Fan-out and gather: N facts in any order, and one moment at which the last of them has arrived.

How many are expected may be learned before, between or after the arrivals. `complete` answers once, whatever the order,
however often facts come again, and however many transactions race: the fan's row is locked while it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.ledger.ledger import Tx
from chassis.telemetry.context import current_traceparent
from chassis.telemetry.gathered import link_arrivals, links_to

MEET = "insert into fan (name) values ($1) on conflict do nothing"
LOCK = "select expected, completed_at, ended from fan where name = $1 for update"
EXPECT = "update fan set expected = $2 where name = $1"
ARRIVE = """
insert into fan_arrival (name, index, value, traceparent, arrived_at) values ($1, $2, $3, $4, (select ledger_now()))
on conflict (name, index) do nothing
"""
COUNT = "select count(*) from fan_arrival where name = $1"
COMPLETE = "update fan set completed_at = (select ledger_now()) where name = $1"
END = "update fan set ended = $2 where name = $1"
BROUGHT_BY = "select traceparent from fan_arrival where name = $1 order by arrived_at desc, index"
VALUES = "select value from fan_arrival where name = $1 order by index"


async def expect(tx: Tx, name: str, expected: int) -> None:
    """Say how many facts the fan has, indexed from 0."""
    await _meet(tx, name)
    await tx.conn.execute(EXPECT, name, expected)


async def arrive(tx: Tx, name: str, index: int, value: Mapping[str, Any]) -> None:
    """Keep one fact; the same index again changes nothing."""
    await _meet(tx, name)
    await tx.conn.execute(ARRIVE, name, index, dict(value), current_traceparent())


async def complete(tx: Tx, name: str) -> list[dict[str, Any]] | None:
    """All values in index order, the one time that the last has arrived; None otherwise, and after `end`. The current
    span is then linked to what brought them."""
    row = await tx.conn.fetchrow(LOCK, name)
    if row is None or row["expected"] is None or row["completed_at"] is not None or row["ended"] is not None:
        return None
    if await tx.conn.fetchval(COUNT, name) < row["expected"]:
        return None
    await tx.conn.execute(COMPLETE, name)
    link_arrivals(links_to(row["traceparent"] for row in await tx.conn.fetch(BROUGHT_BY, name)))
    return [dict(value["value"]) for value in await tx.conn.fetch(VALUES, name)]


async def end(tx: Tx, name: str, *, reason: str) -> bool:
    """The fan will never complete. True the first time: whoever ends it tells the others."""
    row = await _meet(tx, name)
    if row["ended"] is not None or row["completed_at"] is not None:
        return False
    await tx.conn.execute(END, name, reason)
    return True


async def arrived(tx: Tx, name: str) -> int:
    count = await tx.conn.fetchval(COUNT, name)
    assert isinstance(count, int)
    return count


async def _meet(tx: Tx, name: str) -> Any:
    """The fan's row, made if need be and locked at once: a weaker lock first would deadlock."""
    await tx.conn.execute(MEET, name)
    row = await tx.conn.fetchrow(LOCK, name)
    assert row is not None
    return row
