"""What a process counts of itself. Labels are few-valued words: service, kind, topic, state; never a key or a name.

What the ledger knows better (backlogs, how attempts ended, what they took) `chassis.health.census` counts there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from chassis.telemetry.setup import meter


def process_well(*, service: str, role: str, live: bool, ready: bool) -> None:
    """What the probes say. When the process started is `process_start_time_seconds`, which every scrape has."""
    labels = {"service": service, "role": role}
    meter().create_gauge("cohortstream.process.live", unit="1", description="1 when its loops go round").set(
        int(live), labels
    )
    meter().create_gauge("cohortstream.process.ready", unit="1", description="1 when it has all that it needs").set(
        int(ready), labels
    )


def build_info(*, service: str, role: str, version: str) -> None:
    """Which version runs: always 1."""
    meter().create_gauge("cohortstream.build.info", unit="1", description="always 1").set(
        1, {"service": service, "role": role, "version": version}
    )


def disk_room(*, service: str, role: str, folders: Mapping[str, Path]) -> None:
    """Room on the disks of a process's folders, by what each is for; one that is not there has none."""
    for what, folder in folders.items():
        try:
            found = shutil.disk_usage(folder)
        except OSError:
            continue
        labels = {"service": service, "role": role, "folder": what}
        meter().create_gauge("cohortstream.disk.size", unit="By", description="size of the folder's disk").set(
            found.total, labels
        )
        meter().create_gauge("cohortstream.disk.free", unit="By", description="room left on it").set(found.free, labels)


def slots(*, service: str, pools: str, total: int, busy: int) -> None:
    """A worker's slots, and how many have a task in hand. `pools` as they are asked, joined by commas."""
    labels = {"service": service, "pools": pools}
    meter().create_gauge("cohortstream.worker.slots", unit="1", description="slots for tasks").set(total, labels)
    meter().create_gauge("cohortstream.worker.slots.busy", unit="1", description="slots with a task in hand").set(
        busy, labels
    )


def consumer_lag(*, service: str, lag: Mapping[str, int]) -> None:
    """Events of each topic that are in Kafka and not settled yet, on the partitions that this process has."""
    gauge = meter().create_gauge("cohortstream.consumer.lag", unit="1", description="events not settled yet, by topic")
    for topic, count in lag.items():
        gauge.set(count, {"service": service, "topic": topic})


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
