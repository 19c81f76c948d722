"""Topic declarations: one topic per event type. `cohortstream topics apply` makes Kafka's topics what stands here."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.events import ALL, Event, EventKind

DAY_MS = 24 * 60 * 60 * 1000
FACT_RETENTION_MS = 3650 * DAY_MS
"""Ten years. Facts are the record; they are never compacted, since many facts share a key."""
COMMAND_RETENTION_MS = 90 * DAY_MS
"""A command matters until it is carried out; the ledger keeps who asked for what."""

WIDE_PARTITIONS = 12
"""For topics keyed by run, sample or artifact: more consumers than that are not needed, handlers take milliseconds."""
COHORT_PARTITIONS = 3
"""Cohorts are few, and all events of one share a partition."""

_COHORT_TYPES = frozenset(
    {
        "cohort.freeze.requested",
        "cohort.frozen",
        "interval.genotyped",
        "panel.recalibrated",
        "panel.released",
        "freeze.failed",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    name: str
    event: type[Event]
    key: str
    partitions: int
    retention_ms: int
    config: tuple[tuple[str, str], ...]


def _declare(event: type[Event]) -> Topic:
    command = event.KIND is EventKind.command
    retention = COMMAND_RETENTION_MS if command else FACT_RETENTION_MS
    return Topic(
        name=event.TYPE,
        event=event,
        key=event.key_field().partition(".")[0],
        partitions=COHORT_PARTITIONS if event.TYPE in _COHORT_TYPES else WIDE_PARTITIONS,
        retention_ms=retention,
        config=(("cleanup.policy", "delete"), ("retention.ms", str(retention)), ("max.message.bytes", "131072")),
    )


TOPICS: tuple[Topic, ...] = tuple(_declare(event) for event in ALL)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
