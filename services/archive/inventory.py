"""The inventory: lists the store and finds what no event names, so that no byte is paid for that nobody knows of."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from chassis.ledger.ledger import Ledger
from chassis.service import Loop, Running
from chassis.storage import keys
from chassis.storage.store import ObjectFacts, ObjectMissing, Store, StoreUnavailable
from chassis.storage.stub import COLD, STUB_LIMIT, Stub
from contracts.values import Artifact, ArtifactKind
from services.archive import record, statements
from services.archive.policies import Rules
from services.archive.prices import STANDARD
from services.archive.standing import tiering_of
from services.archive.sweep import repeat
from services.archive.tiers.places import IDENTITY, Places

log = logging.getLogger(__name__)

BATCH = 500
UNKNOWN_KIND = "unknown"
ENROLLED = frozenset({ArtifactKind.lane_bam.value, ArtifactKind.workspace.value, ArtifactKind.log.value})
"""Kinds that are never announced; where a policy means them, the inventory is how the archive learns of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unnamed:
    """An object, or an upload never finished, that no event names. `kind` is what its tag says, where it has one."""

    uri: str
    what: str
    kind: str | None
    tier: str
    size: int | None
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One listing of the whole store against the ledger."""

    ledger: Ledger
    store: Store
    rules: Rules
    cold: Store | None = None
    """The cold place, where one is used: what no fact names is found there too."""

    async def run(self) -> int:
        """Take it; the former one is shown until this one is whole. Returns its number."""
        async with self.ledger.connection() as conn:
            number = await conn.fetchval(statements.INVENTORY_BEGINS)
        objects = size = 0
        for store in (self.store, self.cold):
            if store is None:
                continue
            look = self._unnamed if store is self.store else partial(self._unnamed_cold, store)
            async for batch in _batches(store):
                objects += len(batch)
                size += sum(facts.size for facts in batch)
                await self._write(number, await look(batch))
            await self._write(number, await _unfinished(store, STANDARD if store is self.store else COLD))
        async with self.ledger.transaction() as tx:
            await tx.conn.execute(statements.INVENTORY_ENDS, number, objects, size)
            await tx.conn.execute(statements.INVENTORY_FORGET, number)
            await tx.conn.execute(statements.INVENTORY_FORGET_RUNS, number)
        return int(number)

    async def _unnamed(self, batch: Sequence[ObjectFacts]) -> list[Unnamed]:
        uris = [facts.uri for facts in batch]
        async with self.ledger.connection() as conn:
            named = {row["uri"] for row in await conn.fetch(statements.KNOWN, uris)}
            kinds = {row["uri"]: row["kind"] for row in await conn.fetch(statements.KINDS_SEEN, uris)}
            withdrawn = [row["subject"] for row in await conn.fetch(statements.WITHDRAWN)]
            purged = {row["uri"] for row in await conn.fetch(statements.PURGED_THERE, uris)}
        found = []
        for facts in batch:
            if facts.uri in named or (facts.uri in purged and await self._left_behind(facts)):
                continue
            sample = next((sample for sample in withdrawn if sample in facts.key), None)
            if sample is not None:
                await self._of_withdrawn(facts, sample)
            # The tags cost a request each: they are read once, when an object is seen for the first time.
            kind = kinds.get(facts.uri)
            if kind is None:
                kind = await self._first_seen(facts)
                if kind is None:
                    continue
            found.append(
                Unnamed(
                    uri=facts.uri,
                    what=what(facts.key),
                    kind=kind,
                    tier=facts.storage_class,
                    size=facts.size,
                    modified=facts.modified,
                )
            )
        return found

    async def _unnamed_cold(self, cold: Store, batch: Sequence[ObjectFacts]) -> list[Unnamed]:
        """Copies that no act came to use, unless it is still at work. A withdrawn sample's are purged as its own."""
        uris = [facts.uri for facts in batch]
        writers = {facts.uri: keys.cold_copy_of(facts.key) for facts in batch}
        acts = [f"act:{writer.artifact}:{writer.count}" for writer in writers.values() if writer is not None]
        async with self.ledger.connection() as conn:
            named = {row["uri"] for row in await conn.fetch(statements.KNOWN, uris)}
            live = {row["key"] for row in await conn.fetch(statements.ACTS_LIVE, acts)}
            withdrawn = {row["subject"] for row in await conn.fetch(statements.WITHDRAWN)}
        found = []
        for facts in batch:
            writer = writers[facts.uri]
            at_work = writer is not None and f"act:{writer.artifact}:{writer.count}" in live
            if facts.uri in named or at_work or facts.key == IDENTITY:
                continue
            try:
                tags = await cold.read_tags(facts.uri)
            except ObjectMissing:
                continue
            kind, subject = tags.get("kind", UNKNOWN_KIND), tags.get("subject", "")
            if subject in withdrawn and kind in set(ArtifactKind):
                head = await cold.head(facts.uri)
                if head is not None and head.sha256 is not None:
                    await self._enrol(head, ArtifactKind(kind), subject=subject, tier=COLD)
            what = "cold copy that no fact names" if writer is not None else "not written by this system"
            found.append(
                Unnamed(uri=facts.uri, what=what, kind=kind, tier=COLD, size=facts.size, modified=facts.modified)
            )
        return found

    async def _left_behind(self, facts: ObjectFacts) -> bool:
        """A stub of what was purged, by a worker that came back from the dead: it holds nothing, and goes."""
        if facts.size > STUB_LIMIT:
            return False
        head = await self.store.head(facts.uri)
        if head is None or head.cold is None or head.readable():
            return False
        return await self.store.delete(facts.uri, version=head.version)

    async def _first_seen(self, facts: ObjectFacts) -> str | None:
        """Its kind by its tag, after recording it where a policy means such objects. None when it is gone already."""
        try:
            tags = await self.store.read_tags(facts.uri)
        except ObjectMissing:
            return None
        kind = tags.get("kind", UNKNOWN_KIND)
        if kind in ENROLLED and kind in self.rules.kinds and tags.get("retain") != "hold":
            head = await self.store.head(facts.uri)
            if head is None:
                return None
            if head.sha256 is not None:
                await self._enrol(head, ArtifactKind(kind), subject=tags.get("subject", ""))
        return kind

    async def _of_withdrawn(self, facts: ObjectFacts, sample: str) -> None:
        """What attempts left of a withdrawn sample bears its key in its own, and goes as what is named does."""
        head = await self.store.head(facts.uri)
        if head is None or head.sha256 is None:
            return
        kind = (await self.store.read_tags(facts.uri)).get("kind", UNKNOWN_KIND)
        if kind in set(ArtifactKind):
            await self._enrol(head, ArtifactKind(kind), subject=sample)

    async def _enrol(self, head: ObjectFacts, kind: ArtifactKind, *, subject: str, tier: str = STANDARD) -> None:
        assert head.sha256 is not None
        writer = keys.attempt_of(head.key)
        artifact = Artifact(kind=kind, id=head.sha256, uri=head.uri, size=head.size, version=head.version)
        async with self.ledger.transaction() as tx:
            await record.artifacts(
                tx,
                [artifact],
                stage=writer.service if writer else "unknown",
                subject=subject,
                rank=record.FOUND,
                found_at=head.modified,
                tier=tier,
            )

    async def _write(self, number: int, found: Sequence[Unnamed]) -> None:
        async with self.ledger.connection() as conn:
            await conn.executemany(
                statements.FOUND,
                [(number, one.uri, one.what, one.kind, one.tier, one.size, one.modified) for one in found],
            )


