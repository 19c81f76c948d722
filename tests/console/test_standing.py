"""Where subjects stand, merged from what every service says: pure functions of rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from console.standing import current, pools, standings

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def row(subject: str, state: str, minute: float, *, kind: str = "sample", waits: str | None = None) -> dict[str, Any]:
    since = NOON + timedelta(minutes=minute)
    return {
        "subject": subject,
        "kind": kind,
        "belongs_to": "run1",
        "state": state,
        "since": since,
        "waits_for": waits,
    }


def test_the_latest_word_on_a_subject_counts() -> None:
    (line,) = standings(
        {
            "ingest": [row("s1", "completed", 0, waits="")],
            "align": [row("s1", "calling", 5, waits="its variant calls")],
            "jointcall": [],
        }
    )
    assert (line.service, line.state, line.waits_for) == ("align", "calling", "its variant calls")


def test_a_top_up_moves_a_sample_back_to_work_though_a_later_service_knows_it() -> None:
    (line,) = standings(
        {
            "jointcall": [row("s1", "ready for cohorts", 10)],
            "align": [row("s1", "called", 9), row("s1", "aligning", 60, waits="its alignment")],
        }
    )
    assert (line.service, line.state) == ("align", "aligning")


def test_of_words_of_one_moment_the_one_further_down_the_flow_counts() -> None:
    rows = {
        "vqsr": [row("c:1", "filtering", 3, kind="freeze")],
        "jointcall": [row("c:1", "genotyped", 3, kind="freeze")],
    }
    assert standings(rows)[0].service == "vqsr"


def test_the_archive_watches_and_is_heard_when_it_needs_a_person() -> None:
    calling = {"align": [row("s1", "calling", 1, waits="its variant calls")]}
    (line,) = standings(calling | {"archive": [row("s1", "CRAM recorded", 2)]})
    assert line.state == "calling"
    asks = row("s1", "FINGERPRINT DIFFERS", 2, waits="a person: its FASTQs stay where they are")
    (line,) = standings(calling | {"archive": [asks]})
    assert line.state == "FINGERPRINT DIFFERS"
    (line,) = standings({"archive": [row("s1", "CRAM recorded", 2)]})
    assert line.service == "archive"


def test_a_run_that_was_handed_over_waits_for_its_samples_on_their_way() -> None:
    run = [{**row("run1", "completed", 0, kind="run", waits=""), "belongs_to": ""}]
    said = {
        "ingest": [*run, row("s1", "completed", 0), row("s2", "completed", 0), row("s3", "rejected", 0, waits="a fix")],
        "align": [row("s1", "calling", 2, waits="its variant calls"), row("s2", "called", 2)],
        "jointcall": [{**row("s2", "ready for cohorts", 3), "belongs_to": "PROJECT"}],
    }
    assert standings(said)[0].waits_for == "2 of its 3 samples"
    said["align"][0] = row("s1", "called", 4)
    said["ingest"].pop()
    assert standings(said)[0].rests


def test_an_empty_wait_is_no_wait() -> None:
    (line,) = standings({"ingest": [row("run1", "completed", 0, kind="run", waits="")]})
    assert line.rests


def test_kinds_come_in_the_order_of_the_flow_and_the_latest_first() -> None:
    lines = standings(
        {
            "ingest": [row("r1", "completed", 1, kind="run"), row("r2", "copying", 2, kind="run", waits="files")],
            "jointcall": [row("c:1", "released", 3, kind="freeze"), row("s1", "ready for cohorts", 0)],
        }
    )
    assert [line.subject for line in lines] == ["r2", "r1", "s1", "c:1"]


@given(
    said=st.lists(
        st.tuples(
            st.sampled_from(["ingest", "align", "jointcall", "vqsr", "annotate"]),
            st.sampled_from(["s1", "s2", "s3"]),
            st.integers(0, 5),
        ),
        max_size=20,
        unique_by=lambda one: (one[0], one[1], one[2]),
    )
)
def test_a_subject_has_one_line_whatever_the_order_of_the_services(said: list[tuple[str, str, int]]) -> None:
    def merged(order: list[str]) -> dict[str, tuple[str, datetime]]:
        rows = {
            service: [row(subject, f"{service} state", minute) for name, subject, minute in said if name == service]
            for service in order
        }
        return {line.subject: (line.service, line.since) for line in standings(rows)}

    order = ["ingest", "align", "jointcall", "vqsr", "annotate"]
    assert merged(order) == merged(order[::-1])
    assert set(merged(order)) == {subject for _, subject, _ in said}
    for subject, (_, since) in merged(order).items():
        assert since == NOON + timedelta(minutes=max(minute for _, name, minute in said if name == subject))


def test_what_waits_is_always_shown_and_of_what_rests_the_latest() -> None:
    lines = standings(
        {
            "ingest": [row(f"r{n}", "completed", n, kind="run") for n in range(5)]
            + [row("slow", "copying", -90, kind="run", waits="more files")]
        }
    )
    assert [line.subject for line in current(lines, resting=2)] == ["r4", "r3", "slow"]


def test_pools_add_up_kinds_and_know_the_oldest_that_waits() -> None:
    def work(kind: str, state: str, tasks: int, minute: float, seconds: float | None = None) -> dict[str, Any]:
        oldest = NOON + timedelta(minutes=minute)
        return {"pool": "spot", "kind": kind, "state": state, "tasks": tasks, "oldest": oldest, "seconds": seconds}

    rows = {
        "align": [
            work("align", "done", 2, 0, 30.5),
            work("call", "done", 1, 0, 10),
            work("align", "leased", 1, 1),
            work("align", "ready", 3, 7),
            work("call", "waiting", 1, 4),
            work("call", "failed", 1, 2),
        ],
        "ingest": [],
    }
    (pool,) = pools(rows)
    assert (pool.service, pool.pool) == ("align", "spot")
    assert (pool.queued, pool.running, pool.done, pool.failed) == (4, 1, 3, 1)
    assert pool.oldest == NOON + timedelta(minutes=4)
    assert pool.seconds == 40.5
