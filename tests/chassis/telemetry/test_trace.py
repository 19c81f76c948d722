"""One connected trace through real processes, as a backend receives it and as the state folder keeps it."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from chassis.ledger.ledger import Ledger
from chassis.telemetry.spans import read_spans
from tests.conftest import until
from tests.support import tiny
from tests.support.messages import tag
from tests.support.otlp import Received, Receiver, receiver
from tests.support.site import Site, sample_key


def one(spans: list[Received], name: str) -> Received:
    (span,) = [span for span in spans if span.name == name]
    return span


@pytest.mark.usefixtures("tiny_begins_now")
async def test_command_task_and_event_are_one_trace(site: Site, ledger: Ledger) -> None:
    """publish -> handler -> attempt (links to its cause) -> chunk in the child -> handler of the produced event."""
    trace_id, publish_id = secrets.token_hex(16), secrets.token_hex(8)
    sample = sample_key()
    with receiver() as backend:
        site.otlp_endpoint = backend.endpoint
        await asyncio.gather(site.start("consume", tiny.BUILDER), site.start("work", tiny.BUILDER))
        await site.publish(tag(sample), traceparent=f"00-{trace_id}-{publish_id}-01")
        await until(lambda: _received(backend, trace_id, "process sample.withdrawn"), seconds=60)
        await site.stop()

    spans = backend.of_trace(trace_id)
    asked = one(spans, "process sample.tag.requested")
    attempt = one(spans, "tiny steps")
    chunk = one(spans, "tiny chunk")
    told = one(spans, "process sample.withdrawn")
    assert asked.parent_id == publish_id
    assert attempt.parent_id == asked.span_id
    assert attempt.links == ((trace_id, asked.span_id),)
    assert chunk.parent_id == attempt.span_id
    assert told.parent_id == attempt.span_id
    assert len(spans) == 4
    assert {span.service for span in spans} == {"cohortstream-tiny"}
    assert asked.attributes["cohortstream.subject"] == attempt.attributes["cohortstream.subject"] == sample
    assert all("key" not in name for span in spans for name in span.attributes), "keys of messages stay inside"

    kept = {span.span_id: span for span in read_spans(site.folder) if span.trace_id == trace_id}
    assert set(kept) == {span.span_id for span in spans}
    for span in spans:
        file = kept[span.span_id]
        assert (file.name, file.parent_id, file.links, file.ok) == (span.name, span.parent_id, span.links, True)
    assert kept[attempt.span_id].attributes["cohortstream.ending"] == "done"
    assert 0 < kept[chunk.span_id].seconds <= kept[attempt.span_id].seconds


async def _received(backend: Receiver, trace_id: str, name: str) -> bool:
    """The chunk's span comes last: the child exports on its own time."""
    names = {span.name for span in backend.of_trace(trace_id)}
    return {name, "tiny chunk"} <= names
