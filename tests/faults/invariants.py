"""What must hold after any fault, checked over a ledger and the topics that it feeds.

I1  one committed result per task key
I2  lease epochs only grow, and a stale epoch writes nothing
I3  every committed result's event is published at least once, and its consumers act once
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chassis.ledger.ledger import Ledger
from tests.support.site import records_of

TASKS = "select key, subject, state, epoch, checkpoint, result, error from task order by key"
ATTEMPTS = "select task_key, incarnation, epoch, ending from attempt order by ended_at, incarnation, epoch"
SEEN = "select sample, times from seen"
OUTBOX = "select convert_from(key, 'UTF8') as key from outbox"
_ATTEMPT_IN_URI = re.compile(r"/working/[a-z]+/[^/]+/\d+-(\d+)/")


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
        named = [int(epoch) for epoch in _ATTEMPT_IN_URI.findall(repr(task["checkpoint"]) + repr(task["result"]))]
        if any(epoch > task["epoch"] for epoch in named):
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
