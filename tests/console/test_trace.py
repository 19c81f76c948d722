"""`trace`: trees of a subject's spans, from span files alone or from a tracing backend."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chassis.telemetry.spans import Span, read_spans
from console.jaeger import fetch_spans
from console.spantree import Node, traces_of
from tests.console.conftest import Command

RUN, ONE, TWO = "240618_A01417_0219_AHK8C3DSX5", f"smp_{'1' * 24}", f"smp_{'2' * 24}"
SECOND = 1_000_000_000


def span(
    span_id: str,
    parent: str | None,
    name: str,
    *,
    subject: str = "",
    belongs_to: str = "",
    service: str = "align",
    trace: str = "t1",
    start: float = 0,
    seconds: float = 1,
    **more: Any,
) -> dict[str, Any]:
    attributes = {"cohortstream.subject": subject, "cohortstream.belongs_to": belongs_to} | more.pop("attributes", {})
    begin = int((1_700_000_000 + start) * SECOND)
    return {
        "trace_id": trace,
        "span_id": span_id,
        "parent_id": parent,
        "name": name,
        "service": service,
        "start": begin,
        "end": begin + int(seconds * SECOND),
        "ok": True,
        "attributes": {name: value for name, value in attributes.items() if value != ""},
        "events": [],
        "links": [],
    } | more


# a run of two samples; what follows for the first, and another run's trace
SPANS = [
    span("a", None, "ingest run folder", subject=RUN, service="ingest"),
    span("b", "a", "ingest check", subject=ONE, belongs_to=RUN, service="ingest", start=1),
    span("c", "a", "ingest check", subject=TWO, belongs_to=RUN, service="ingest", start=2),
    span("d", "c", "process run.completed", subject=RUN, start=4),
    span(
        "e", "d", "align align", subject=ONE, belongs_to=RUN, start=5, seconds=90, ok=False,
        attributes={"cohortstream.ending": "crash", "cohortstream.attempt": 1},
    ),
    span(
        "f", "d", "align align", subject=ONE, belongs_to=RUN, start=96, seconds=42.5, links=[["t1", "d"], ["t1", "e"]],
        attributes={"cohortstream.ending": "done", "cohortstream.attempt": 2},
    ),
    span("g", "d", "align align", subject=TWO, belongs_to=RUN, start=5, seconds=3),
    span("h", "f", "process cram.ready", subject=ONE, service="archive", start=140),
    span("i", "f", "process cram.ready", service="jointcall", start=141),
    span("z", None, "ingest run folder", subject="other", service="ingest", trace="t2"),
]  # fmt: skip


def write(state: Path, spans: list[dict[str, Any]], *, cut: str = "") -> None:
    (state / "spans").mkdir(parents=True)
    half = len(spans) // 2
    for name, part in (("ingest-consume-1.jsonl", spans[:half]), ("align-work-2.jsonl.1", spans[half:])):
        lines = "".join(json.dumps(one) + "\n" for one in part)
        (state / "spans" / name).write_text(lines + cut, encoding="utf-8")


def stored(tmp_path: Path) -> list[Span]:
    write(tmp_path, SPANS)
    return list(read_spans(tmp_path))


def shape(node: Node) -> dict[str, Any]:
    return {node.span.span_id: [shape(child) for child in node.children]}


def test_a_run_sees_its_whole_trace_as_one_tree(tmp_path: Path) -> None:
    (trace,) = traces_of(stored(tmp_path), RUN)
    assert trace.connected
    assert [shape(root) for root in trace.roots] == [
        {"a": [{"b": []}, {"c": [{"d": [{"e": []}, {"g": []}, {"f": [{"h": []}, {"i": []}]}]}]}]}
    ]


def test_a_sample_sees_its_own_branch_with_what_led_to_it_and_what_it_led_to(tmp_path: Path) -> None:
    (trace,) = traces_of(stored(tmp_path), ONE)
    assert trace.connected
    assert [shape(root) for root in trace.roots] == [
        {"a": [{"b": []}, {"c": [{"d": [{"e": []}, {"f": [{"h": []}, {"i": []}]}]}]}]}
    ]
    (trace,) = traces_of(stored(tmp_path / "again"), TWO)
    assert [shape(root) for root in trace.roots] == [{"a": [{"c": [{"d": [{"g": []}]}]}]}]


def test_a_span_whose_cause_was_lost_is_a_root_that_says_so(tmp_path: Path) -> None:
    write(tmp_path, [one for one in SPANS if one["span_id"] != "d"])
    (trace,) = traces_of(read_spans(tmp_path), ONE)
    assert not trace.connected
    lost = [root for root in trace.roots if root.cause_lost]
    assert [root.span.span_id for root in lost] == ["e", "f"]


def test_spans_that_name_each_other_as_cause_end_too(tmp_path: Path) -> None:
    """A broken file must not hang the command."""
    write(
        tmp_path,
        [span("a", "b", "x", subject="s"), span("b", "a", "y", subject="s"), span("c", None, "w", subject="s")],
    )
    (trace,) = traces_of(read_spans(tmp_path), "s")
    assert {one.span_id for one in trace.spans} == {"c"}


def test_the_command_prints_the_tree_with_durations_endings_and_links(cohortstream: Command, tmp_path: Path) -> None:
    write(tmp_path / "cohortstream-state", SPANS, cut='{"trace_id": "t1", "span_')
    ran = cohortstream("trace", ONE)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("trace t1")
    assert lines[0].endswith("2 min, 8 steps in 4 services")
    assert any("align align" in line and "90 s" in line and "crash" in line for line in lines)
    assert any(
        "42 s" in line and "done" in line and "attempt 2 after crash" in line and "2 links" in line for line in lines
    )
    assert sum(TWO in line for line in lines) == 1  # the check that completed the run stays: it led to the rest
    assert max(map(len, lines)) <= 100


def test_json_holds_the_spans_with_parents_and_links(cohortstream: Command, tmp_path: Path) -> None:
    write(tmp_path / "cohortstream-state", SPANS)
    ran = cohortstream("trace", RUN, "--json")
    (trace,) = ran.document
    assert trace["connected"] is True
    by_id = {one["span_id"]: one for one in trace["spans"]}
    assert by_id["f"]["parent_id"] == "d"
    assert by_id["f"]["links"] == [["t1", "d"], ["t1", "e"]]
    assert by_id["f"]["seconds"] == 42.5


def test_a_subject_without_spans_is_refused(cohortstream: Command) -> None:
    ran = cohortstream("trace", "nobody")
    assert ran.code == 3
    assert "TRACE_UNKNOWN" in ran.paragraph


# the answers of a tracing backend


def otlp(spans: list[dict[str, Any]]) -> dict[str, Any]:
    """As Jaeger's version 3 answers."""

    def value(one: Any) -> dict[str, Any]:
        return {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}

    def told(one: dict[str, Any]) -> dict[str, Any]:
        return {
            "traceId": one["trace_id"],
            "spanId": one["span_id"],
            "parentSpanId": one["parent_id"] or "",
            "name": one["name"],
            "startTimeUnixNano": str(one["start"]),
            "endTimeUnixNano": str(one["end"]),
            "attributes": [{"key": key, "value": value(each)} for key, each in one["attributes"].items()],
            "events": [{"name": name} for name in one["events"]],
            "links": [{"traceId": trace, "spanId": span} for trace, span in one["links"]],
            "status": {} if one["ok"] else {"code": 2},
        }

    resources = [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": f"cohortstream-{service}"}}]},
            "scopeSpans": [{"spans": [told(one) for one in spans if one["service"] == service]}],
        }
        for service in sorted({one["service"] for one in spans})
    ]
    return {"result": {"resourceSpans": resources}}


