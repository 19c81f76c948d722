"""Every service's accounts in Postgres, both ways: its work can be done with them, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from chassis.errors import Rejection
from chassis.ledger import fanout, outbox, queue
from chassis.ledger.ledger import Connection, Ledger, open_ledger
from chassis.ledger.migrate import migrate
from chassis.ledger.tasks import Ending, Lease, NewTask, TaskState
from chassis.messaging.common import with_common
from chassis.messaging.receive import Receipt, receive
from chassis.outcomes import Failed
from chassis.service import Service, build
from chassis.settings import load
from chassis.worker import settle
from chassis.worker.sweeper import sweep_leases
from console.views import Views
from contracts.events import SampleWithdrawn
from contracts.parties import CONSOLE, SERVICES
from deploy.access.model import LEDGER_ACCOUNTS, Account, account_of, worker_of
from deploy.access.postgres import TASK_IDENTITY
from tests.containers.servers import Servers
from tests.support import messages
from tests.support.site import sample_key

TTL = timedelta(seconds=60)
REJECTION = Rejection(code="TEST", message="a test", where="here", rule="none", fix="none")
DENIED = asyncpg.InsufficientPrivilegeError
EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES)
EVERY_ACCOUNT = pytest.mark.parametrize("account", LEDGER_ACCOUNTS, ids=lambda account: account.name)
TABLES = "select tablename from pg_tables where schemaname = $1"
VIEWS = "select viewname from pg_views where schemaname = $1"
COLUMNS = "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped"


@asynccontextmanager
async def ledger_as(servers: Servers, account: Account, service: str = "") -> AsyncIterator[Ledger]:
    dsn = servers.settings(account).ledger.url()
    async with open_ledger(dsn=dsn, service=service or account.party, pool_size=2) as ledger:
        yield ledger


@asynccontextmanager
async def connection_as(servers: Servers, account: Account, service: str = "") -> AsyncIterator[Connection]:
    async with ledger_as(servers, account, service) as ledger, ledger.connection() as conn:
        yield conn


async def claimed(work: Ledger, consume: Ledger) -> Lease:
    """A task of its own pool, so that no other test's is taken."""
    name = uuid.uuid4().hex
    kind = built(work.service).kinds[0].name
    async with consume.transaction() as tx:
        await queue.enqueue(tx, [NewTask(key=f"access:{name}", kind=kind, subject=name, pool=name)])
    async with work.connection() as conn:
        [lease] = await queue.claim(conn, pools=[name], memory_classes=["small"], owner="test", host="here", ttl=TTL)
    return lease


def built(service: str) -> Service:
    return build(f"services.{service}.main:build", load(None, environ={}))


# --- what each can do


@EVERY_SERVICE
async def test_a_consumer_starts_and_settles_events(servers: Servers, service: str) -> None:
    whole = with_common(built(service))
    dsn = servers.settings(account_of(service)).ledger.url()
    await migrate(dsn=dsn, service=service, versions=whole.migrations)
    async with ledger_as(servers, account_of(service)) as ledger:
        cancel = messages.delivery_of(messages.cancel("nobody"))
        assert await receive(ledger, whole.subscriptions, cancel) is Receipt.handled
        assert await receive(ledger, whole.subscriptions, cancel) is Receipt.duplicate
        async with ledger.transaction() as tx:
            await outbox.add(tx, SampleWithdrawn(sample=f"smp_{'0' * 24}", service=service))
        async with ledger.connection() as conn:
            rows = await outbox.unsent(conn, limit=100)
            await outbox.mark_sent(conn, [row.id for row in rows])
            assert rows and not await outbox.unsent(conn, limit=100)
        assert await sweep_leases(ledger, whole) == []


@EVERY_SERVICE
async def test_a_worker_claims_renews_checkpoints_and_finishes(servers: Servers, service: str) -> None:
    async with (
        ledger_as(servers, account_of(service)) as consume,
        ledger_as(servers, worker_of(service)) as work,
    ):
        lease = await claimed(work, consume)
        async with work.connection() as conn:
            assert await queue.renew(conn, lease, ttl=TTL)
            assert await queue.checkpoint(conn, lease, chunk="one", value={"done": True})
        async with work.transaction() as tx:
            assert await queue.finish(tx, lease, result={"told": True})
            await outbox.add(tx, SampleWithdrawn(sample=f"smp_{'1' * 24}", service=service))
            name = lease.subject
            await queue.enqueue(tx, [NewTask(key=f"next:{name}", kind="next", subject=name, pool=name)])
            await fanout.expect(tx, name, 1)
            await fanout.arrive(tx, name, 0, {"first": True})
            assert await fanout.complete(tx, name) == [{"first": True}]
        async with consume.connection() as conn:
            row = await conn.fetchrow("select state, result from task where key = $1", lease.key)
        assert row is not None and (row["state"], row["result"]) == ("done", {"told": True})


