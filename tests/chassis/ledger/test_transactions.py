"""Transactions on a ledger that does not always answer."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from chassis.ledger.ledger import Ledger, open_ledger, storable
from chassis.ledger.trouble import passes
from tests.support.proxy import proxy_of


async def test_cancelling_does_not_wait_for_a_silent_database(ledger: Ledger, database: str) -> None:
    async with proxy_of(database) as (proxy, dsn), open_ledger(dsn=dsn, service="tiny", pool_size=1) as far:
        async with far.transaction() as tx:
            await tx.now()
        proxy.silence()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2), far.transaction() as tx:
                        await tx.now()
                raise TimeoutError
        proxy.mend()
        async with far.transaction() as tx:
            assert await tx.now() is not None, "the pool has a fresh connection"


async def test_a_cancelled_transaction_is_rolled_back(ledger: Ledger) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), ledger.transaction() as tx:
            await tx.conn.execute("insert into seen values ('s', 1)")
            await asyncio.Event().wait()
    async with ledger.connection() as conn:
        # waits for the server to have noticed, then finds nothing
        await conn.execute("insert into seen values ('s', 2)")
        assert await conn.fetchval("select times from seen") == 2


async def test_an_ended_server_is_trouble_and_a_wrong_parameter_a_bug(ledger: Ledger) -> None:
    with pytest.raises(asyncpg.DataError) as refused:
        async with ledger.connection() as conn:
            await conn.fetch("select $1::int", "three")
    assert not passes(refused.value)
    with pytest.raises(asyncpg.PostgresError) as ended:
        async with ledger.connection() as conn:
            await conn.fetch("select pg_terminate_backend(pg_backend_pid())")
    assert passes(ended.value)
    assert passes(ConnectionRefusedError()) and passes(TimeoutError())
    assert not passes(FileNotFoundError()) and not passes(KeyError())


async def test_a_connection_whose_end_the_driver_has_not_noticed_is_trouble_and_replaced(
    ledger: Ledger, database: str
) -> None:
    """asyncpg says so, by an error of its own, when it is asked just as the server's goodbye has come in."""
    async with open_ledger(dsn=database, service="tiny", pool_size=1) as one:
        with pytest.raises(asyncpg.PostgresConnectionError) as ended:
            async with one.connection() as conn:
                before = await conn.fetchval("select pg_backend_pid()")
                raise asyncpg.InternalClientError("another operation is in progress")
        assert passes(ended.value)
        async with one.connection() as conn:
            assert await conn.fetchval("select pg_backend_pid()") != before


def test_what_postgres_cannot_keep_is_replaced() -> None:
    assert storable("a\x00b\ud800c é") == "a\ufffdb?c é"
