"""What must hold after any fault, checked over ledgers, topics and store.

I1  one committed result per task key
I2  lease epochs only grow, and a stale epoch writes nothing
I3  every committed result's event is published at least once, and its consumers act once
I4  nothing is purged or tiered away without a verified copy of what replaces it; what was committed is there
I5  the panel equals the undisturbed run's, byte for byte: `Plant.undisturbed` against `Going.panel()`

`check` looks at one ledger of the service `tiny`, `check_plant` at all six services.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis.ledger.ledger import Ledger
from console.supervisor import SERVICES
from tests.support.flow.plant import Plant
from tests.support.flow.records import Record, read_all
from tests.support.site import records_of

TASKS = """
select key, slug, kind, subject, belongs_to, payload, state, epoch, checkpoint, result, error from task order by key
"""
ATTEMPTS = "select task_key, incarnation, epoch, ending from attempt order by ended_at, incarnation, epoch"
SEEN = "select sample, times from seen"
OUTBOX = "select convert_from(key, 'UTF8') as key from outbox"
INBOX = "select event_id::text as id, type from inbox"
QUARANTINED = 'select topic, "offset" from quarantine'
_ATTEMPT_IN_URI = re.compile(r"/working/[a-z]+/([^/]+)/\d+-(\d+)/")
_WORD = re.compile(rb'"([^"\\]+)"')
_URI = re.compile(r'(?:s3|file)://[^"\s]+')
MANY = 200
"""So many objects are looked for in a listing of the store, rather than one by one."""
Fact = tuple[str, bytes]
"""Event id and body."""
ANNOUNCED = {
    ("ingest", "check"): "run.completed",
    ("align", "align"): "cram.ready",
    ("align", "call"): "gvcf.ready",
    ("jointcall", "plan"): "cohort.frozen",
    ("jointcall", "interval"): "interval.genotyped",
    ("vqsr", "finalise"): "panel.recalibrated",
    ("annotate", "release"): "panel.released",
}
"""Which topic tells of a task's result, by service and kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    invariant: str
    key: str
    how: str

    def __str__(self) -> str:
        return f"{self.invariant} broken by {self.key}: {self.how}"


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was looked at, so that a check over nothing shows: committed results by key, records and distinct ids by
    subject, acts by sample."""

    results: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    distinct: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)


async def check(ledger: Ledger, bootstrap: str, *, topic: str = "sample.withdrawn", acts: bool = True) -> Counts:
    """Assert I1 to I3 over every task of the ledger; the failure names each key and what it broke.

    `topic` is where the tasks' results are announced, by subject. With `acts` the ledger's own consumer counts in
    `seen` how often it acted on each. Call it when the outbox has drained and the consumer has caught up.
    """
    async with ledger.connection() as conn:
        tasks = await conn.fetch(TASKS)
        attempts = await conn.fetch(ATTEMPTS)
        unsent = {row["key"] for row in await conn.fetch(OUTBOX)}
        seen = await conn.fetch(SEEN) if acts else []
    counts = Counts(acted=Counter({row["sample"]: row["times"] for row in seen}))
    done = [task for task in tasks if task["state"] == "done"]
    for task in done:
        ids = Counter(record["ce_id"] for record in await records_of(bootstrap, topic, subject=task["subject"]))
        counts.published[task["subject"]] = ids.total()
        counts.distinct[task["subject"]] = len(ids)
    broken = [
        *_one_result(tasks, attempts, counts),
        *_epochs_grow(tasks, attempts),
        *_published_and_acted(done, unsent, counts, acts=acts),
    ]
    assert not broken, "\n".join(str(one) for one in broken)
    return counts


def _one_result(tasks: Iterable[Any], attempts: Iterable[Any], counts: Counts) -> Iterable[Broken]:
    for attempt in attempts:
        if attempt["ending"] == "done":
            counts.results[attempt["task_key"]] += 1
    for task in tasks:
        key, commits = task["key"], counts.results[task["key"]]
        wanted = 1 if task["state"] == "done" else 0
        if commits != wanted:
            yield Broken(invariant="I1", key=key, how=f"{commits} committed results in state {task['state']}")
        if (task["result"] is not None) != (task["state"] == "done"):
            yield Broken(invariant="I1", key=key, how=f"its result does not fit its state {task['state']}")


def _epochs_grow(tasks: Iterable[Any], attempts: Iterable[Any]) -> Iterable[Broken]:
    ended: dict[str, list[tuple[int, int]]] = {}
    for attempt in attempts:
        ended.setdefault(attempt["task_key"], []).append((attempt["incarnation"], attempt["epoch"]))
    for task in tasks:
        key, epochs = task["key"], ended.get(task["key"], [])
        if epochs != sorted(set(epochs)):
            yield Broken(invariant="I2", key=key, how=f"its attempts ended in the order {epochs}")
        if epochs and epochs[-1][1] > task["epoch"]:
            yield Broken(invariant="I2", key=key, how=f"epoch {task['epoch']} after an attempt {epochs[-1]}")
        named = _ATTEMPT_IN_URI.findall(repr(task["checkpoint"]) + repr(task["result"]))
        if any(slug == task["slug"] and int(epoch) > task["epoch"] for slug, epoch in named):
            yield Broken(invariant="I2", key=key, how="it names an output of an epoch that was never given")


def _published_and_acted(done: Iterable[Any], unsent: set[str], counts: Counts, *, acts: bool) -> Iterable[Broken]:
    for task in done:
        key, subject = task["key"], task["subject"]
        if subject in unsent:
            yield Broken(invariant="I3", key=key, how="its event waits in the outbox")
        elif counts.published[subject] == 0:
            yield Broken(invariant="I3", key=key, how="its event was never published")
        if counts.distinct[subject] > 1:
            yield Broken(invariant="I3", key=key, how=f"its fact has {counts.distinct[subject]} ids")
        if acts and counts.acted[subject] != 1:
            yield Broken(invariant="I3", key=key, how=f"its consumer acted {counts.acted[subject]} times")


async def check_plant(plant: Plant) -> int:
    """Assert I1 to I4 over everything the six services of a quiet plant hold; the failure names each key and what it
    broke. Returns how many committed results were looked at, so that a check over nothing shows."""
    looked_at, broken = await look_over(plant)
    assert not broken, "\n".join(str(one) for one in broken)
    return looked_at


async def look_over(plant: Plant, *, gone: Iterable[str] = ()) -> tuple[int, list[Broken]]:
    """How many committed results there are, and every breach of I1 to I4. See `check_plant`. `gone` are URIs of objects
    that were destroyed, for which the caller looks at why."""
    plant.seen_there |= set(gone)
    records = await read_all(plant.bootstrap)
    by_topic: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_topic[record.topic].append(record)
    telling = {topic: _by_word(by_topic[topic]) for topic in set(ANNOUNCED.values())}
    broken: list[Broken] = []
    looked_at = 0
    for service in SERVICES:
        tasks = await plant.rows(service, TASKS)
        attempts = await plant.rows(service, ATTEMPTS)
        counts = Counts()
        broken += _one_result(tasks, attempts, counts)
        broken += _epochs_grow(tasks, attempts)
        broken += _winner_wrote(tasks, attempts)
        broken += _once_each(tasks)
        broken += _told(service, tasks, telling)
        inbox = {row["id"] for row in await plant.rows(service, INBOX)}
        held = {(row["topic"], row["offset"]) for row in await plant.rows(service, QUARANTINED)}
        heard = [record for topic in plant.topics_of(service) for record in by_topic[topic]]
        broken += _heard(service, heard, inbox, held)
        done = [task for task in tasks if task["state"] == "done"]
        broken += await _there(plant, service, done)
        looked_at += len(done)
    return looked_at, broken


def _winner_wrote(tasks: Iterable[Any], attempts: Iterable[Any]) -> Iterable[Broken]:
    """A result names only outputs of the attempt that committed it."""
    winners = {one["task_key"]: f"{one['incarnation']}-{one['epoch']}" for one in attempts if one["ending"] == "done"}
    for task in tasks:
        for uri in uris_in(task["result"]):
            _, own, rest = uri.partition(f"/{task['slug']}/")
            if own and rest.split("/")[0] != winners.get(task["key"]):
                yield Broken(invariant="I2", key=task["key"], how=f"its result names {uri} of another attempt")


def _once_each(tasks: Iterable[Any]) -> Iterable[Broken]:
    """The same work under two keys is the same event acted on twice."""
    seen: dict[tuple[str, str, str], str] = {}
    for task in tasks:
        work = task["kind"], task["subject"], json.dumps(task["payload"], sort_keys=True)
        same = seen.setdefault(work, task["key"])
        if same != task["key"]:
            yield Broken(invariant="I3", key=task["key"], how=f"it is the same work as {same}")


def _by_word(records: Iterable[Record]) -> Mapping[str, set[Fact]]:
    """The facts that hold a JSON string, by that string: with thousands of tasks, searching each body takes minutes."""
    found: dict[str, set[Fact]] = defaultdict(set)
    for record in records:
        for word in _WORD.findall(record.body):
            found[word.decode(errors="replace")].add((record.event_id, record.body))
    return found


def _told(service: str, tasks: Iterable[Any], telling: Mapping[str, Mapping[str, set[Fact]]]) -> Iterable[Broken]:
    """Each committed result stands in a published fact of one id and one content."""
    for task in tasks:
        topic = ANNOUNCED.get((service, task["kind"]))
        if topic is None or task["state"] != "done":
            continue
        named = uris_in(task["result"]) or {task["subject"]}
        facts = set.intersection(*(telling[topic].get(name, set()) for name in named))
        if len(facts) != 1:
            yield Broken(invariant="I3", key=task["key"], how=f"{len(facts)} facts of {topic} name its result")


def _heard(service: str, records: Iterable[Record], inbox: set[str], held: set[Any]) -> Iterable[Broken]:
    for record in records:
        if record.event_id not in inbox and (record.topic, record.offset) not in held:
            key = f"{record.topic}@{record.offset}"
            yield Broken(invariant="I3", key=key, how=f"{service} has neither acted on it nor put it aside")


async def _there(plant: Plant, service: str, done: Iterable[Any]) -> list[Broken]:
    """What a committed result names lies in the store."""
    broken = []
    done = list(done)
    if len({uri for task in done for uri in uris_in(task["result"])} - plant.seen_there) > MANY:
        plant.seen_there |= {one.uri async for one in plant.store.list("")}
    for task in done:
        for uri in uris_in(task["result"]) - plant.seen_there:
            if await plant.store.head(uri) is None:
                broken.append(Broken(invariant="I4", key=task["key"], how=f"{service} committed {uri}: it is gone"))
            else:
                plant.seen_there.add(uri)
    return broken


def uris_in(value: object) -> set[str]:
    return set(_URI.findall(json.dumps(value)))
