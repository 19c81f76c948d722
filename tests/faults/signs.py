"""By what a test sees that the moment to strike, or to look, has come."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from chassis.ledger.ledger import Ledger
from tests.support.site import Process, Site, state_of, task_row
from tests.support.working import alive, journal_of

LAPSE = "update task set lease_until = ledger_now() - interval '1 second' where state = 'leased'"
HURRY = "update task set ready_at = ledger_now() where key = $1 and state = 'ready' and ready_at > ledger_now()"


async def written(path: Path) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").endswith("\n")


def pids_in(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text(encoding="utf-8").split()]


async def none_of(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


async def started(journal: Path, chunk: str, *, times: int = 1) -> bool:
    return sum(1 for word, name, _ in journal_of(journal) if (word, name) == ("start", chunk)) >= times


async def done(ledger: Ledger, *keys: str) -> bool:
    return {await state_of(ledger, key) for key in keys} == {"done"}


async def in_state(ledger: Ledger, key: str, state: str) -> bool:
    return await state_of(ledger, key) == state


async def at_epoch(ledger: Ledger, key: str, epoch: int) -> bool:
    return bool((await task_row(ledger, key))["epoch"] == epoch)


async def renewed_beyond(ledger: Ledger, key: str, ttl: timedelta) -> bool:
    """Was the lease renewed when one that nobody renewed would have ended?"""
    row = await task_row(ledger, key)
    return bool(row["state"] == "leased" and row["lease_until"] - row["started_at"] > 2 * ttl)


async def said(process: Process, words: str) -> bool:
    return words in process.log.read_text(encoding="utf-8")


async def struck(site: Site) -> bool:
    return any(site.folder.glob("faults-*/struck-*"))


async def lapse(ledger: Ledger) -> None:
    """Every lease ends now: whoever held it is dead already, and nobody wants to wait."""
    async with ledger.connection() as conn:
        await conn.execute(LAPSE)


async def done_soon(ledger: Ledger, key: str, state: str = "done") -> bool:
    """As `in_state`, and no back-off is waited for."""
    async with ledger.connection() as conn:
        await conn.execute(HURRY, key)
    return await state_of(ledger, key) == state
