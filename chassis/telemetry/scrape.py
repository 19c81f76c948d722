"""What Prometheus reads of this process at `GET /metrics`: a registry of its own, filled by OpenTelemetry's
instruments, by what the kernel knows of the process, and by histograms that were counted elsewhere.

Imported only where a health port is set: a worker without one starts as quickly as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricReader
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from chassis.telemetry.exposed import Counted, Histogram


class Scrape:
    """One process's page of metrics."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self.reader: MetricReader = PrometheusMetricReader(
            disable_target_info=True, scope_info_enabled=False, registry=self._registry
        )

    def add(self, histograms: Callable[[], Iterable[Histogram]]) -> None:
        """Show these too. OpenTelemetry has no instrument for values that were counted elsewhere."""
        self._registry.register(_Elsewhere(histograms))

    def page(self) -> tuple[str, bytes]:
        """Content type and text."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)


class _Elsewhere(Collector):
    def __init__(self, histograms: Callable[[], Iterable[Histogram]]) -> None:
        self._histograms = histograms

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Nothing yet: being registered asks for no values."""
        return ()

    def collect(self) -> Iterable[HistogramMetricFamily]:
        for one in self._histograms():
            family = HistogramMetricFamily(one.name, one.description, labels=one.labels)
            for series in one.series:
                family.add_metric([series.labels[name] for name in one.labels], _cumulated(one, series), series.total)
            yield family


def _cumulated(histogram: Histogram, series: Counted) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    below = 0.0
    cumulated: list[tuple[str, float]] = []
    for bound, count in zip(bounds, series.buckets, strict=True):
        below += count
        cumulated.append((bound, below))
    return cumulated
