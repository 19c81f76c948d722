"""Spans whose ids follow from what they are about: an attempt's from its fencing token, a publication's from its event.

So whoever knows the token knows the span, without a word from the process that began it. A worker that is killed never
writes its attempt's span; the sweeper that takes the lease back writes it in its place, under the id that the spans of
the killed attempt's tools name as their parent. The attempt after it links to it by the same rule.
"""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.util.types import Attributes

from chassis.telemetry.context import context_of


@dataclass(frozen=True, slots=True)
class Ids:
    """`trace_id` counts only for a span without a cause."""

    trace_id: int
    span_id: int


_next: ContextVar[Ids | None] = ContextVar("ids of the span that is about to start", default=None)


class IdGenerator(RandomIdGenerator):
    """Random ids, but for a span that `start` begins."""

    def generate_span_id(self) -> int:
        ids = _next.get()
        return ids.span_id if ids is not None else super().generate_span_id()

    def generate_trace_id(self) -> int:
        ids = _next.get()
        return ids.trace_id if ids is not None else super().generate_trace_id()


def ids_of(about: str, version: str = "") -> Ids:
    """Ids of the span about this thing in this version; the trace id is the thing's alone, so that all versions of one
    without a cause share a trace."""
    thing = hashlib.sha256(about.encode()).digest()
    version_of_it = hashlib.sha256(f"{about}\n{version}".encode()).digest()
    return Ids(trace_id=int.from_bytes(thing[:16]) or 1, span_id=int.from_bytes(version_of_it[:8]) or 1)


def ids_of_attempt(service: str, task: str, attempt: str) -> Ids:
    """`attempt` is `<incarnation>-<epoch>`; two services may have tasks of one name."""
    return ids_of(f"{service}/{task}", attempt)


def start(
    tracer: trace.Tracer,
    name: str,
    ids: Ids,
    *,
    cause: str | None,
    kind: SpanKind,
    attributes: Attributes,
    links: list[Link] | None = None,
    began: int | None = None,
) -> Span:
    """Start, and make current nowhere, the span of these ids, caused by this traceparent. `began`: nanoseconds since
    the epoch."""
    token = _next.set(ids)
    try:
        return tracer.start_span(
            name, context=context_of(cause), kind=kind, attributes=attributes, links=links, start_time=began
        )
    finally:
        _next.reset(token)


def link(ids: Ids, *, cause: str | None, attributes: Attributes = None) -> Link:
    """A link to the span of these ids that this traceparent caused."""
    above = trace.get_current_span(context_of(cause)).get_span_context()
    found = SpanContext(
        trace_id=above.trace_id if above.is_valid else ids.trace_id,
        span_id=ids.span_id,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return Link(found, attributes)