@EVERY_SERVICE
async def test_a_worker_gives_back_fails_and_sweeps(servers: Servers, service: str) -> None:
    async with (
        ledger_as(servers, account_of(service)) as consume,
        ledger_as(servers, worker_of(service)) as work,
    ):
        for end in ("retry", "crash", "release", "fail"):
            lease = await claimed(work, consume)
            async with work.transaction() as tx:
                match end:
                    case "retry":
                        given = await queue.retry(tx, lease, reason="a test", after=timedelta(0))
                    case "crash":
                        given = await queue.crash(tx, lease, reason="a test", more_memory=True)
                    case "release":
                        given = await queue.release(tx, lease)
                    case _:
                        assert await queue.fail(tx, lease, REJECTION)
                        continue
            assert given.state is TaskState.ready, end
        lease = await claimed(work, consume)
        async with work.connection() as conn:
            assert await queue.renew(conn, lease, ttl=timedelta(seconds=-1))
        assert lease.key in await sweep_leases(work, built(service))


async def test_an_end_may_write_the_services_own_tables(servers: Servers) -> None:
    """What `committed` writes is true exactly when the task's end is."""
    run = """
    insert into run (run, root, folder, state, attempt, since, created_at) values ($1, 'r', $1, 'checking', 1, $2, $2)
    """
    sample = """
    insert into run_sample (run, sample, attempt, task, state, since) values ($1, $4, 0, $2, 'checking', $3)
    """
    async with ledger_as(servers, account_of("ingest")) as consume, ledger_as(servers, worker_of("ingest")) as work:
        lease = await claimed(work, consume)
        async with consume.connection() as conn:
            await conn.execute(run, lease.subject, datetime.now(UTC))
            await conn.execute(sample, lease.subject, lease.key, datetime.now(UTC), sample_key())
        failed = Failed(rejection=REJECTION)
        assert await settle.settle(work, built("ingest"), lease, failed) is Ending.failed
        async with consume.connection() as conn:
            assert await conn.fetchval("select state from run_sample where task = $1", lease.key) == "failed"


async def test_the_console_reads_every_view(servers: Servers) -> None:
    views = Views(servers.settings(account_of(CONSOLE)).ledger.url())
    try:
        async with connection_as(servers, account_of(CONSOLE)) as conn:
            for service in SERVICES:
                names = [row["viewname"] for row in await conn.fetch(VIEWS, service)]
                assert len(names) >= 9, "the chassis alone has so many"
                for name in names:
                    await views.rows(service, f"select * from {name} limit 1")
        assert views.notes == []
    finally:
        await views.close()


# --- what none can do


@EVERY_ACCOUNT
async def test_nobody_sees_anothers_ledger(servers: Servers, account: Account) -> None:
    admin = await asyncpg.connect(servers.admin.ledger.url())
    async with connection_as(servers, account) as conn:
        for service in SERVICES:
            if service == account.party:
                continue
            for row in await admin.fetch(TABLES, service):
                with pytest.raises(DENIED):
                    await conn.fetch(f'select * from {service}."{row["tablename"]}" limit 1')
    await admin.close()


@EVERY_ACCOUNT
async def test_nobody_changes_a_schema(servers: Servers, account: Account) -> None:
    service = account.party if account.party in SERVICES else "ingest"
    async with connection_as(servers, account, service) as conn:
        await conn.execute("set default_transaction_read_only to off")
        for statement in (
            "create table intruder (one integer)",
            "create table public.intruder (one integer)",
            "create temporary table intruder (one integer)",
            "create schema intruder",
            "alter table task add column intruder integer",
            "drop table task",
            "truncate task",
            "create or replace function ledger_now() returns timestamptz language sql as 'select now()'",
            "create role intruder",
            "set role cohortstream_admin",
            "copy (select 1) to program 'true'",
        ):
            with pytest.raises(DENIED):
                await conn.execute(statement)


