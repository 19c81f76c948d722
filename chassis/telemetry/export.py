"""Spans on their way out: a bounded queue that never holds up the work, and a count of what it had to drop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from opentelemetry import metrics
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

log = logging.getLogger(__name__)

QUEUE = 2048
SAY_EVERY_S = 60.0


class Dropped:
    """Counts spans that went nowhere, by why, and says so in the log once a minute at most."""

    def __init__(self, to: str, meter: metrics.Meter) -> None:
        self._to = to
        self._counter = meter.create_counter(
            "cohortstream.spans.dropped", unit="{span}", description="Spans that reached no backend"
        )
        self._lock = threading.Lock()
        self._unsaid = 0
        self._said_at = float("-inf")
        self.count = 0

    def add(self, spans: int, why: str) -> None:
        self._counter.add(spans, {"to": self._to, "reason": why})
        with self._lock:
            self.count += spans
            self._unsaid += spans
            now = time.monotonic()
            if now - self._said_at < SAY_EVERY_S:
                return
            unsaid, self._unsaid, self._said_at = self._unsaid, 0, now
        log.warning("spans were dropped", extra={"to": self._to, "reason": why, "spans": unsaid})

    def close(self) -> None:
        """Say what was not said yet."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, 0
        if unsaid:
            log.warning("spans were dropped", extra={"to": self._to, "spans": unsaid})


class Batches(BatchSpanProcessor):
    """The SDK's batches, which drop the oldest without counting them when their queue is full."""

    def __init__(self, exporter: SpanExporter, *, to: str, meter: metrics.Meter, every_ms: int) -> None:
        self._counting = _Counting(exporter, Dropped(to, meter))
        super().__init__(self._counting, max_queue_size=QUEUE, schedule_delay_millis=every_ms)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._counting.submitted()
        super().on_end(span)

    def shutdown(self) -> None:
        """Send what waits. Once the backend has failed to answer here, the rest is dropped and counted: the end of a
        process waits for one call at most."""
        self._counting.closing = True
        shut_down: Callable[[], None] = super().shutdown
        shut_down()
        self._counting.close()


class _Counting(SpanExporter):
    def __init__(self, exporter: SpanExporter, dropped: Dropped) -> None:
        self._exporter, self._dropped = exporter, dropped
        self._lock = threading.Lock()
        self._waiting = 0
        self._away = False
        self.closing = False

    def submitted(self) -> None:
        with self._lock:
            full = self._waiting >= QUEUE
            self._waiting += not full
        if full:
            self._dropped.add(1, "queue full")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._lock:
            self._waiting -= len(spans)
        if self.closing and self._away:
            ended = SpanExportResult.FAILURE
        else:
            try:
                ended = self._exporter.export(spans)
            except OSError as error:  # the state folder's disk
                log.warning("spans could not be written", extra={"because": error.strerror})
                ended = SpanExportResult.FAILURE
        self._away = ended is not SpanExportResult.SUCCESS
        if self._away:
            self._dropped.add(len(spans), "backend away")
        return ended

    def close(self) -> None:
        with self._lock:
            left, self._waiting = self._waiting, 0
        if left > 0:
            self._dropped.add(left, "process ended")
        self._dropped.close()

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
