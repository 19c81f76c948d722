"""Trace context in W3C form, as events and task rows carry it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def current_traceparent() -> str | None:
    """The current span's `traceparent`, None when there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def context_of(traceparent: str | None) -> context.Context:
    """The remote context that `traceparent` names; an empty one when it is None or malformed."""
    if traceparent is None:
        return context.Context()
    return _PROPAGATOR.extract({"traceparent": traceparent}, context=context.Context())


def link_to(traceparent: str | None) -> list[trace.Link]:
    """A link to the span that `traceparent` names, for an attempt that goes on from an earlier one."""
    found = trace.get_current_span(context_of(traceparent)).get_span_context()
    return [trace.Link(found)] if found.is_valid else []


@contextmanager
def attached(traceparent: str | None) -> Iterator[None]:
    """Make `traceparent` the current context."""
    token = context.attach(context_of(traceparent))
    try:
        yield
    finally:
        context.detach(token)
