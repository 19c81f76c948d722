"""A process's pulse and its report: pure functions and one folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.health import report
from chassis.health.pulse import Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_stands_still_ends_liveness_and_one_that_is_over_does_not() -> None:
    clock = Clock()
    pulse = Pulse(clock=clock)
    beat = pulse.expect("relay", within_s=10)
    pulse.expect("slot 0", within_s=10)
    clock.now += 11
    beat()
    found = pulse.vitals()
    assert (found.live, found.ready) == (False, False)
    assert [(one.name, one.why) for one in found.checks if not one.well] == [("slot 0", "has not gone round for 11 s")]
    pulse.over("slot 0")
    assert pulse.vitals().ready
    clock.now += 11
    assert not pulse.vitals().live


def test_a_need_that_is_not_met_ends_readiness_alone() -> None:
    pulse = Pulse()
    trouble: list[str | None] = ["away"]
    pulse.require("Kafka", lambda: trouble[-1])
    found = pulse.vitals()
    assert (found.live, found.ready) == (True, False)
    assert found.as_dict()["checks"] == [{"name": "Kafka", "of": "ready", "well": False, "why": "away"}]
    trouble.append(None)
    assert pulse.vitals().ready


def test_a_report_is_read_back_with_its_age(tmp_path: Path) -> None:
    pulse = Pulse()
    pulse.require("ledger", lambda: "does not answer")
    me = report.identity(service="align", role="consume")
    report.write(tmp_path, me, pulse.vitals(), since=1.5, address=None)
    written = (tmp_path / me.file_name).stat().st_mtime
    (found,) = report.reports(tmp_path, now=written + 7)
    assert (found.identity, found.live, found.ready, found.since) == (me, True, False, 1.5)
    assert found.age_s == pytest.approx(7)
    assert found.why_not(20) == "ledger: does not answer"
    assert found.live_within(7.5)
    assert not found.live_within(6.5)
    assert found.why_not(6.5) == "silent for 7 s: its event loop does not turn"
    assert report.reports(tmp_path, service="jointcall") == []
    report.forget(tmp_path, me)
    assert report.reports(tmp_path) == []


def test_what_a_killed_process_left_is_passed_over_and_tidied_away(tmp_path: Path) -> None:
    """Also when another process has its id since: that one started at another moment."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    me = report.identity(service="align", role="work")
    gone = replace(me, pid=ended.pid)
    other = replace(me, pid=os.getppid(), started=1)
    far = replace(me, host=f"not-{socket.gethostname()}", pid=ended.pid)
    for who in (me, gone, other, far):
        report.write(tmp_path, who, Pulse().vitals(), since=0, address=None)
    (tmp_path / "align-work-x-1.json").write_text("{", encoding="utf-8")
    assert {one.identity for one in report.reports(tmp_path)} == {me, far}
    report.tidy(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {me.file_name, far.file_name, "align-work-x-1.json"}


def test_on_a_full_disk_a_report_still_says_that_its_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = report.identity(service="align", role="work")
    report.write(tmp_path, me, Pulse().vitals(), since=0, address=None)
    path = tmp_path / me.file_name
    os.utime(path, (0, 0))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    report.write(tmp_path, me, Pulse().vitals(), since=0, address=None)
    assert path.stat().st_mtime > 1_000_000_000
    assert json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid()
