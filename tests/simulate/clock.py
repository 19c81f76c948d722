"""The ledger's clock, moved by the simulation: `ledger_now()` is replaced, nothing else of the ledger is.

The moment stands in a sequence: setting it leaves no dead row behind, belongs to no session and is never rolled back.
"""

from __future__ import annotations

from chassis.ledger.ledger import Connection

REPLACED = (
    "create sequence virtual_moment minvalue 0 start 0",
    """
    create or replace function ledger_now() returns timestamptz language sql volatile as
    $$select timestamptz '2030-01-01T00:00:00Z' + last_value * interval '1 microsecond' from virtual_moment$$
    """,
)
SET = "select setval('virtual_moment', $1)"


class VirtualClock:
    """Seconds since the fleet's start. The ledger is told only when a statement is about to read its clock."""

    def __init__(self, *, conn: Connection) -> None:
        self._conn = conn
        self._told: float | None = None
        self.now = 0.0

    async def install(self) -> None:
        for statement in REPLACED:
            await self._conn.execute(statement)

    def move(self, to: float) -> None:
        if to < self.now:
            raise ValueError(f"the clock stands at {self.now} s and cannot go back to {to} s")
        self.now = to

    async def tell(self) -> None:
        """From here on `ledger_now()` is `now`, to the microsecond."""
        if self._told != self.now:
            await self._conn.execute(SET, round(self.now * 1_000_000))
            self._told = self.now
