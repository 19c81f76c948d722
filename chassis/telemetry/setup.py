"""Traces, metrics and logs of one process: to the state folder always, to an OTLP endpoint when one is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from chassis.settings import TelemetrySettings
from chassis.telemetry.logs import setup_logs
from chassis.telemetry.spans import SpanFile

SCOPE = "cohortstream"
EXPORT_SECONDS = 2
"""A collector answers within milliseconds; one that does not holds up no more than a process's end."""


@contextmanager
def telemetry(*, service: str, process: str, state_dir: Path, settings: TelemetrySettings) -> Iterator[None]:
    """Set up this process's telemetry and flush it at the end.

    Spans and metrics go through bounded queues that drop rather than block: a backend that is down slows no work.
    """
    setup_logs(service=service, process=process, level=settings.log_level)
    resource = Resource.create({"service.name": f"cohortstream-{service}", "service.namespace": "cohortstream"})
    tracer_provider = TracerProvider(resource=resource)
    span_file = SpanFile(state_dir=state_dir, service=service, process=process)
    tracer_provider.add_span_processor(BatchSpanProcessor(span_file, schedule_delay_millis=300))
    readers: list[MetricReader] = []
    if settings.otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = settings.otlp_endpoint.rstrip("/")
        tracer_provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=EXPORT_SECONDS), schedule_delay_millis=500
            )
        )
        readers.append(
            PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=EXPORT_SECONDS))
        )
    trace.set_tracer_provider(tracer_provider)
    meter_provider = MeterProvider(resource=resource, metric_readers=readers)
    metrics.set_meter_provider(meter_provider)
    try:
        yield
    finally:
        tracer_provider.shutdown()
        meter_provider.shutdown(timeout_millis=EXPORT_SECONDS * 1000)


def tracer() -> trace.Tracer:
    return trace.get_tracer(SCOPE)


def meter() -> metrics.Meter:
    return metrics.get_meter(SCOPE)
