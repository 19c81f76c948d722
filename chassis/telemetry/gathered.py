"""A span that gathers links to what it waited for: a span has one parent, and it is the last that arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link

from chassis.telemetry.context import link_to

MOST_LINKS = 120
"""A span keeps 128 links by default and drops the first beyond that in silence; some are its own."""


def links_to(traceparents: Iterable[str | None]) -> list[Link]:
    """One link for each cause that is named."""
    return [link for traceparent in traceparents for link in link_to(traceparent)]


def link_arrivals(arrivals: Sequence[Link]) -> None:
    """Link the current span to what it gathered, the latest first: of more than MOST_LINKS those stay that held it up,
    and how many were left out is told."""
    span = trace.get_current_span()
    # a link to the parent besides is folded with it by Jaeger, and the parent is lost
    above = span.parent.span_id if isinstance(span, ReadableSpan) and span.parent is not None else 0
    seen = {span.get_span_context().span_id, above}
    kept = 0
    for link in arrivals:
        if link.context.span_id in seen:
            continue
        seen.add(link.context.span_id)
        if kept < MOST_LINKS:
            span.add_link(link.context, {"cohortstream.link": "arrival"})
        kept += 1
    if kept > MOST_LINKS:
        span.set_attribute("cohortstream.links_left_out", kept - MOST_LINKS)
