"""The inventory: lists the store and finds what no event names, so that no byte is paid for that nobody knows of."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.ledger.ledger import Ledger
from chassis.service import Loop, Running
from chassis.storage import keys
from chassis.storage.store import ObjectFacts, ObjectMissing, Store, StoreUnavailable
from contracts.values import Artifact, ArtifactKind
from services.archive import record, statements
from services.archive.policies import Rules
from services.archive.sweep import repeat

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

    async def run(self) -> int:
        """Take it; the former one is shown until this one is whole. Returns its number."""
        async with self.ledger.connection() as conn:
            number = await conn.fetchval(statements.INVENTORY_BEGINS)
        objects = size = 0
        async for batch in _batches(self.store):
            objects += len(batch)
            size += sum(facts.size for facts in batch)
            await self._write(number, await self._unnamed(batch))
        uploads = [
            Unnamed(
                uri=f"{self.store.base}/{upload.key}",
                what="unfinished upload",
                kind=None,
                tier="STANDARD",
                size=None,
                modified=upload.started,
            )
            async for upload in self.store.unfinished_uploads("")
        ]
        await self._write(number, uploads)
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
        found = []
        for facts in batch:
            if facts.uri in named:
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

    async def _enrol(self, head: ObjectFacts, kind: ArtifactKind, *, subject: str) -> None:
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
        case keys.LANDING | keys.WORKING | keys.RELEASED | keys.ARCHIVE:
            return f"orphan in {zone}"
        case _:
            return "not written by this system"


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
        inventory = Inventory(ledger=running.ledger, store=running.store, rules=rules)

        async def once() -> None:
            try:
                await inventory.run()
            except StoreUnavailable as away:
                log.warning("no inventory: the store is away", extra={"said": away.said})

        await repeat(running.ledger, "inventory", once, every=running.settings.archive.sweep_seconds)

    return loop
