"""I4: nothing is purged or tiered away without a verified copy of what replaces it.

Read from outside: what the archive's ledger says, what it told (its topics, and what still waits in its outbox), and
the object versions that the store really has. Nothing of the archive's own code is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.ledger.ledger import Ledger
from chassis.storage.store import ObjectFacts, Store

TOPICS = ("artifact.condemned", "artifact.tiered", "artifact.restored", "artifact.purged")
PURGE = "purge"
WITHDRAWAL = "withdrawal"
MADE_AGAIN = ("workspace", "log")
"""Kinds that nothing has to replace."""
AT_A_TIME = 8
"""Objects read beside each other."""
NEWEST = "STANDARD"
"""Content that is stored anew lies here; it was not condemned to that."""

ROWS = {
    "copies": "select * from artifact order by id, uri",
    "lanes": "select * from lane",
    "crams": "select * from cram",
    "holds": "select * from hold",
    "withdrawn": "select subject from withdrawn",
    "outbox": "select topic, headers, body from outbox where topic = any($1::text[])",
    "acting": """
        select key from task where kind = 'act' and state in ('leased', 'ready', 'waiting') and checkpoint ? 'begun'
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    topic: str
    moment: datetime
    body: Mapping[str, Any]

    @property
    def condemned_to(self) -> str:
        """What the condemnation that this needs must say."""
        return PURGE if self.topic == "artifact.purged" else str(self.body["tier"])


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was looked at, so that a check over nothing shows."""

    kept: int = 0
    purged: int = 0
    gone: set[str] = field(default_factory=set)
    """Where the purged lay."""
    tiered: int = 0
    spared_by_hold: int = 0


@dataclass(kw_only=True)
class Archive:
    """What is known of one archive, at one moment."""

    rows: Mapping[str, list[Any]]
    told: list[Told]
    heads: Mapping[tuple[str, str], ObjectFacts | None]
    """(artifact, URI) -> what the store says of the very version that the ledger names."""
    found: Mapping[tuple[str, str], str | None]
    """The same -> the SHA-256 of its bytes; None where they cannot be read now (archived) or are not there."""
    markers: list[str]
    """Keys that someone deleted without naming a version."""
    broken: list[str] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)

    def breaks(self, artifact: str, how: str) -> None:
        self.broken.append(f"I4 broken by {artifact}: {how}")

    @cached_property
    def there(self) -> set[str]:
        """Artifacts of which a verified copy lies in the store and is not about to be purged."""
        return {
            copy["id"]
            for copy in self.rows["copies"]
            if copy["state"] in ("stored", "condemned") and copy["action"] != PURGE and self.wrong_with(copy) is None
        }

    def wrong_with(self, copy: Any) -> str | None:
        """How what lies at an artifact's newest place differs from what it should be."""
        place = (copy["id"], copy["uri"])
        head, found = self.heads[place], self.found[place]
        if head is None:
            return f"version {copy['version']} is not at its newest place {copy['uri']}"
        if copy["id"] not in (head.sha256, found) or found not in (None, copy["id"]):
            return f"its newest place {copy['uri']} has other content: {found or head.sha256}"
        if copy["size"] is not None and head.size != copy["size"]:
            return f"its newest place {copy['uri']} has {head.size} bytes instead of {copy['size']}"
        if head.storage_class != copy["tier"]:
            return f"it lies in {head.storage_class}, last told was {copy['tier']}"
        return None

    def about(self, copy: Any) -> list[Told]:
        mine = [one for one in self.told if one.body["artifact"] == copy["id"] and one.body["uri"] == copy["uri"]]
        return sorted(mine, key=lambda one: int(one.body["count"]))


async def broken_by(ledger: Ledger, store: Store, bootstrap: str | None) -> tuple[list[str], Seen]:
    """Every breach of I4, in words that begin with the artifact, and what was looked at. See `nothing_lost`."""
    archive = await _read(ledger, store, bootstrap)
    for copy in archive.rows["copies"]:
        _stands(archive, copy)
        _was_condemned_first(archive, copy)
        if copy["state"] == "purged":
            _is_replaced(archive, copy)
    for key in archive.markers:
        archive.breaks(key, "it was deleted without naming the version")
    held = {row["artifact"] for row in archive.rows["holds"] if row["released_at"] is None and not row["late"]}
    archive.seen.spared_by_hold = len(held & archive.there)
    return archive.broken, archive.seen


