"""A ledger whose clock stands still until the test moves it, and whose tables watch the lease protocol themselves."""

from __future__ import annotations

from datetime import timedelta

from chassis.ledger.ledger import Ledger

CLOCK = (
    "create table clock (moment timestamptz not null)",
    "insert into clock values ('2030-01-01T00:00:00Z')",
    "create or replace function ledger_now() returns timestamptz language sql volatile as 'select moment from clock'",
)
ADVANCE = "update clock set moment = moment + $1"

# Postgres itself refuses what the protocol forbids, whoever asks and in whatever order: a write that breaks I1 or I2
# fails there and then, in the statement that tried.
WATCH = (
    """
    create function watch_task() returns trigger language plpgsql as $$
    begin
        if new.epoch < old.epoch or new.epoch > old.epoch + 1 then
            raise exception 'I2: the epoch of % went from % to %', old.key, old.epoch, new.epoch;
        end if;
        if new.epoch > old.epoch and not (old.state = 'ready' and new.state = 'leased') then
            raise exception 'I2: % took an epoch without a claim', old.key;
        end if;
        if old.state = 'done' then
            raise exception 'I1: % was written after it was done', old.key;
        end if;
        if (new.state = 'done' or new.checkpoint is distinct from old.checkpoint) and old.state <> 'leased' then
            raise exception 'I2: % was written by nobody who holds it', old.key;
        end if;
        return new;
    end $$
    """,
    "create trigger watch before update on task for each row execute function watch_task()",
)


async def stop_clock(ledger: Ledger) -> None:
    async with ledger.connection() as conn:
        for statement in CLOCK:
            await conn.execute(statement)


async def advance(ledger: Ledger, by: timedelta) -> None:
    async with ledger.connection() as conn:
        await conn.execute(ADVANCE, by)


async def watch(ledger: Ledger) -> None:
    async with ledger.connection() as conn:
        for statement in WATCH:
            await conn.execute(statement)
