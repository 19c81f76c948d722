"""`cohortstream health` and what `status` says of processes and of an outbox that waits."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chassis.health import report
from chassis.health.pulse import Pulse
from console.processes import summary
from console.snapshot import Outbox, late_outboxes
from tests.console.conftest import Command

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cohortstream.toml"
    path.write_text(f'state_dir = "{tmp_path}"\n', encoding="utf-8")
    (tmp_path / report.FOLDER).mkdir()
    return path


def say(folder: Path, role: str, pulse: Pulse) -> Path:
    """A report of this test's own process under that role."""
    me = report.identity(service="align", role=role)
    report.write(folder / report.FOLDER, me, pulse.vitals(), since=0, address=None)
    return folder / report.FOLDER / me.file_name


def test_health_ends_with_0_only_when_there_is_a_process_and_all_are_well(
    cohortstream: Command, config: Path, tmp_path: Path
) -> None:
    nobody = cohortstream("health")
    assert (nobody.code, nobody.out.strip()) == (1, "no such process has this state folder")

    pulse = Pulse()
    say(tmp_path, "work", pulse)
    assert cohortstream("health", "--ready").code == 0

    pulse.require("ledger", lambda: "does not answer (TimeoutError)")
    path = say(tmp_path, "consume", pulse)
    assert [cohortstream("health", *more).code for more in ((), ("--ready",), ("--ready", "--role", "work"))] == [
        0,
        1,
        0,
    ]
    shown = cohortstream("health")
    assert "not ready" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100

    os.utime(path, (0, 0))
    ran = cohortstream("health", "--json")
    assert ran.code == 1
    said = {one["role"]: one for one in ran.document["processes"]}
    assert (said["work"]["live"], said["consume"]["live"]) == (True, False)
    assert said["consume"]["why_not"].endswith("its event loop does not turn")
    assert cohortstream("health", "--role", "work").code == 0
    assert cohortstream("health", "--service", "jointcall").code == 1


def test_status_warns_of_processes_that_are_not_well_and_of_no_others(tmp_path: Path, config: Path) -> None:
    pulse = Pulse()
    say(tmp_path, "work", pulse)
    pulse.require("Kafka", lambda: "no answer for 20 s")
    say(tmp_path, "consume", pulse)
    assert summary(report.reports(tmp_path / report.FOLDER), 20) == [
        "warning: align consume is not ready: Kafka: no answer for 20 s"
    ]


def test_an_event_that_waits_for_kafka_for_too_long_is_a_warning() -> None:
    outboxes = (
        Outbox(service="ingest", backlog=0, oldest=None),
        Outbox(service="align", backlog=2, oldest=NOON - timedelta(minutes=4)),
        Outbox(service="vqsr", backlog=2, oldest=NOON - timedelta(minutes=6)),
    )
    assert late_outboxes(outboxes, 300, now=NOON) == [
        "warning: events of vqsr have waited for Kafka for 6 min: is the broker away?"
    ]
