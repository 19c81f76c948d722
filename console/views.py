"""The one read-only window on the services' ledgers: their `status_*` views, a connection per schema."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from console.reach import ledger_reached
from console.supervisor import SERVICES

if TYPE_CHECKING:
    import asyncpg

    from chassis.settings import Settings

Row = Mapping[str, Any]

SUBJECTS = "select * from status_subject order by since desc limit $1"
ARCHIVE_SUBJECTS = """
select * from status_subject where kind <> 'artifact' or waits_for is not null order by since desc limit $1
"""
"""Artifacts are many and most rest: only those that wait for something."""
SUBJECT = "select * from status_subject where subject = $1 order by since desc"
MEMBERS = "select * from status_subject where belongs_to = $1 order by since desc limit $2"
BACKLOG = "select * from status_backlog"
STUCK = "select * from status_stuck order by since limit 200"
OUTBOX = "select backlog, oldest from status_outbox"
HELD = "select count(*) as held from status_quarantine where state = 'held'"
QUARANTINE = "select * from status_quarantine where state = any($1::text[]) order by id desc limit $2"
QUARANTINED = "select * from status_quarantine where id = $1"
NOTED = "select type, subject, actor, reason, received_at from status_audit where request_id = $1"
TASKS_OF = """
select key, kind, subject, belongs_to, pool, memory_class, state, epoch, owner, crashes, retries, preemptions, losses,
       waits_for, reason, error, created_at, started_at, changed_at, finished_at
from status_task where subject = $1 or belongs_to = $1 order by created_at, key limit $2
"""
FAILED_TASKS = """
select key, kind, subject, belongs_to, error, finished_at from status_task
where (subject = $1 or belongs_to = $1) and state = 'failed' order by finished_at desc limit 20
"""
RUNS = "select * from status_run order by since desc limit $1"
RUN = "select * from status_run where run = $1"
REJECTIONS_OF_RUN = "select * from status_rejection where run = $1 order by since"
REJECTIONS_OF_SUBJECT = "select * from status_rejection where subject = $1 order by since"
FILES_OF_RUN = "select * from status_sample_file where run = $1"
LABELS = "select key, project, label, version from status_sample_label"
SAMPLES = "select * from status_sample order by since desc"
SAMPLE = "select * from status_sample where key = $1"
VERSIONS = "select * from status_version where sample = $1 order by version"
COHORTS = "select * from status_cohort order by cohort"
COHORT = "select * from status_cohort where cohort = $1"
FREEZES = "select * from status_freeze where cohort = $1 order by number"
FREEZE = 'select * from status_freeze where "freeze" = $1'
INTERVALS = 'select * from status_interval where "freeze" = $1 order by index'
PANELS = "select * from status_panel where cohort = $1 order by number desc"
PANEL = 'select * from status_panel where "freeze" = $1'
PLAN = "select * from status_plan"
INVENTORY = "select * from status_inventory"
INVENTORY_OBJECTS = "select * from status_inventory_object order by size desc nulls first"
ARTIFACT_BY_URI = "select distinct artifact from status_artifact where uri = $1"
ARTIFACT_BY_START = "select distinct artifact from status_artifact where starts_with(artifact, $1) limit 10"
STORAGE = "select * from status_storage"
TIERING = "select * from status_tiering"
WITHDRAWAL = "select * from status_withdrawal where sample = $1"
HOLDS = "select * from status_hold"

MOST = 1_000_000
"""Where a person asks for all."""


class Views:
    """Rows of views by service. A schema or view that is not there is empty, and said so once in `notes`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connections: dict[str, asyncpg.Connection[asyncpg.Record]] = {}
        self.notes: list[str] = []

    async def rows(self, service: str, query: str, *arguments: Any) -> list[Row]:
        """Raises what asyncpg raises when the database cannot be reached."""
        import asyncpg

        try:
            async with self._lent(service) as conn:
                return [dict(row) for row in await conn.fetch(query, *arguments)]
        except asyncpg.UndefinedTableError:
            view = query.partition("from ")[2].split()[0]
            self._note(f"{service} offers no {view}: its ledger is not there, or of an older version")
        except asyncpg.InsufficientPrivilegeError as error:
            self._note(f"{service}'s ledger does not let this account look: {error}")
        except asyncpg.UndefinedColumnError as error:
            self._note(f"{service}'s ledger is of another version: {error}")
        return []

    async def one(self, service: str, query: str, *arguments: Any) -> Row | None:
        rows = await self.rows(service, query, *arguments)
        return rows[0] if rows else None

    async def everywhere(self, query: str, *arguments: Any, services: Sequence[str] = SERVICES) -> dict[str, list[Row]]:
        """The same question to every service, in the order of the flow."""
        return {service: await self.rows(service, query, *arguments) for service in services}

    async def close(self) -> None:
        for conn in self._connections.values():
            conn.terminate()

    @contextlib.asynccontextmanager
    async def _lent(self, service: str) -> AsyncIterator[Any]:
        """A connection for one query. Here there is one a service: its questions come one after the other."""
        yield await self._connection(service)

    async def _connection(self, service: str) -> asyncpg.Connection[asyncpg.Record]:
        import asyncpg

        if service not in self._connections:
            conn = await asyncpg.connect(self._dsn, timeout=10, server_settings=reader_settings(service))
            self._connections[service] = conn
            await read_json(conn)
        return self._connections[service]

    def _note(self, remark: str) -> None:
        if remark not in self.notes:
            self.notes.append(remark)


def reader_settings(service: str) -> dict[str, str]:
    from chassis.ledger.ledger import schema_of

    return {
        "search_path": schema_of(service),
        "application_name": "cohortstream-console",
        "default_transaction_read_only": "on",
        "statement_timeout": "30000",
        "jit": "off",
    }


@contextlib.asynccontextmanager
async def open_views(settings: Settings) -> AsyncIterator[Views]:
    """Raises Unreachable when the ledger does not answer."""
    views = Views(settings.ledger.url())
    try:
        with ledger_reached(settings):
            yield views
    finally:
        await views.close()


async def read_json(conn: Any) -> None:
    """JSON columns arrive as values."""
    import json

    for name in ("json", "jsonb"):
        await conn.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
