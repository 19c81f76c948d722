"""Spans of transactions that matter to a trace: a handler's, and the one that ends an attempt. Polls have none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import SpanKind, Status, StatusCode

from chassis.telemetry.setup import tracer


@contextmanager
def transaction_span(service: str) -> Iterator[None]:
    """The span of one transaction in a service's ledger, from its begin to the acknowledged commit. It is not made
    current: events and tasks written in it name the work as their cause, not the writing."""
    span = tracer().start_span(
        f"COMMIT {service}",
        kind=SpanKind.CLIENT,
        attributes={"db.system.name": "postgresql", "db.namespace": service, "db.operation.name": "COMMIT"},
    )
    try:
        yield
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", type(error).__name__)
        raise
    finally:
        span.end()
