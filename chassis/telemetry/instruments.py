"""The chassis's metrics. Labels are few-valued words: service, kind, ending, topic; never a key or a name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from chassis.telemetry.setup import meter


def attempt_ended(*, service: str, kind: str, ending: str, seconds: float) -> None:
    """An attempt is over. Its time counts as wasted unless it ended with a result or was only parked."""
    labels = {"service": service, "kind": kind, "ending": ending}
    meter().create_histogram(
        "cohortstream.attempt.duration", unit="s", description="time from claim to end of an attempt"
    ).record(seconds, labels)
    if ending not in ("done", "waiting"):
        meter().create_counter(
            "cohortstream.attempt.wasted", unit="s", description="time of attempts that ended without a result"
        ).add(seconds, labels)


def received(*, service: str, topic: str, receipt: str) -> None:
    """An event was handled, absorbed as a duplicate, quarantined or ignored."""
    meter().create_counter("cohortstream.events.received", unit="1", description="events by what became of them").add(
        1, {"service": service, "topic": topic, "receipt": receipt}
    )


def outbox_backlog(*, service: str, backlog: int, oldest: datetime | None, now: datetime) -> None:
    """Events not yet in Kafka, and the age of the oldest: the first sign of a broker that is away."""
    labels = {"service": service}
    meter().create_gauge("cohortstream.outbox.backlog", unit="1", description="events not yet in Kafka").set(
        backlog, labels
    )
    age = (now - oldest).total_seconds() if oldest is not None else 0.0
    meter().create_gauge("cohortstream.outbox.oldest", unit="s", description="age of the oldest such event").set(
        age, labels
    )


def subjects_stuck(*, service: str, stuck: Mapping[tuple[str, str], int]) -> None:
    """How many subjects have not moved within their expected time, by (kind, state); 0 tells that they did since."""
    gauge = meter().create_gauge(
        "cohortstream.subjects.stuck", unit="1", description="subjects that have not moved within their expected time"
    )
    for (kind, state), count in stuck.items():
        gauge.set(count, {"service": service, "kind": kind, "state": state})