def what(key: str) -> str:
    """What an unnamed object is, by where it lies, in words."""
    writer = keys.attempt_of(key)
    if writer is not None:
        return f"left by an attempt of {writer.service}"
    zone = key.partition("/")[0]
    match zone:
        case keys.REFERENCE:
            return "reference bundle"
        case keys.WORKING if key.startswith(f"{keys.WORKING}/manifests/"):
            return "manifest that no event names"
        case keys.WORKING if keys.of_columns(key):
            return "columns that freezes of a cohort share"
        case keys.LANDING | keys.WORKING | keys.RELEASED | keys.ARCHIVE:
            return f"orphan in {zone}"
        case _:
            return "not written by this system"


async def _unfinished(store: Store, tier: str) -> list[Unnamed]:
    return [
        Unnamed(
            uri=f"{store.base}/{upload.key}",
            what="unfinished upload",
            kind=None,
            tier=tier,
            size=None,
            modified=upload.started,
        )
        async for upload in store.unfinished_uploads("")
    ]


async def mend(ledger: Ledger, store: Store, cold: Store | None) -> int:
    """Of what is held since an act had begun, a worker that came back from the dead may have deleted what has the
    name. Its copy lies apart; a stub says so to whoever reads. Returns how many were mended."""
    mended = 0
    async with ledger.connection() as conn:
        rows = await conn.fetch(statements.HELD_LATE)
    for row in rows:
        place = store if row["cold_uri"].startswith(f"{store.base}/") else cold
        if place is None or await store.head(row["uri"]) is not None:
            continue
        copy = await place.head(row["cold_uri"])
        if copy is None or copy.sha256 != row["id"]:
            continue
        stub = Stub(sha256=row["id"], size=copy.size, place=row["cold_uri"])
        tags = await place.read_tags(row["cold_uri"])
        left = await store.leave_stub(row["uri"], stub=stub, version=None, tags=tags)
        async with ledger.connection() as conn:
            await conn.execute(statements.ANOTHER_VERSION, row["id"], row["uri"], left.version, COLD, row["cold_uri"])
        log.warning("what is held was deleted by name; a stub of its copy stands there", extra={"artifact": row["id"]})
        mended += 1
    return mended


async def _batches(store: Store) -> AsyncIterator[list[ObjectFacts]]:
    batch: list[ObjectFacts] = []
    async for facts in store.list(""):
        batch.append(facts)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def inventorying(rules: Rules) -> Loop:
    """The loop that takes inventories for ever, in whichever consumer leads."""

    async def loop(running: Running) -> None:
        async def once() -> None:
            try:
                async with _cold(running) as cold:
                    await mend(running.ledger, running.store, cold)
                    await Inventory(ledger=running.ledger, store=running.store, rules=rules, cold=cold).run()
            except StoreUnavailable as away:
                log.warning("no inventory: the store is away", extra={"said": away.said})

        await repeat(running.ledger, "inventory", once, every=running.settings.archive.sweep_seconds)

    return loop


@asynccontextmanager
async def _cold(running: Running) -> AsyncIterator[Store | None]:
    """None while no cold place was taken into use."""
    async with running.ledger.connection() as conn:
        tiering = await tiering_of(conn)
    settings = running.settings.cold.store()
    if settings is None or tiering.place_id is None:
        yield None
        return
    async with Places(store=running.store, settings=settings, place_id=tiering.place_id).cold() as cold:
        yield cold