async def nothing_lost(ledger: Ledger, store: Store, bootstrap: str | None = None) -> Seen:
    """Assert I4 over the archive whose ledger this is; the failure names each artifact and how it broke.

    `store` is the one that the archive acts on. `bootstrap`: the broker that its facts went to; None where no relay ran
    and all of them stand in the outbox. Call it when no act is in flight. It asserts that

    - each artifact's newest place has the version, content (read, where it can be), size and class last told;
    - what was purged or moved was condemned before to that very end, with a grace period that was over, and the
      version deleted is the one condemned;
    - no hold that came in time was ignored;
    - what replaces a purged artifact is verified and still there: for FASTQs and an older CRAM the CRAMs whose
      fingerprint was compared with all the FASTQs concerned, for a lane BAM its sample's newest CRAM, for a withdrawn
      sample's own nothing; any other kind must not go;
    - nothing was deleted without naming its version (where the store keeps a mark of that).
    """
    broken, seen = await broken_by(ledger, store, bootstrap)
    assert not broken, "\n".join(broken)
    return seen


def _stands(archive: Archive, copy: Any) -> None:
    match copy["state"]:
        case "stored" | "condemned":
            acting = f"act:{copy['id']}:{copy['condemned_count']}" in {row["key"] for row in archive.rows["acting"]}
            wrong = None if acting else archive.wrong_with(copy)
            if wrong is not None:
                archive.breaks(copy["id"], wrong)
            else:
                archive.seen.kept += 1
        case "missing":
            archive.breaks(copy["id"], f"a fact names it at {copy['uri']} and the store has it not")
        case "purged":
            archive.seen.purged += 1
            archive.seen.gone.add(copy["uri"])
            if archive.heads[(copy["id"], copy["uri"])] is not None:
                archive.breaks(copy["id"], f"version {copy['version']} was told to be purged and is there")
            if not [one for one in archive.about(copy) if one.topic == "artifact.purged"]:
                archive.breaks(copy["id"], "it is purged and nobody was told")
        case other:
            archive.breaks(copy["id"], f"it stands as {other}")


def _was_condemned_first(archive: Archive, copy: Any) -> None:
    known: str | None = None
    condemned: Told | None = None
    for one in archive.about(copy):
        version = one.body.get("version")
        if one.topic == "artifact.condemned":
            condemned = one
            if known is not None and version != known:
                archive.breaks(copy["id"], f"version {version} was condemned, {known} is what it had")
            if datetime.fromisoformat(one.body["not_before"]) <= one.moment:
                archive.breaks(copy["id"], "it was condemned without a grace period")
            known = version
            continue
        if one.topic == "artifact.restored":
            # brought back from a cold place it has another version under its name
            known = version or known
            continue
        if one.topic == "artifact.tiered" and one.body["tier"] == NEWEST:
            known = version
            continue
        what = one.topic.partition(".")[2]
        if condemned is None or condemned.body["action"] != one.condemned_to:
            archive.breaks(copy["id"], f"it was {what} without being condemned to that")
        else:
            if one.moment < datetime.fromisoformat(condemned.body["not_before"]):
                archive.breaks(copy["id"], f"it was {what} before its grace period was over")
            if what == "purged" and version != condemned.body.get("version"):
                archive.breaks(copy["id"], f"version {version} was purged, {condemned.body.get('version')} condemned")
        archive.seen.tiered += what == "tiered"
        _was_not_held(archive, copy, one, what)
        known, condemned = version, None


def _was_not_held(archive: Archive, copy: Any, one: Told, what: str) -> None:
    for hold in archive.rows["holds"]:
        in_force = hold["placed_at"] <= one.moment and (hold["released_at"] is None or hold["released_at"] > one.moment)
        if hold["artifact"] == copy["id"] and in_force and not hold["late"]:
            archive.breaks(copy["id"], f"it was {what} though {hold['actor']} held it")


