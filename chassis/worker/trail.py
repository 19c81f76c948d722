"""What a trace tells of attempts: one span each, linked to the attempt before, with its end as an event.

The span of an attempt is written by whoever writes the attempt's end into the ledger: its worker, or the sweeper when
the lease ran out. A worker that lost its lease writes a span of its own below it, so that both are seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import time_ns

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from chassis.ledger.tasks import Before, Ending, Lease
from chassis.telemetry import fixed
from chassis.telemetry.setup import tracer

TASK, SUBJECT, BELONGS_TO = "cohortstream.task", "cohortstream.subject", "cohortstream.belongs_to"
ATTEMPT, ENDING, REASON = "cohortstream.attempt", "cohortstream.ending", "cohortstream.reason"
QUIET = (Ending.done, Ending.waiting, Ending.preemption)
"""Ends at which nothing went wrong with the work."""


class Trail:
    """The open span of one attempt. `because` takes the reason of its end, in words of which there are few."""

    def __init__(self, service: str, lease: Lease, span: Span) -> None:
        self._service, self._lease, self._span = service, lease, span
        self._because: str | None = None

    def because(self, reason: str | None) -> None:
        self._because = reason

    def ended(self, ending: Ending) -> None:
        """The ledger has it."""
        self._span.set_attribute(ENDING, ending.value)
        if ending is not Ending.done:
            reason = {} if self._because is None else {REASON: self._because}
            self._span.add_event(ending.value, reason)
            self._span.set_attributes(reason)
        if ending not in QUIET:
            self._span.set_status(Status(StatusCode.ERROR, ending.value))
        self._span.end()

    def lost(self) -> None:
        """The lease is no longer held: what this worker knows of it, below the span that whoever ended it writes."""
        late = tracer().start_span(
            f"{self._service} lease lost", context=trace.set_span_in_context(self._span), attributes=_whose(self._lease)
        )
        late.set_status(Status(StatusCode.ERROR, "lease lost"))
        late.end()


@contextmanager
def trail(service: str, lease: Lease, before: Before | None) -> Iterator[Trail]:
    """The attempt's span, current until the context ends; it is ended by `Trail.ended` alone. `before` is how the
    attempt before it ended."""
    links = []
    if before is not None:
        links.append(_link_to_attempt(service, lease, before))
        if before.ending is Ending.waiting:
            _tell_wait(service, lease, before)
    span = _start(service, lease, links=links)
    if before is not None:
        # OpenTelemetry's own word for it would be a counter; a person looks for what happened
        span.add_event("retry", {"cohortstream.after": before.ending.value})
    with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
        yield Trail(service, lease, span)


def tell_lost(service: str, lease: Lease, *, now: datetime, before: Before | None) -> None:
    """The span of an attempt whose worker never came back, from its claim to the end that the sweep gave it."""
    links = [_link_to_attempt(service, lease, before)] if before is not None else []
    span = _start(service, lease, links=links, began=_ns(lease.started_at))
    span.set_attribute(ENDING, Ending.loss.value)
    span.set_attribute("cohortstream.host", lease.owner.partition("/")[0])
    reason = {REASON: "the lease expired without a word"}
    span.add_event(Ending.loss.value, reason, timestamp=_ns(now))
    span.set_attributes(reason)
    span.set_status(Status(StatusCode.ERROR, Ending.loss.value))
    span.end(_ns(now))


def _start(service: str, lease: Lease, *, links: list[Link], began: int | None = None) -> Span:
    # its cause is its parent and no link besides: Jaeger folds the two into one reference, and the parent is lost
    return fixed.start(
        tracer(),
        f"{service} {lease.kind}",
        fixed.ids_of_attempt(service, lease.key, lease.attempt),
        cause=lease.traceparent,
        kind=SpanKind.CONSUMER,
        attributes=_about(lease),
        links=links,
        began=began,
    )


def _tell_wait(service: str, lease: Lease, before: Before) -> None:
    """The time without a lease, which no process spends: told once it is over."""
    span = fixed.start(
        tracer(),
        f"{service} waiting",
        fixed.ids_of_attempt(service, lease.key, f"before {lease.attempt}"),
        cause=lease.traceparent,
        kind=SpanKind.INTERNAL,
        attributes=_whose(lease) | {"cohortstream.waited_for": waited_for(before.reason)},
        links=[_link_to_attempt(service, lease, before)],
        began=_ns(before.ended_at),
    )
    span.end(max(_ns(before.ended_at), min(_ns(lease.started_at), time_ns())))


def waited_for(reason: str | None) -> str:
    """What a parked task waited for, in one of few words; `reason` is the ledger's, with names and times in it."""
    if reason is not None and reason.startswith("WAITING_RESTORE"):
        return "restore"
    return "a person"


def _link_to_attempt(service: str, lease: Lease, before: Before) -> Link:
    return fixed.link(
        fixed.ids_of_attempt(service, lease.key, before.attempt),
        cause=lease.traceparent,
        attributes={ENDING: before.ending.value},
    )


def _about(lease: Lease) -> dict[str, str | int]:
    """Of an attempt: who counts attempts counts spans with a task."""
    return {TASK: lease.key, ATTEMPT: lease.attempts, **_whose(lease)}


def _whose(lease: Lease) -> dict[str, str]:
    return {SUBJECT: lease.subject, BELONGS_TO: lease.belongs_to}


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
