"""What an operator sees in Jaeger: a run of three people and a freeze of them through all services, with an attempt
that crashes, one that is preempted and one whose worker is killed."""

from __future__ import annotations

import re
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chassis.telemetry.spans import Span, read_spans
from console.jaeger import fetch_spans
from console.labels import KEY
from console.spantree import Trace, traces_of
from tests.conftest import until
from tests.containers import jaeger
from tests.support.flow import material
from tests.support.flow.plant import Going, Plant, running_plant
from tests.support.seeded.flaky import FILE

CRASHED = "select count(*) from attempt where ending = 'crash' and task_key like 'interval:%'"
CRASHING = 'crash_rate = 1.0\nseed = 7\nmost_crashes = 1\nways = ["tool"]\n'
OF_A_SAMPLE = {
    "ingest run folder",
    "ingest check",
    "publish run.completed",
    "process run.completed",
    "align align",
    "tool samtools view",
    "tool samtools index",
    "publish cram.ready",
    "align call",
    "publish gvcf.ready",
    "process gvcf.ready",
}
OF_A_FREEZE = {
    "request cohort.freeze.requested",
    "process cohort.freeze.requested",
    "jointcall plan",
    "publish cohort.frozen",
    "jointcall interval",
    "publish interval.genotyped",
    "process interval.genotyped",
    "vqsr train",
    "vqsr filter",
    "vqsr finalise",
    "publish panel.recalibrated",
    "annotate annotate",
    "annotate release",
    "publish panel.released",
    "process panel.released",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Jaeger's API says of each subject, and the files that the services left."""

    run: str
    samples: tuple[str, ...]
    cohort: str
    intervals: int
    jaeger: Mapping[str, list[Span]]
    files: list[Span]

    def trace(self, subject: str, *, with_span: str) -> Trace:
        """The one trace of the subject that has a span of this name."""
        (found,) = [
            trace
            for trace in traces_of(self.jaeger[subject], subject)
            if any(span.name == with_span for span in trace.spans)
        ]
        return found


@pytest.fixture(scope="module")
async def seen() -> AsyncIterator[Seen]:
    # not under pytest's own folder: a second pytest closes that to other users, such as the one Postgres runs as
    with tempfile.TemporaryDirectory(prefix="cohortstream-traces-") as made, jaeger.container() as backend:
        folder = Path(made)
        await jaeger.answers(backend)
        async with running_plant(folder / "plant", direct=True, otlp_endpoint=backend.otlp) as plant:
            going = await plant.submit(material.PEOPLE)
            await going.called()
            await _freeze_with_trouble(plant, going)
            intervals = len(await plant.rows("jointcall", "select key from task where kind = 'interval'"))
            await plant.quiet()
        files = list(read_spans(folder / "plant" / "state"))
        subjects = (going.run, *going.keys, going.cohort)

        async def all_there() -> bool:
            """Jaeger shows what it took a moment later."""
            there = {span.span_id for span in fetch_spans(backend.query, going.cohort)}
            return there >= {span.span_id for trace in traces_of(files, going.cohort) for span in trace.spans}

        await until(all_there, seconds=30)
        yield Seen(
            run=going.run,
            samples=going.keys,
            cohort=going.cohort,
            intervals=intervals,
            jaeger={subject: fetch_spans(backend.query, subject) for subject in subjects},
            files=files,
        )


async def _freeze_with_trouble(plant: Plant, going: Going) -> None:
    """Every first attempt crashes until an interval's has; then one attempt is preempted and one lost."""
    flaky = plant.settings.state_dir / FILE
    flaky.write_text(CRASHING, encoding="utf-8")
    await going.freeze()

    async def crashed() -> bool:
        return bool(await plant.value("jointcall", CRASHED))

    await plant.until(crashed)
    plant.arm("jointcall.after-upload", signal.SIGSTOP)
    flaky.unlink()
    await plant.struck("jointcall.after-upload")
    plant.arm("jointcall.before-commit", signal.SIGKILL)
    plant.signal("jointcall", "work", signal.SIGTERM)
    await plant.struck("jointcall.before-commit")
    await going.released()


def by_id(spans: Iterable[Span]) -> dict[str, Span]:
    return {span.span_id: span for span in spans}


def test_a_samples_trace_shows_ingest_align_and_gvcf_as_one_tree(seen: Seen) -> None:
    for sample in seen.samples:
        trace = seen.trace(sample, with_span="align align")
        assert trace.connected
        assert {span.name for span in trace.spans} >= OF_A_SAMPLE
        assert trace.roots[0].span.name == "ingest run folder"
        known = by_id(trace.spans)
        for span in trace.spans:
            above = known.get(span.parent_id or "")
            match span.name.split():
                case ["process", event]:
                    assert above is not None and above.name in (f"publish {event}", f"request {event}")
                case ["publish", _] | ["COMMIT", _]:
                    assert above is not None and above.service == span.service
                case ["align", "align" | "call"]:
                    assert above is not None and above.service == "align"
                case ["tool", *_]:
                    assert above is not None and "cohortstream.attempt" in above.attributes
                case _:
                    pass


def test_a_run_is_one_trace_whose_gather_links_to_the_checks_of_its_samples(seen: Seen) -> None:
    trace = seen.trace(seen.run, with_span="ingest run folder")
    assert trace.connected
    checks = [span for span in trace.spans if span.name == "ingest check"]
    assert {span.attributes["cohortstream.subject"] for span in checks} == set(seen.samples)
    (gathered,) = [span for span in checks if span.links]
    assert {span_id for _, span_id in gathered.links} == {span.span_id for span in checks if span is not gathered}, (
        "the last check announces the run, for all"
    )


def test_every_tool_says_how_it_ended_and_what_it_took(seen: Seen) -> None:
    tools = [span for spans in seen.jaeger.values() for span in spans if span.name.startswith("tool ")]
    assert tools
    for span in tools:
        assert span.attributes["process.exit.code"] == 0
        assert span.attributes["cohortstream.cpu_seconds"] >= 0
        assert span.attributes["cohortstream.peak_memory_bytes"] > 10_000_000
        assert span.name == f"tool {span.attributes['process.command']}"
        assert set(span.attributes) == {
            "process.executable.name",
            "process.command",
            "process.exit.code",
            "cohortstream.cpu_seconds",
            "cohortstream.peak_memory_bytes",
        }, "no argument, no file"


def test_a_freezes_trace_shows_the_fan_out_with_every_attempt(seen: Seen) -> None:
    trace = seen.trace(seen.cohort, with_span="request cohort.freeze.requested")
    assert trace.connected
    assert {span.name for span in trace.spans} >= OF_A_FREEZE
    assert trace.roots[0].span.name == "request cohort.freeze.requested"
    attempts = [span for span in trace.spans if span.name == "jointcall interval"]
    endings = Counter(span.attributes["cohortstream.ending"] for span in attempts)
    assert endings["done"] == seen.intervals
    assert (endings["preemption"], endings["loss"]) == (1, 1)
    assert endings["crash"] >= 1
    (cause,) = {span.parent_id for span in attempts}
    assert by_id(trace.spans)[cause or ""].name == "jointcall plan"


def test_an_attempt_links_to_the_one_before_and_says_why_it_is_another(seen: Seen) -> None:
    spans = by_id(span for spans in seen.jaeger.values() for span in spans)
    again = [
        span
        for span in spans.values()
        if span.name == "jointcall interval" and span.attributes["cohortstream.attempt"] > 1
    ]
    befores = []
    for span in again:
        ((trace_id, before_id),) = span.links
        before = spans[before_id]
        assert trace_id == span.trace_id == before.trace_id
        assert before.attributes["cohortstream.task"] == span.attributes["cohortstream.task"]
        assert before.attributes["cohortstream.attempt"] == span.attributes["cohortstream.attempt"] - 1
        assert before.end <= span.start + 1_000_000_000, "clocks of two processes"
        ending = before.attributes["cohortstream.ending"]
        assert (span.events[0], before.events[-1]) == ("retry", ending)
        befores.append((ending, before.attributes["cohortstream.reason"]))
    assert set(befores) >= {
        ("crash", "tool failed"),
        ("preemption", "told to stop"),
        ("loss", "the lease expired without a word"),
    }


def test_what_gathers_the_intervals_links_to_their_arrivals(seen: Seen) -> None:
    trace = seen.trace(seen.cohort, with_span="request cohort.freeze.requested")
    known = by_id(trace.spans)
    for name, arrivals in (
        ("process interval.genotyped", seen.intervals),
        ("vqsr filter", seen.intervals),
        ("annotate annotate", seen.intervals),
    ):
        linked = [
            [known[span_id] for _, span_id in span.links if known[span_id].name == name]
            for span in trace.spans
            if span.service in ("vqsr", "annotate") and span.name == name
        ]
        assert max(len(found) for found in linked) == arrivals - 1, f"{name}: all but the last, which gathers"


def test_jaeger_and_the_span_files_tell_the_same_tree(seen: Seen) -> None:
    for subject, spans in seen.jaeger.items():
        assert traces_of(spans, subject) == traces_of(seen.files, subject)


def test_names_are_few_and_no_span_names_anyone(seen: Seen) -> None:
    spans = [span for spans in seen.jaeger.values() for span in spans]
    names = {span.name for span in spans}
    assert len(names) < 60
    assert not [name for name in names if KEY.search(name) or re.search(r"\d", name)]
    said = [str(value) for span in spans for value in _values(span)]
    assert not [one for one in said for label in material.PEOPLE if label in one]


def _values(span: Span) -> list[Any]:
    return [span.name, *span.attributes.values(), *span.events]
