"""A file of spans in the state folder, one JSON object a line, so that `cohortstream trace` needs no backend."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

FOLDER = "spans"
MOST_BYTES = 64 * 1024 * 1024
"""A span file that grows past this is put aside as `.1`, the one before it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span as read back. Times in nanoseconds since the epoch; `links` are (trace id, span id)."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    service: str
    start: int
    end: int
    ok: bool
    attributes: Mapping[str, Any]
    events: tuple[str, ...]
    links: tuple[tuple[str, str], ...]

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9


class SpanFile(SpanExporter):
    """Appends spans; opened at the first one, so that a process without spans leaves no file."""

    def __init__(self, *, state_dir: Path, service: str, process: str) -> None:
        self._path = state_dir / FOLDER / f"{service}-{process}-{os.getpid()}.jsonl"
        self._service = service

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size > MOST_BYTES:
            self._path.replace(self._path.with_suffix(".jsonl.1"))
        with self._path.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(self._line(span)) + "\n" for span in spans)
        return SpanExportResult.SUCCESS

    def _line(self, span: ReadableSpan) -> dict[str, Any]:
        own = span.get_span_context()
        assert own is not None
        return {
            "trace_id": format(own.trace_id, "032x"),
            "span_id": format(own.span_id, "016x"),
            "parent_id": format(span.parent.span_id, "016x") if span.parent else None,
            "name": span.name,
            "service": self._service,
            "start": span.start_time or 0,
            "end": span.end_time or 0,
            "ok": span.status.is_ok or span.status.is_unset,
            "attributes": dict(span.attributes or {}),
            "events": [event.name for event in span.events],
            "links": [
                [format(link.context.trace_id, "032x"), format(link.context.span_id, "016x")] for link in span.links
            ],
        }


def read_spans(state_dir: Path) -> Iterator[Span]:
    """Every span in the state folder. A line cut off by a killed process is passed over: it is that span's loss."""
    for path in sorted((state_dir / FOLDER).glob("*.jsonl*")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    continue
                found = json.loads(line)
                yield Span(
                    trace_id=found["trace_id"],
                    span_id=found["span_id"],
                    parent_id=found["parent_id"],
                    name=found["name"],
                    service=found["service"],
                    start=found["start"],
                    end=found["end"],
                    ok=found["ok"],
                    attributes=found["attributes"],
                    events=tuple(found["events"]),
                    links=tuple((a, b) for a, b in found["links"]),
                )
