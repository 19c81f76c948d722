"""The loop that looks at the run roots. All it knows is in the ledger, so that it may stop and start at any point."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from asyncpg import Record

from chassis.errors import Rejected
from chassis.ledger.ledger import Ledger
from chassis.ledger.trouble import TROUBLE
from chassis.service import Running
from chassis.settings import IngestSettings
from chassis.storage import keys
from chassis.storage.store import Store, StoreUnavailable, tags_of
from chassis.telemetry.setup import tracer
from contracts.values import ArtifactKind
from services.ingest import statements as sql
from services.ingest.identity import Identity, read_identity
from services.ingest.observation import Observation, Rules, RunState, Seen
from services.ingest.observe import glance, observe, run_folders
from services.ingest.profiles import profile_named
from services.ingest.runs import Place, record

log = logging.getLogger(__name__)

GONE = "its folder, which is gone"
Clock = Callable[[], Awaitable[datetime]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a scan needs. `clock` gives the time by which files settle: the ledger's, another one in tests."""

    ledger: Ledger
    store: Store
    roots: tuple[Path, ...]
    rules: Rules
    identity: Identity
    clock: Clock


def rules_of(settings: IngestSettings) -> Rules:
    """Raises Rejected CONFIG_VALUE for an unknown profile."""
    return Rules(
        profile=profile_named(settings.profile),
        settle=timedelta(seconds=settings.settle_seconds),
        qc_flag=settings.qc_flag,
    )


async def watching(running: Running) -> None:
    """Scan for ever. Raises Rejected when the site's secret or the profile is not there: nothing works then."""
    settings = running.settings.ingest
    if not settings.roots:
        log.warning("no run roots are configured (ingest.roots): nothing to watch")
        return
    watch = Watch(
        ledger=running.ledger,
        store=running.store,
        roots=settings.roots,
        rules=rules_of(settings),
        identity=read_identity(running.settings.site),
        clock=running.ledger.now,
    )
    while True:
        try:
            await scan(watch)
        except (*TROUBLE, StoreUnavailable) as error:
            log.warning("a scan of the run roots was cut short", extra={"because": type(error).__name__})
        await asyncio.sleep(settings.scan_seconds)


async def scan(watch: Watch) -> None:
    """Look at every run folder once. No transaction is open while files are read."""
    for root in watch.roots:
        base = str(root)
        folders = await asyncio.to_thread(run_folders, root)
        async with watch.ledger.connection() as conn:
            runs = {row["folder"]: row for row in await conn.fetch(sql.RUNS_OF_ROOT, base)}
            copies = {row["folder"]: row for row in await conn.fetch(sql.COPIES_OF_ROOT, base)}
            for gone in runs.keys() - set(folders):
                if not RunState(runs[gone]["state"]).final:
                    await conn.execute(sql.GONE, base, gone, GONE)
        for folder in folders:
            place = Place(root=base, folder=folder)
            try:
                await _look(watch, place, run=runs.get(folder), copy=copies.get(folder))
            except OSError as error:
                if error.filename is None:  # not a file's: the ledger or the store is out of reach
                    raise
                # one unreadable folder must not hide the others
                log.warning("a run folder cannot be read", extra={"root": base, "because": error.strerror})
            except Rejected as rejected:
                log.error("a run's sheet cannot be stored", extra={"root": base, "code": rejected.rejection.code})


async def _look(watch: Watch, place: Place, *, run: Record | None, copy: Record | None) -> None:
    folder = Path(place.root) / place.folder
    mark = await asyncio.to_thread(glance, folder, rules=watch.rules)
    if run is not None and _needs_no_look(run, mark):
        return
    if copy is not None and copy["verdict"] != "waiting" and copy["glance"] == mark:
        return
    async with watch.ledger.connection() as conn:
        seen = await conn.fetchval(sql.SEEN if copy is None else sql.SEEN_COPY, place.root, place.folder)
    previous = {path: Seen.from_json(stored) for path, stored in (seen or {}).items()}
    now = await watch.clock()
    observed = await asyncio.to_thread(observe, folder, previous, root=Path(place.root), rules=watch.rules, now=now)
    if observed is None:
        return
    former_gone = await _former_gone(watch, observed.run, place)
    if observed.offer is not None and (run is None or run["acted"] != observed.papers):
        await _keep_sheet(watch.store, observed)
    # a run that waits is looked at over and over: only a look that decides something is worth a span
    decides = observed.offer is not None or observed.rejection is not None
    with _span(observed.run) if decides else nullcontext():
        async with watch.ledger.transaction() as tx:
            await record(tx, observed, place, mark=mark, identity=watch.identity, former_gone=former_gone)


def _span(run: str) -> AbstractContextManager[object]:
    return tracer().start_as_current_span(
        "ingest run folder",
        attributes={"cohortstream.subject": run},
        record_exception=False,
        set_status_on_exception=False,
    )


def _needs_no_look(run: Record, mark: str) -> bool:
    state = RunState(run["state"])
    if state is RunState.checking:
        return True
    # a refused sample's files may be mended without a change of papers or markers
    return state.final and run["glance"] == mark and not run["failures"]


async def _former_gone(watch: Watch, run: str, place: Place) -> bool:
    async with watch.ledger.connection() as conn:
        known = await conn.fetchrow(sql.PLACE, run)
    if known is None or (known["root"], known["folder"]) == (place.root, place.folder):
        return False
    return not await asyncio.to_thread((Path(known["root"]) / known["folder"]).exists)


async def _keep_sheet(store: Store, observed: Observation) -> None:
    """Store the sheet with the run in the restricted zone, under its content's sum, unless a row in it may name a
    person: such a sheet stays where it is."""
    assert observed.offer is not None
    if any(refused.rejection.code == "PHI_SUSPECTED" for refused in observed.offer.refused):
        return
    sheet = observed.offer.sheet
    name = f"SampleSheet-{hashlib.sha256(sheet).hexdigest()[:16]}.csv"
    await store.put_bytes(
        keys.run_file(run=observed.run, name=name),
        sheet,
        tags=tags_of(kind=ArtifactKind.sheet, stage="ingest", subject=observed.run),
        if_absent=True,
    )
