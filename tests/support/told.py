"""Spans that code of this process makes, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis.telemetry.fixed import IdGenerator

ATTRIBUTES = {
    "process.executable.name",
    "process.command",
    "process.exit.code",
    "cohortstream.cpu_seconds",
    "cohortstream.peak_memory_bytes",
}
"""Of a tool's run that went well."""


@contextmanager
def spans_of(*modules: str) -> Iterator[InMemorySpanExporter]:
    """What these modules' `tracer()` makes meanwhile."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(id_generator=IdGenerator())
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(f"{module}.tracer", lambda: provider.get_tracer("test"))
        yield kept
    provider.shutdown()


@contextmanager
def tools_told() -> Iterator[InMemorySpanExporter]:
    with spans_of("chassis.tools.measured") as kept:
        yield kept


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


def exit_codes(kept: InMemorySpanExporter) -> list[tuple[str, int]]:
    """(name, exit status) of each run of a tool, in order of their ends."""
    return [(span.name, attributes_of(span)["process.exit.code"]) for span in kept.get_finished_spans()]
