"""One connected trace from run.completed to gvcf.ready, and one from the freeze request to panel.released."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Demo
from tests.support.otlp import Received

pytestmark = [pytest.mark.stack, pytest.mark.tools]


def linked(span: Received) -> set[str]:
    return {span_id for _, span_id in span.links}


def connected(spans: list[Received]) -> set[str]:
    """Ids reached from the one root by parent ids and links; the root is the span whose parent was not received."""
    known = {span.span_id: span for span in spans}
    roots = [span.span_id for span in spans if span.parent_id not in known and not linked(span) & set(known)]
    assert len(roots) == 1, f"roots: {[known[r].name for r in roots]}"
    reached = set(roots)
    while True:
        more = {
            span.span_id
            for span in spans
            if span.span_id not in reached and (span.parent_id in reached or linked(span) & reached)
        }
        if not more:
            return reached
        reached |= more


def traces_with(demo: Demo, name: str) -> list[list[Received]]:
    found = {span.trace_id for span in demo.received.spans if span.name == name}
    return [demo.received.of_trace(trace) for trace in sorted(found)]


def test_a_runs_trace_goes_from_the_run_to_the_gvcfs(demo: Demo) -> None:
    traces = traces_with(demo, "process run.completed")
    assert len(traces) == 2
    for spans in traces:
        assert connected(spans) == {span.span_id for span in spans}
        names = {span.name for span in spans}
        assert {"process run.completed", "align align", "align call", "process gvcf.ready"} <= names


def test_a_freezes_trace_goes_from_its_request_to_its_release(demo: Demo) -> None:
    traces = traces_with(demo, "request cohort.freeze.requested")
    assert len(traces) == 2
    for freeze, spans in enumerate(traces):
        assert connected(spans) == {span.span_id for span in spans}, freeze
        names = [span.name for span in spans]
        assert {
            "process cohort.freeze.requested",
            "jointcall plan",
            "jointcall interval",
            "vqsr train",
            "vqsr filter",
            "vqsr finalise",
            "annotate annotate",
            "annotate release",
            "process panel.released",
        } <= set(names)
        assert names.count("jointcall interval") >= 8, "one span per interval attempt"


def test_an_attempt_is_linked_to_what_caused_it(demo: Demo) -> None:
    attempts = [span for span in demo.received.spans if span.name == "align align"]
    handlers = {span.span_id for span in demo.received.spans if span.name == "process run.completed"}
    topped_up = [span for span in attempts if span.parent_id not in handlers]
    assert attempts and len(topped_up) <= 1, "a top-up may be started by the version before it"


def test_the_terminal_shows_the_same_trace(demo: Demo) -> None:
    cohort = demo.command("trace", "demo", "--json")
    assert cohort.returncode == 0, cohort.stderr
    shown = json.dumps(json.loads(cohort.stdout))
    for name in ("request cohort.freeze.requested", "jointcall interval", "annotate release"):
        assert name in shown
    sample = next(span.attributes["cohortstream.subject"] for span in demo.received.spans if span.name == "align align")
    drawn = demo.command("trace", sample)
    assert drawn.returncode == 0, drawn.stderr
    assert "align align" in drawn.stdout and "align call" in drawn.stdout
