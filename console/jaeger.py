"""Spans out of a tracing backend, by Jaeger's query API: for a console that sees no state folder, as beside containers.

Traces are read by its version 3, which answers in OTLP's own form: to the nanosecond, and with a link beside the parent
where an older answer has one reference for both.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from chassis.errors import reject
from chassis.telemetry.spans import Span
from console.exits import Unreachable
from console.spantree import BELONGS_TO, SUBJECT

PREFIX = "cohortstream-"
MOST_TRACES = 100
"""Of one subject, in one service."""
LOOK_BACK = timedelta(days=365)
ANSWER_S = 20.0
STATUS_ERROR = 2


def fetch_spans(api: str, subject: str, *, now: datetime | None = None) -> list[Span]:
    """Every span of the traces with a span about the subject, or about what belongs to it, within a year.

    `api` is the base address of the query service, as `http://127.0.0.1:16686`. Raises Rejected (CONFIG_VALUE) when it
    is no such address, Unreachable when nothing answers there as Jaeger does.
    """
    until = (now or datetime.now(UTC)) + timedelta(minutes=5)
    window = {"start": _microseconds(until - LOOK_BACK), "end": _microseconds(until), "limit": MOST_TRACES}
    traces: set[str] = set()
    for service in _get(api, "/api/v3/services").get("services") or ():
        if service.startswith(PREFIX):
            for attribute in (SUBJECT, BELONGS_TO):
                # the search of v3 takes attributes and ignores them (2.13), so the older one finds the ids
                asked = {"service": service, "tags": json.dumps({attribute: subject}), **window}
                answer = _get(api, f"/api/traces?{urlencode(asked)}")
                traces |= {trace["traceID"] for trace in answer.get("data") or ()}
    return [
        span
        for trace in sorted(traces)
        for span in spans_in(_get(api, f"/api/v3/traces/{quote(trace, safe='')}").get("result", {}))
    ]


def spans_in(document: Mapping[str, Any]) -> Iterator[Span]:
    """The spans of an OTLP document in JSON (`resourceSpans`), as the span files have them."""
    for of_resource in document.get("resourceSpans", ()):
        service = str(_plain(of_resource["resource"].get("attributes", ())).get("service.name", ""))
        for of_scope in of_resource.get("scopeSpans", ()):
            for span in of_scope.get("spans", ()):
                yield Span(
                    trace_id=span["traceId"],
                    span_id=span["spanId"],
                    parent_id=span.get("parentSpanId") or None,
                    name=span["name"],
                    service=service.removeprefix(PREFIX),
                    start=int(span.get("startTimeUnixNano", 0)),
                    end=int(span.get("endTimeUnixNano", 0)),
                    ok=span.get("status", {}).get("code") != STATUS_ERROR,
                    attributes=_plain(span.get("attributes", ())),
                    events=tuple(event["name"] for event in span.get("events", ())),
                    links=tuple((link["traceId"], link["spanId"]) for link in span.get("links", ())),
                )


def _plain(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {item["key"]: _value(item["value"]) for item in attributes}


def _value(value: Mapping[str, Any]) -> Any:
    match value:
        case {"intValue": number}:  # JSON has no 64 bits
            return int(number)
        case {"arrayValue": {"values": values}}:
            return [_value(one) for one in values]
        case {"stringValue": one} | {"boolValue": one} | {"doubleValue": one}:
            return one
        case _:
            return None


def _get(api: str, path: str) -> dict[str, Any]:
    at = urlsplit(api)
    if at.scheme not in ("http", "https") or at.hostname is None:
        raise reject(
            code="CONFIG_VALUE",
            message="this is no address of a web service",
            where="telemetry.traces_api",
            rule="the base address of Jaeger's query service, http or https",
            fix="as http://127.0.0.1:16686, or leave it out to read the span files",
        )
    kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
    connection = kind(at.hostname, at.port, timeout=ANSWER_S)
    try:
        connection.request("GET", f"{at.path.rstrip('/')}{path}", headers={"accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise _unreachable(api, f"it answered {answer.status}")
        document = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(api, type(error).__name__) from error
    finally:
        connection.close()
    if not isinstance(document, dict):
        raise _unreachable(api, "it does not answer as Jaeger does")
    return document


def _unreachable(api: str, said: str) -> Unreachable:
    return Unreachable(
        what="the tracing backend",
        where=api,
        said=said,
        fix="start Jaeger, or take telemetry.traces_api out of the configuration to read the span files",
    )


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