@EVERY_SERVICE
async def test_a_worker_touches_no_events_and_changes_no_task(servers: Servers, service: str) -> None:
    async with ledger_as(servers, account_of(service)) as consume, ledger_as(servers, worker_of(service)) as work:
        lease = await claimed(work, consume)
    async with connection_as(servers, worker_of(service)) as conn:
        columns = {row["attname"] for row in await conn.fetch(COLUMNS, "task")}
        assert columns > TASK_IDENTITY
        for column in sorted(TASK_IDENTITY):
            with pytest.raises(DENIED):
                await conn.execute(f"update task set {column} = {column} where key = $1", lease.key)
        for table in ("inbox", "quarantine", "audit", "decision", "watched", "outbox"):
            with pytest.raises(DENIED):
                await conn.fetch(f"select * from {table}")
        for statement in (
            "delete from task",
            "delete from outbox",
            "update outbox set topic = 'other'",
            "delete from attempt",
            "update incarnation set number = number + 1",
            "insert into withdrawn (subject, since) values ('someone', now())",
            "delete from withdrawn",
            "insert into decision (item, replay, actor, reason) values (1, true, 'me', 'none')",
            "update rewound set caught_up = true",
            "delete from fan_arrival",
            "select * from version_ledger",
        ):
            with pytest.raises(DENIED):
                await conn.execute(statement)


@EVERY_SERVICE
async def test_a_consumer_rewrites_no_history(servers: Servers, service: str) -> None:
    async with connection_as(servers, account_of(service)) as conn:
        for statement in (
            "delete from audit",
            "update audit set actor = 'nobody'",
            "update incarnation set number = number + 1",
            "update attempt set ending = 'done'",
            "delete from version_ledger",
        ):
            with pytest.raises(DENIED):
                await conn.execute(statement)


@EVERY_SERVICE
async def test_the_console_reads_no_table_and_writes_nothing(servers: Servers, service: str) -> None:
    async with connection_as(servers, account_of(CONSOLE), service) as conn:
        await conn.execute("set default_transaction_read_only to off")
        for row in await conn.fetch(TABLES, service):
            with pytest.raises(DENIED):
                await conn.fetch(f'select * from "{row["tablename"]}" limit 1')
        for statement in ("update status_task set state = 'done'", "delete from status_audit"):
            with pytest.raises(DENIED):
                await conn.execute(statement)


async def test_a_wrong_password_is_refused(servers: Servers) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(servers.admin.ledger.url(), user=account_of("align").name, password="anything")


# --- applied again


async def test_what_is_no_longer_granted_goes(servers: Servers) -> None:
    admin = await asyncpg.connect(servers.admin.ledger.url())
    await admin.execute("create role cohortstream_former login")
    try:
        await admin.execute("grant connect on database cohortstream to cohortstream_former")
        await admin.execute("grant usage on schema align to cohortstream_former, cohortstream_vqsr_work")
        await admin.execute("grant select on align.inbox to cohortstream_former, cohortstream_vqsr_work, public")
        await admin.execute("grant delete on vqsr.task to cohortstream_vqsr_work")
        await admin.execute("grant cohortstream_align to cohortstream_vqsr_work")
        await admin.execute("alter role cohortstream_vqsr_work createrole")
        applied = await servers.apply_postgres()
        assert applied.strangers == ("cohortstream_former",)
        asked = "select has_schema_privilege($1, 'align', 'usage') or has_table_privilege($1, 'align.inbox', 'select')"
        for name in ("cohortstream_former", "cohortstream_vqsr_work"):
            assert not await admin.fetchval(asked, name), name
        connect = "select has_database_privilege('cohortstream_former', 'cohortstream', 'connect')"
        assert not await admin.fetchval(connect)
        assert not await admin.fetchval("select has_table_privilege('cohortstream_vqsr_work', 'vqsr.task', 'delete')")
        assert not await admin.fetchval("select rolcreaterole from pg_roles where rolname = 'cohortstream_vqsr_work'")
    finally:
        await admin.execute("drop owned by cohortstream_former")
        await admin.execute("drop role cohortstream_former")
        await admin.close()