@contextmanager
def jaeger(spans: list[dict[str, Any]]) -> Iterator[str]:
    """The address of a server that knows these spans, and finds traces as Jaeger does: by an attribute in a service."""

    def answer(path: str, asked: dict[str, list[str]]) -> dict[str, Any] | None:
        if path == "/api/v3/services":
            return {"services": ["jaeger", *sorted({f"cohortstream-{one['service']}" for one in spans})]}
        if path == "/api/traces":
            [(key, value)] = json.loads(asked["tags"][0]).items()
            service = asked["service"][0].removeprefix("cohortstream-")
            found = {
                one["trace_id"] for one in spans if one["service"] == service and one["attributes"].get(key) == value
            }
            return {"data": [{"traceID": trace} for trace in found] or None}
        return otlp([one for one in spans if one["trace_id"] == path.rpartition("/")[2]])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at = urlsplit(self.path)
            body = json.dumps(answer(at.path, parse_qs(at.query))).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """No access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("subject", [RUN, ONE, TWO])
def test_a_tracing_backend_and_the_span_files_tell_the_same_tree(
    cohortstream: Command, tmp_path: Path, subject: str
) -> None:
    write(tmp_path / "cohortstream-state", SPANS)
    from_files = cohortstream("trace", subject)
    with jaeger(SPANS) as api:
        spans = fetch_spans(api, subject)
        (tmp_path / "site.toml").write_text(f'[telemetry]\ntraces_api = "{api}"\n', encoding="utf-8")
        from_api = cohortstream("--config", "site.toml", "trace", subject)
    assert traces_of(spans, subject) == traces_of(stored(tmp_path / "again"), subject)
    assert from_api.code == 0, from_api.err
    assert from_api.out == from_files.out


def test_a_backend_that_does_not_answer_is_named(cohortstream: Command, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('[telemetry]\ntraces_api = "http://127.0.0.1:1"\n', encoding="utf-8")
    ran = cohortstream("--config", "site.toml", "trace", ONE)
    assert ran.code == 4
    assert "the tracing backend at http://127.0.0.1:1 cannot be reached" in ran.paragraph


def test_the_link_and_what_tools_took_are_printed(cohortstream: Command, tmp_path: Path) -> None:
    tool = span(
        "t", "f", "tool bwa mem", start=97, ok=False,
        attributes={
            "process.exit.code": 137, "cohortstream.cpu_seconds": 61.24, "cohortstream.peak_memory_bytes": 512_000_000,
        },
    )  # fmt: skip
    parked = span("p", "d", "align waiting", subject=ONE, start=95, attributes={"cohortstream.waited_for": "restore"})
    interval = span(
        "n", "f", "jointcall interval", subject="panel:1", service="jointcall", start=97,
        attributes={"cohortstream.task": "interval:panel:1:17:0123456789ab"},
    )  # fmt: skip
    commit = span("q", "f", "COMMIT align", start=98, seconds=0.01)
    write(tmp_path / "cohortstream-state", [*SPANS, tool, parked, interval, commit])
    (tmp_path / "site.toml").write_text(
        '[telemetry]\ntraces_url = "http://127.0.0.1:16686/trace/{trace_id}"\n', encoding="utf-8"
    )
    ran = cohortstream("--config", "site.toml", "trace", ONE)
    assert "http://127.0.0.1:16686/trace/t1" in ran.out.splitlines()
    took = "61.2 s of processor, 512 MB, exit status 137"
    assert any("tool bwa mem" in line and took in line for line in ran.out.splitlines())
    assert any("jointcall interval  panel:1  no. 17" in line for line in ran.out.splitlines())
    assert "1 quick commit not drawn" in ran.out and "COMMIT" not in ran.out
    assert any("align waiting" in line and "for restore" in line for line in ran.out.splitlines())
