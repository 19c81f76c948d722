"""Spans on their way out: bounded, counted when they are dropped, and none is lost at the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from chassis.telemetry import export
from chassis.telemetry.export import Batches


class Backend(SpanExporter):
    """Takes spans once `open` is set; `answer` is what it says then."""

    def __init__(self, answer: SpanExportResult = SpanExportResult.SUCCESS, *, raises: OSError | None = None) -> None:
        self.open, self.asked = threading.Event(), threading.Event()
        self.answer, self.raises = answer, raises
        self.taken: list[str] = []
        self.calls = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        self.asked.set()
        self.open.wait(10)
        if self.raises is not None:
            raise self.raises
        if self.answer is SpanExportResult.SUCCESS:
            self.taken += [span.name for span in spans]
        return self.answer


class Going:
    def __init__(self, backend: Backend) -> None:
        self._reader = InMemoryMetricReader()
        meter = MeterProvider(metric_readers=[self._reader]).get_meter("test")
        self.provider = TracerProvider()
        self.provider.add_span_processor(Batches(backend, to="collector", meter=meter, every_ms=20))

    def make(self, count: int) -> None:
        for number in range(count):
            self.provider.get_tracer("test").start_span(f"s{number}").end()

    def dropped(self) -> dict[str, int]:
        document: Any = self._reader.get_metrics_data()
        if document is None:
            return {}
        [metric] = document.resource_metrics[0].scope_metrics[0].metrics
        assert metric.name == "cohortstream.spans.dropped"
        return {point.attributes["reason"]: point.value for point in metric.data.data_points}


def test_the_last_spans_go_out_when_the_process_ends() -> None:
    backend = Backend()
    backend.open.set()
    going = Going(backend)
    going.make(700)
    going.provider.shutdown()
    assert len(backend.taken) == 700
    assert going.dropped() == {}


def test_what_a_full_queue_drops_is_counted_and_said_and_nobody_waits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "QUEUE", 600)
    backend = Backend()
    going = Going(backend)
    going.make(1)
    assert backend.asked.wait(5)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="chassis.telemetry.export"):
        going.make(1000)
    assert time.monotonic() - began < 5, "the backend holds its answer back all the while"
    backend.open.set()
    going.provider.shutdown()
    assert going.dropped() == {"queue full": 400}
    assert len(backend.taken) == 601
    assert "spans were dropped" in caplog.text


@pytest.mark.parametrize("raises", [None, OSError(28, "No space left on device")])
def test_a_backend_that_is_away_is_asked_once_more_at_the_end_and_no_oftener(raises: OSError | None) -> None:
    backend = Backend(SpanExportResult.FAILURE, raises=raises)
    going = Going(backend)
    going.make(1)
    assert backend.asked.wait(5)
    going.make(2000)
    backend.open.set()
    going.provider.shutdown()
    assert backend.calls <= 3, "the call under way, and one that learns that it is still away"
    assert going.dropped() == {"backend away": 2001}
