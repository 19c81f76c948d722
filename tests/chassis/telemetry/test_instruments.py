"""What the chassis counts, read back from an in-memory reader."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from chassis.telemetry import instruments


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    found = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[found])
    monkeypatch.setattr(instruments, "meter", lambda: provider.get_meter("test"))
    yield found
    provider.shutdown()


def points(reader: InMemoryMetricReader) -> dict[tuple[str, str], Any]:
    """(metric, ending or topic or service) -> data point."""
    document = reader.get_metrics_data()
    assert document is not None
    return {
        (metric.name, str(next(iter(sorted(point.attributes.items())))[1])): point
        for resource in document.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_time_without_a_result_is_wasted(reader: InMemoryMetricReader) -> None:
    for ending, seconds in (("done", 5.0), ("crash", 2.0), ("lost", 1.0), ("crash", 3.0)):
        instruments.attempt_ended(service="align", kind="align", ending=ending, seconds=seconds)
    found = points(reader)
    assert found["cohortstream.attempt.duration", "done"].count == 1
    assert found["cohortstream.attempt.wasted", "crash"].value == 5.0
    assert found["cohortstream.attempt.wasted", "lost"].value == 1.0
    assert ("cohortstream.attempt.wasted", "done") not in found


def test_the_outbox_has_an_age(reader: InMemoryMetricReader) -> None:
    now = datetime.now(UTC)
    instruments.outbox_backlog(service="align", backlog=3, oldest=now - timedelta(seconds=9), now=now)
    found = points(reader)
    assert found["cohortstream.outbox.oldest", "align"].value == 9.0
    assert found["cohortstream.outbox.backlog", "align"].value == 3


def test_stuck_subjects_are_gauged_by_kind_and_state_and_never_by_key(reader: InMemoryMetricReader) -> None:
    for count in (3, 0):
        instruments.subjects_stuck(service="align", stuck={("sample", "calling"): count})
        (point,) = points(reader).values()
        assert point.value == count
        assert dict(point.attributes) == {"service": "align", "kind": "sample", "state": "calling"}


def test_events_are_counted_by_what_became_of_them(reader: InMemoryMetricReader) -> None:
    for receipt in ("handled", "duplicate", "handled"):
        instruments.received(service="align", topic="run.completed", receipt=receipt)
    assert points(reader)["cohortstream.events.received", "handled"].value == 2
