"""One connected trace through real processes, as a backend receives it and as the state folder keeps it."""

from __future__ import annotations

import asyncio
import secrets
import signal
from pathlib import Path

import pytest

from chassis.ledger.ledger import Ledger
from chassis.telemetry.spans import read_spans
from tests.conftest import until
from tests.faults.signs import started
from tests.support import tiny
from tests.support.messages import tag
from tests.support.otlp import Received, Receiver, receiver
from tests.support.site import Site, sample_key
from tests.support.working import enqueue


def one(spans: list[Received], name: str) -> Received:
    (span,) = [span for span in spans if span.name == name]
    return span


def attempts(spans: list[Received]) -> list[Received]:
    return sorted(
        (span for span in spans if span.name == "tiny steps"), key=lambda span: span.attributes["cohortstream.attempt"]
    )


@pytest.mark.usefixtures("tiny_begins_now")
async def test_command_task_and_event_are_one_trace(site: Site, ledger: Ledger) -> None:
    """publish -> handler -> attempt -> chunk in the child, its event's publication -> handler."""
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
    published = one(spans, "publish sample.withdrawn")
    told = one(spans, "process sample.withdrawn")
    commits = [span for span in spans if span.name == "COMMIT tiny"]
    assert asked.parent_id == publish_id
    assert attempt.parent_id == asked.span_id
    assert attempt.links == (), "its cause is its parent: Jaeger loses a parent that is linked to besides"
    assert chunk.parent_id == attempt.span_id
    assert published.parent_id == attempt.span_id
    assert told.parent_id == published.span_id
    assert sorted(span.parent_id or "" for span in commits) == sorted(
        span.span_id for span in (asked, attempt, told)
    ), "one for each handler and for the attempt's end, none for polls and heartbeats"
    assert len(spans) == 8
    assert {span.service for span in spans} == {"cohortstream-tiny"}
    assert asked.attributes["cohortstream.subject"] == attempt.attributes["cohortstream.subject"] == sample
    assert all("message.key" not in name for span in spans for name in span.attributes), "keys of messages stay inside"
    for span in (asked, published, told):
        assert span.attributes["messaging.system"] == "kafka"
        assert span.attributes["messaging.destination.name"] == span.name.partition(" ")[2]
    assert published.attributes["messaging.operation.type"] == "send"
    assert {span.attributes["db.system.name"] for span in commits} == {"postgresql"}
    assert len({span.resource["service.instance.id"] for span in (asked, attempt, chunk)}) == 3, "three processes"
    assert all({"host.name", "service.version", "service.namespace"} <= set(span.resource) for span in spans)

    kept = {span.span_id: span for span in read_spans(site.folder) if span.trace_id == trace_id}
    assert set(kept) == {span.span_id for span in spans}
    for span in spans:
        file = kept[span.span_id]
        assert (file.name, file.parent_id, file.links, file.ok) == (span.name, span.parent_id, span.links, True)
    assert kept[attempt.span_id].attributes["cohortstream.ending"] == "done"
    assert 0 < kept[chunk.span_id].seconds <= kept[attempt.span_id].seconds


async def test_a_killed_and_a_preempted_attempt_are_spans_too_and_the_next_links_to_them(
    site: Site, ledger: Ledger, tmp_path: Path
) -> None:
    """The first worker is killed, the second told to go, the third does the work. Nothing of the spans is lost."""
    site.lease_seconds, site.drain_seconds = 1.0, 0.2
    journal, gates = tmp_path / "journal", tmp_path / "gates"
    gates.mkdir()
    task = tiny.steps_task(sample_key(), chunks=3, gates=str(gates), journal=str(journal))
    with receiver() as backend:
        site.otlp_endpoint = backend.endpoint
        await enqueue(ledger, task)
        (gates / "chunk-0").touch()
        killed = await site.start("work", tiny.BUILDER, host="one")
        await until(lambda: started(journal, "chunk-1"))
        await until(lambda: _named(backend, "tiny chunk", 1))
        killed.signal(signal.SIGKILL)
        await killed.ended()
        told = await site.start("work", tiny.BUILDER, host="two")
        (gates / "chunk-1").touch()
        await until(lambda: started(journal, "chunk-2"))
        await told.stop()
        (gates / "chunk-2").touch()
        await site.start("work", tiny.BUILDER)
        await until(lambda: _named(backend, "tiny steps", 3))
        await site.stop()

    first, second, third = attempts(backend.spans)
    assert len({span.trace_id for span in (first, second, third)}) == 1, "a task without a cause has a trace of its own"
    assert [span.attributes["cohortstream.ending"] for span in (first, second, third)] == ["loss", "preemption", "done"]
    assert first.attributes["cohortstream.host"] == "one"
    assert [name for name, _ in first.events] == ["loss"]
    assert second.events[0] == ("retry", {"cohortstream.after": "loss"})
    assert second.events[1] == ("preemption", {"cohortstream.reason": "told to stop"})
    assert [name for name, _ in third.events] == ["retry"]
    assert (second.links, third.links) == (
        ((first.trace_id, first.span_id),),
        ((second.trace_id, second.span_id),),
    )
    assert (first.ok, second.ok, third.ok) == (False, True, True)
    chunks = [span.parent_id for span in backend.spans if span.name == "tiny chunk"]
    assert sorted(chunks) == sorted([first.span_id, second.span_id, third.span_id]), "a killed attempt keeps its own"


async def _received(backend: Receiver, trace_id: str, name: str) -> bool:
    """The chunk's span comes last: the child exports on its own time."""
    names = {span.name for span in backend.of_trace(trace_id)}
    return {name, "tiny chunk", "publish sample.withdrawn"} <= names


async def _named(backend: Receiver, name: str, count: int) -> bool:
    return sum(span.name == name for span in backend.spans) >= count
