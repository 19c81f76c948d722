"""What people read: spans of time, sizes, panels' files, a screen that fits."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from console.commands_out import account_name
from console.labels import Labels
from console.output import ago, size, span
from console.panels import _artifacts, query
from console.snapshot import Outbox, Snapshot
from console.standing import pools, standings
from console.stuck import stuck_subjects
from console.supervisor import Health
from console.upping import frame

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "250 ms"), (4.25, "4.2 s"), (4, "4 s"), (61, "61 s"), (600, "10 min"), (7200, "2 h"), (9000, "2 h 30 min"),
     (200_000, "2 d")],
)  # fmt: skip
def test_a_span_of_time_in_the_words_that_people_use(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_ago_counts_whole_seconds_and_says_nothing_of_no_moment() -> None:
    assert ago(NOW - timedelta(seconds=3.4), now=NOW) == "3 s ago"
    assert ago(NOW + timedelta(seconds=5), now=NOW) == "1 s ago"  # another machine's clock
    assert ago(None) == ""


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e12, "2.5 TB")])
def test_sizes_in_powers_of_ten(count: float, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("account", "name"),
    [("ada", "ada"), ("ada@example.org", "ada_example.org"), ("LAB\\ada", "LAB_ada"), ("_daemon", "daemon"),
     ("", "unnamed"), ("é" * 200, "unnamed")],
)  # fmt: skip
def test_an_account_becomes_a_name_that_events_may_carry(account: str, name: str) -> None:
    assert account_name(account) == name


def artifact(kind: str, path: str) -> dict[str, Any]:
    return {"kind": kind, "uri": f"file:///st%20ore/{path}", "size": 3, "id": "0" * 64}


def test_a_manifests_artifacts_are_found_at_any_depth_with_their_local_paths() -> None:
    entry = {"name": "x", "artifact": artifact("vcf", "a.vcf.gz"), "more": [{"index": artifact("vcf_index", "b")}, 7]}
    assert [(one["kind"], one["path"]) for one in _artifacts(entry)] == [
        ("vcf", "/st ore/a.vcf.gz"),
        ("vcf_index", "/st ore/b"),
    ]


def test_the_query_reads_the_variants_of_all_contigs() -> None:
    files = _artifacts([artifact("parquet", "lake/variants/contig=17/part-0.parquet")])
    asked = query(files)
    assert asked is not None and "'/st ore/lake/variants/**/*.parquet'" in asked
    assert query(_artifacts([artifact("vcf", "a")])) is None


def test_the_screen_of_up_fits_100_columns(tmp_path: Path) -> None:
    waits = "its intervals: 3 of 120 are genotyped, and a person who has to decide about the other ones"
    rows = {
        "ingest": [_row("240618_A01417_0219_AHK8C3DSX5", "run", "waiting for conversion", waits)],
        "jointcall": [
            _row("a-cohort-with-a-rather-long-name-of-sixty-characters-in-all:17", "freeze", "genotyping", waits)
        ],
    }
    work = {"pool": "default", "kind": "align", "state": "ready", "tasks": 12345, "oldest": NOW, "seconds": None}
    snapshot = Snapshot(
        lines=standings(rows),
        pools=pools({"align": [work]}),
        outboxes=(Outbox(service="align", backlog=123456, oldest=NOW),),
        held={"align": 3},
        stuck=stuck_subjects({"align": [_stuck("smp_" + "1" * 24, waits)]}),
        labels=Labels([]),
        notes=("ingest offers no status_run: its ledger is not there, or of an older version",),
    )
    health = tuple(
        Health(
            name=f"align {role}", service="align", role=role, state=state, since=0.0, restarts=7, pid=1, last_status=3,
            log=tmp_path / "none.log", live=False, ready=False, why_not="silent for 25 s: its event loop does not turn",
        )
        for role, state in (("consume", "running"), ("work", "refused"))
    )  # fmt: skip
    drawn = io.StringIO()
    Console(file=drawn, width=100).print(frame(snapshot, health))
    text = drawn.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    for word in ("refused", "12345", "123456", "waiting for conversion", "offers no status_run", "hung", "stuck: smp_"):
        assert word in text


def _stuck(subject: str, waits_for: str) -> dict[str, Any]:
    seen = {"since": NOW, "expected_seconds": 3600.0, "found_at": NOW}
    return {"subject": subject, "kind": "sample", "state": "calling", "waits_for": waits_for} | seen


def _row(subject: str, kind: str, state: str, waits: str) -> dict[str, Any]:
    return {"subject": subject, "kind": kind, "belongs_to": "", "state": state, "since": NOW, "waits_for": waits}
