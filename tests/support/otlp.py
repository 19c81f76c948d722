"""An OTLP/HTTP receiver: what a tracing backend is sent, decoded from its protobuf."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    service: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    ok: bool = True
    resource: dict[str, Any] = field(default_factory=dict)


@dataclass
class Receiver:
    """`silent` takes connections and never answers, as a backend behind a dead load balancer."""

    endpoint: str
    silent: bool = False
    spans: list[Received] = field(default_factory=list)
    calls: int = 0
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    """Path and unpacked content of every call, metrics too."""
    released: threading.Event = field(default_factory=threading.Event)

    def of_trace(self, trace_id: str) -> list[Received]:
        return [span for span in self.spans if span.trace_id == trace_id]


def plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value") for item in attributes}


def decoded(body: bytes) -> Iterator[Received]:
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = plain(resource_spans.resource.attributes)
        for scope in resource_spans.scope_spans:
            for span in scope.spans:
                yield Received(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex() or None,
                    name=span.name,
                    service=resource["service.name"],
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    attributes=plain(span.attributes),
                    events=tuple((event.name, plain(event.attributes)) for event in span.events),
                    ok=span.status.code != Status.STATUS_CODE_ERROR,
                    resource=resource,
                )


@contextmanager
def receiver(*, silent: bool = False) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.calls += 1
            if received.silent:
                received.released.wait()
                return
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.bodies.append((self.path, body))
            if self.path == "/v1/traces":
                received.spans.extend(decoded(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """No access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received = Receiver(endpoint=f"http://127.0.0.1:{server.server_port}", silent=silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
