"""Traces, metrics and logs of one process: to the state folder always, to an OTLP endpoint when one is set."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from chassis.settings import TelemetrySettings
from chassis.telemetry.export import Batches
from chassis.telemetry.fixed import IdGenerator
from chassis.telemetry.logs import setup_logs
from chassis.telemetry.spans import SpanFile

if TYPE_CHECKING:
    from chassis.telemetry.scrape import Scrape

SCOPE = "cohortstream"
EXPORT_SECONDS = 2
"""A collector answers within milliseconds; one that does not holds up no more than a process's end."""


@contextmanager
def telemetry(
    *, service: str, process: str, state_dir: Path, settings: TelemetrySettings, scraped: bool = False
) -> Iterator[Scrape | None]:
    """Set up this process's telemetry and flush it at the end. Yields what Prometheus reads of it, if it is `scraped`.

    Spans and metrics go through bounded queues that drop rather than block: a backend that is down slows no work.
    """
    setup_logs(service=service, process=process, level=settings.log_level)
    resource = resource_of(service)
    readers: list[MetricReader] = []
    scrape: Scrape | None = None
    if scraped:
        from chassis.telemetry.scrape import Scrape

        scrape = Scrape()
        readers.append(scrape.reader)
    if settings.otlp_endpoint and settings.otlp_metrics:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        base = settings.otlp_endpoint.rstrip("/")
        readers.append(
            PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=EXPORT_SECONDS))
        )
    meter_provider = MeterProvider(resource=resource, metric_readers=readers)
    metrics.set_meter_provider(meter_provider)
    tracer_provider = TracerProvider(resource=resource, id_generator=IdGenerator())
    span_file = SpanFile(state_dir=state_dir, service=service, process=process)
    tracer_provider.add_span_processor(Batches(span_file, to="file", meter=meter(), every_ms=300))
    if settings.otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        collector = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        tracer_provider.add_span_processor(Batches(collector, to="collector", meter=meter(), every_ms=500))
    trace.set_tracer_provider(tracer_provider)
    try:
        yield scrape
    finally:
        tracer_provider.shutdown()
        meter_provider.shutdown(timeout_millis=EXPORT_SECONDS * 1000)


def resource_of(service: str) -> Resource:
    """Which process of which service tells: OpenTelemetry's `service.*` and `host.name`."""
    host = socket.gethostname()
    return Resource.create(
        {
            "service.name": f"{SCOPE}-{service}",
            "service.namespace": SCOPE,
            # a container's processes all have the same numbers
            "service.instance.id": f"{host}-{os.getpid()}-{secrets.token_hex(4)}",
            "service.version": release(),
            "host.name": host,
        }
    )


class Flush:
    """Sends what waits at once, beside the work; at most one at a time, however slow the collector is."""

    def __init__(self) -> None:
        self._under_way: threading.Thread | None = None

    def __call__(self, *, wait_s: float = 0.0) -> None:
        """`wait_s`: for a process that is about to be killed, which waits no longer than that."""
        provider = trace.get_tracer_provider()
        if not isinstance(provider, TracerProvider):
            return
        if self._under_way is None or not self._under_way.is_alive():
            self._under_way = threading.Thread(target=provider.force_flush, name="flush-spans", daemon=True)
            self._under_way.start()
        if wait_s:
            self._under_way.join(wait_s)


def release() -> str:
    """Which version of cohortstream this is."""
    try:
        return version(SCOPE)
    except PackageNotFoundError:  # run from a copy of the sources
        return "unknown"


def tracer() -> trace.Tracer:
    return trace.get_tracer(SCOPE)


def meter() -> metrics.Meter:
    return metrics.get_meter(SCOPE)
