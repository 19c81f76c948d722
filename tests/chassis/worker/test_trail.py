"""What a trace tells of attempts, without a worker: who is whose parent, what links to what, what a wait looks like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext, TraceFlags

from chassis.ledger.tasks import Before, Ending, Lease
from chassis.telemetry import fixed
from chassis.telemetry.gathered import MOST_LINKS, link_arrivals
from chassis.worker.trail import tell_lost, trail, waited_for
from tests.support.told import attributes_of, spans_of

TRACE, CAUSE = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE:032x}-{CAUSE:016x}-01"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = Lease(
    key="interval:c:1",
    kind="interval",
    subject="c:1",
    belongs_to="c",
    payload={},
    pool="default",
    memory_class="small",
    epoch=3,
    incarnation=1,
    owner="host-7/12/ab/0",
    until=NOON,
    checkpoint={},
    traceparent=TRACEPARENT,
    attempts=3,
    created_at=NOON,
    started_at=NOON,
)
RESTORE = "WAITING_RESTORE: cram 0123456789ab is archived; to be expected by 2026-01-02 12:00 UTC"


def ids(span: ReadableSpan) -> tuple[int, int]:
    context: Any = span.get_span_context()
    return context.trace_id, context.span_id


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def test_the_sweeper_tells_the_span_that_a_killed_worker_had_begun() -> None:
    """Under the id that the children of the killed attempt name; the next attempt links to it without having met it."""
    with spans_of("chassis.worker.trail") as kept:
        with trail("jointcall", LEASE, None):
            pass  # killed: nobody ends it
        assert kept.get_finished_spans() == ()
        tell_lost("jointcall", LEASE, now=NOON + timedelta(seconds=30), before=None)
        before = Before(attempt=LEASE.attempt, ending=Ending.loss, reason=None, ended_at=NOON)
        with trail("jointcall", replace(LEASE, epoch=4, attempts=4), before) as told:
            told.ended(Ending.done)
    lost, again = kept.get_finished_spans()
    assert lost.name == again.name == "jointcall interval"
    assert ids(lost) == (TRACE, fixed.ids_of_attempt("jointcall", LEASE.key, "1-3").span_id)
    assert ids(lost) != ids(again)
    assert [span.parent.span_id for span in (lost, again) if span.parent] == [CAUSE, CAUSE]
    assert (linked(lost), linked(again)) == ([], [ids(lost)])
    assert attributes_of(lost)["cohortstream.host"] == "host-7"
    assert (lost.end_time or 0) - (lost.start_time or 0) == 30_000_000_000
    assert [event.name for event in again.events] == ["retry"]


def test_two_services_may_have_tasks_of_one_name() -> None:
    assert fixed.ids_of_attempt("annotate", LEASE.key, "1-1") != fixed.ids_of_attempt("jointcall", LEASE.key, "1-1")


def test_a_wait_is_a_span_once_it_is_over_and_says_what_for() -> None:
    before = Before(attempt="1-2", ending=Ending.waiting, reason=RESTORE, ended_at=NOON - timedelta(days=2))
    with spans_of("chassis.worker.trail") as kept, trail("align", LEASE, before) as told:
        told.because(waited_for(RESTORE))
        told.ended(Ending.waiting)
    wait, attempt = kept.get_finished_spans()
    assert (wait.name, attributes_of(wait)["cohortstream.waited_for"]) == ("align waiting", "restore")
    assert (wait.end_time or 0) - (wait.start_time or 0) == timedelta(days=2).total_seconds() * 1e9
    assert wait.parent is not None and wait.parent.span_id == CAUSE
    assert linked(wait) == linked(attempt)
    [_, parked] = attempt.events
    assert (parked.name, dict(parked.attributes or {})) == ("waiting", {"cohortstream.reason": "restore"})
    assert attempt.status.is_unset, "to wait is no error"
    assert "0123456789ab" not in attempt.to_json() + wait.to_json()


def test_a_worker_that_lost_its_lease_tells_so_below_the_span_that_is_not_its_own_any_more() -> None:
    with spans_of("chassis.worker.trail") as kept, trail("align", LEASE, None) as told:
        told.lost()
    (late,) = kept.get_finished_spans()
    assert late.name == "align lease lost"
    assert late.parent is not None
    assert late.parent.span_id == fixed.ids_of_attempt("align", LEASE.key, "1-3").span_id


def test_a_gather_links_to_the_latest_arrivals_and_counts_the_others() -> None:
    """OpenTelemetry keeps 128 links of a span and drops the rest in silence."""
    arrivals = [
        Link(SpanContext(trace_id=TRACE, span_id=number, is_remote=True, trace_flags=TraceFlags(1)))
        for number in range(1, 501)
    ]
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("gather") as span:
        link_arrivals([*arrivals, arrivals[0]])
    assert isinstance(span, ReadableSpan)
    assert linked(span) == [(TRACE, number) for number in range(1, MOST_LINKS + 1)]
    assert attributes_of(span)["cohortstream.links_left_out"] == 500 - MOST_LINKS