def _is_replaced(archive: Archive, copy: Any) -> None:
    id, kind, subject = copy["id"], copy["kind"], copy["subject"]
    if id in archive.there or kind in MADE_AGAIN:
        return
    if copy["policy"] == WITHDRAWAL:
        if subject not in {row["subject"] for row in archive.rows["withdrawn"]}:
            archive.breaks(id, "it was purged for a withdrawal that nobody asked for")
        return
    match kind:
        case "fastq":
            lanes = [row for row in archive.rows["lanes"] if id in (row["r1"], row["r2"])]
            if not lanes:
                archive.breaks(id, "a FASTQ of no lane was purged")
            for lane in lanes:
                if not _proofs(archive, lane["sample"], {lane["r1"], lane["r2"]}):
                    archive.breaks(id, f"purged, and no verified CRAM that is kept has read group {lane['read_group']}")
        case "lane_bam":
            crams = [row for row in archive.rows["crams"] if row["sample"] == subject]
            newest = max((row["version"] for row in crams), default=None)
            if not any(row["id"] in archive.there for row in crams if row["version"] == newest):
                archive.breaks(id, "purged, and the sample's newest CRAM is not kept")
        case "cram" | "crai":
            for old in (row for row in archive.rows["crams"] if id in (row["id"], row["crai"])):
                newer = [row for row in _proofs(archive, old["sample"], set(old["compared"])) if row["id"] != old["id"]]
                if not newer:
                    archive.breaks(id, "purged, and no other verified CRAM has its reads")
        case _:
            archive.breaks(id, f"nothing that is kept replaces a {kind}, and it was purged")


def _proofs(archive: Archive, sample: str, files: set[str]) -> list[Any]:
    """CRAMs of the sample that were compared with all these FASTQs, agreed, and are kept."""
    return [
        row
        for row in archive.rows["crams"]
        if row["sample"] == sample
        and row["checked"] == "agrees"
        and files <= set(row["compared"])
        and row["id"] in archive.there
    ]


async def _read(ledger: Ledger, store: Store, bootstrap: str | None) -> Archive:
    async with ledger.connection() as conn:
        rows = {
            name: list(await conn.fetch(statement, *([list(TOPICS)] if "$1" in statement else [])))
            for name, statement in ROWS.items()
        }
    # what lies in another store is nothing that this archive could destroy
    rows["copies"] = [copy for copy in rows["copies"] if copy["uri"].startswith(f"{store.base}/")]
    told = [_told(row["topic"], dict(row["headers"]), bytes(row["body"])) for row in rows["outbox"]]
    if bootstrap is not None:
        told += [one async for one in _published(bootstrap)]
    known = {(copy["id"], copy["uri"]) for copy in rows["copies"]}
    once = {
        (one.topic, one.body["artifact"], one.body["count"]): one
        for one in told
        # other archives of the same broker have facts of their own
        if (one.body["artifact"], one.body["uri"]) in known
    }
    heads, found = {}, {}
    few = asyncio.Semaphore(AT_A_TIME)

    async def look(copy: Any) -> None:
        async with few:
            head = await store.head(copy["uri"], version=copy["version"])
            heads[(copy["id"], copy["uri"])] = head
            readable = head is not None and head.readable()
            found[(copy["id"], copy["uri"])] = await _sum(store, head) if readable else None

    await asyncio.gather(*(look(copy) for copy in rows["copies"]))
    return Archive(rows=rows, told=list(once.values()), heads=heads, found=found, markers=await _markers(store))


def _told(topic: str, headers: Mapping[str, str], body: bytes) -> Told:
    return Told(topic=topic, moment=datetime.fromisoformat(headers["ce_time"]), body=json.loads(body))


async def _published(bootstrap: str) -> AsyncIterator[Told]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, 0) for topic in TOPICS]
        consumer.assign(places)
        # asking for the end of one partition makes the consumer learn of all
        await consumer.end_offsets(places)
        places = [TopicPartition(topic, p) for topic in TOPICS for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    headers = {name: value.decode() for name, value in record.headers}
                    yield _told(record.topic, headers, record.value)
    finally:
        await consumer.stop()


async def _sum(store: Store, head: ObjectFacts) -> str:
    """Of the bytes of that very version, read by range: an object that came later under the same key is another."""
    current = await store.head(head.uri)
    if current is None or current.version != head.version:
        return head.sha256 or ""
    digest = hashlib.sha256()
    for start in range(0, head.size, 1 << 24):
        digest.update(await store.read_range(head.uri, start, 1 << 24))
    return digest.hexdigest()


async def _markers(store: Store) -> list[str]:
    """S3 keeps a delete marker where a deletion named no version; a folder keeps none."""
    calls = getattr(store, "_calls", None)
    if calls is None or "versions" not in store.capabilities:
        return []
    prefix = store.base.removeprefix(f"s3://{calls.bucket}").lstrip("/")
    found: list[str] = []
    more: dict[str, Any] = {}
    while True:
        answer = await calls.call("list_object_versions", uri=store.base, Prefix=prefix, **more)
        found += [marker["Key"] for marker in answer.get("DeleteMarkers", [])]
        if not answer.get("IsTruncated"):
            return found
        more = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
