"""The span file and the trace context, without any service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from chassis.telemetry.context import attached, context_of, current_traceparent, link_to
from chassis.telemetry.spans import SpanFile, read_spans

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def file_of(folder: Path) -> Path:
    return folder / "spans" / f"tiny-test-{os.getpid()}.jsonl"


def tracer_into(folder: Path) -> trace.Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SpanFile(state_dir=folder, service="tiny", process="test")))
    return provider.get_tracer("test")


def test_a_span_comes_back_as_it_was(tmp_path: Path) -> None:
    with tracer_into(tmp_path).start_as_current_span(
        "s", context=context_of(TRACEPARENT), links=link_to(TRACEPARENT), attributes={"n": 3}
    ) as span:
        span.add_event("happened")
    (read,) = read_spans(tmp_path)
    _, trace_id, parent_id, _ = TRACEPARENT.split("-")
    assert (read.name, read.service, read.trace_id, read.parent_id) == ("s", "tiny", trace_id, parent_id)
    assert read.links == ((trace_id, parent_id),)
    assert (read.attributes, read.events, read.ok) == ({"n": 3}, ("happened",), True)
    assert read.end >= read.start > 0


def test_a_line_that_a_kill_cut_off_costs_only_itself(tmp_path: Path) -> None:
    tracer = tracer_into(tmp_path)
    tracer.start_span("whole").end()
    with file_of(tmp_path).open("a") as out:
        out.write('{"trace_id": "0af')
    assert [span.name for span in read_spans(tmp_path)] == ["whole"]


def test_a_file_that_grew_large_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = tracer_into(tmp_path)
    tracer.start_span("old").end()
    monkeypatch.setattr("chassis.telemetry.spans.MOST_BYTES", 1)
    tracer.start_span("new").end()
    assert file_of(tmp_path).with_suffix(".jsonl.1").exists()
    assert {span.name for span in read_spans(tmp_path)} == {"old", "new"}


def test_a_process_without_spans_leaves_no_file(tmp_path: Path) -> None:
    tracer_into(tmp_path)
    assert list(read_spans(tmp_path)) == []
    assert not (tmp_path / "spans").exists()


def test_context_goes_through_a_row_and_comes_back() -> None:
    assert current_traceparent() is None
    with attached(TRACEPARENT):
        assert current_traceparent() == TRACEPARENT
    assert current_traceparent() is None


def test_a_broken_context_is_none() -> None:
    assert link_to("nonsense") == [] and link_to(None) == []
    with attached("nonsense"):
        assert current_traceparent() is None
