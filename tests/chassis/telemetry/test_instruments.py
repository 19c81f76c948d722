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


def named_points(reader: InMemoryMetricReader) -> Iterator[tuple[str, Any]]:
    document = reader.get_metrics_data()
    assert document is not None
    for resource in document.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    yield metric.name, point


def all_points(reader: InMemoryMetricReader) -> list[Any]:
    return [point for _, point in named_points(reader)]


def points(reader: InMemoryMetricReader) -> dict[tuple[str, str], Any]:
    """(metric, its first label's value) -> data point."""
    return {(name, str(next(iter(sorted(point.attributes.items())))[1])): point for name, point in named_points(reader)}


def test_a_worker_has_slots_and_busy_ones(reader: InMemoryMetricReader) -> None:
    for busy in (0, 2, 1):
        instruments.slots(service="align", pools="default,spot", total=4, busy=busy)
    found = {point[0]: point_of for point, point_of in points(reader).items()}
    assert (found["cohortstream.worker.slots"].value, found["cohortstream.worker.slots.busy"].value) == (4, 1)
    assert dict(found["cohortstream.worker.slots"].attributes) == {"service": "align", "pools": "default,spot"}


def test_a_consumers_lag_is_gauged_by_topic(reader: InMemoryMetricReader) -> None:
    instruments.consumer_lag(service="align", lag={"run.completed": 7, "artifact.restored": 0})
    found = {point.attributes["topic"]: point.value for point in all_points(reader)}
    assert found == {"run.completed": 7, "artifact.restored": 0}


def test_a_process_says_what_its_probes_say(reader: InMemoryMetricReader) -> None:
    instruments.process_well(service="align", role="work", live=True, ready=False)
    instruments.build_info(service="align", role="work", version="0.1.0")
    found = {name: point.value for (name, _), point in points(reader).items()}
    assert found == {
        "cohortstream.process.live": 1,
        "cohortstream.process.ready": 0,
        "cohortstream.build.info": 1,
    }


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
