"""The traces of a subject out of the state folder's spans, as trees by parent ids. Pure functions of spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.telemetry.spans import Span
from console.labels import KEY

TASK, SUBJECT, BELONGS_TO, ENDING, ATTEMPT, REASON = (
    "cohortstream.task",
    "cohortstream.subject",
    "cohortstream.belongs_to",
    "cohortstream.ending",
    "cohortstream.attempt",
    "cohortstream.reason",
)
CPU_SECONDS, PEAK_BYTES, EXIT_CODE = (
    "cohortstream.cpu_seconds",
    "cohortstream.peak_memory_bytes",
    "process.exit.code",
)
DRAWN_COMMIT_S = 1.0
WAITED_FOR = "cohortstream.waited_for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A span with what it caused, in order of start. `cause_lost`: its parent's span is not in the files (it has not
    ended yet, or its process was killed before it wrote it)."""

    span: Span
    children: tuple[Node, ...]
    cause_lost: bool

    def walk(self) -> Iterator[Span]:
        yield self.span
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    trace_id: str
    roots: tuple[Node, ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(span for root in self.roots for span in root.walk())

    @property
    def connected(self) -> bool:
        """One root and no lost cause: every span can be followed back to the beginning."""
        return len(self.roots) == 1 and not any(_lost(root) for root in self.roots)

    @property
    def start(self) -> int:
        return min(span.start for span in self.spans)

    @property
    def seconds(self) -> float:
        return (max(span.end for span in self.spans) - self.start) / 1e9


def traces_of(spans: Iterable[Span], subject: str) -> tuple[Trace, ...]:
    """Every trace that has a span about the subject, or about something that belongs to it; the earliest first.

    Of each trace the spans about it are kept, what led to them and what they led to: of a run's trace a sample sees
    its own branch.
    """
    by_trace: dict[str, dict[str, Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, {})[span.span_id] = span
    found = []
    for trace_id, of_trace in by_trace.items():
        about = [span for span in of_trace.values() if is_about(span, subject)]
        if about:
            kept = _branch(of_trace, about, subject)
            found.append(Trace(trace_id=trace_id, roots=_trees(kept, of_trace)))
    return tuple(sorted(found, key=lambda trace: trace.start))


def is_drawn(span: Span) -> bool:
    """Whether a person wants to see the step: commits that took no time would be every third line."""
    return not span.name.startswith("COMMIT ") or not span.ok or span.seconds >= DRAWN_COMMIT_S


def part_of(span: Span) -> str:
    """The number of the interval that an attempt at a freeze's task is about; empty where there is none."""
    subject, task = str(span.attributes.get(SUBJECT, "")), str(span.attributes.get(TASK, ""))
    begin = f"{span.name.rpartition(' ')[2]}:{subject}:"
    number = task.removeprefix(begin).partition(":")[0] if task.startswith(begin) else ""
    return f"no. {number}" if number.isdigit() and not KEY.fullmatch(subject) else ""


def is_about(span: Span, subject: str) -> bool:
    return subject in (span.attributes.get(SUBJECT), span.attributes.get(BELONGS_TO))


def span_json(span: Span) -> dict[str, Any]:
    """A span as `--json` prints it; times in seconds since the epoch."""
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "service": span.service,
        "start": span.start / 1e9,
        "seconds": span.seconds,
        "ok": span.ok,
        "subject": span.attributes.get(SUBJECT),
        "ending": span.attributes.get(ENDING),
        "attributes": dict(span.attributes),
        "events": list(span.events),
        "links": [list(link) for link in span.links],
    }


def _of_another(span: Span, subject: str) -> bool:
    """A sample that completes its run leads to every sample's work: that of the others is not its own."""
    other = str(span.attributes.get(SUBJECT, ""))
    return other != subject and bool(KEY.fullmatch(subject)) and bool(KEY.fullmatch(other))


def _branch(of_trace: Mapping[str, Span], about: Iterable[Span], subject: str) -> dict[str, Span]:
    children: dict[str | None, list[Span]] = {}
    for span in of_trace.values():
        children.setdefault(span.parent_id, []).append(span)
    kept: dict[str, Span] = {}
    below = list(about)
    while below:
        span = below.pop()
        if span.span_id not in kept:
            kept[span.span_id] = span
            below += [child for child in children.get(span.span_id, ()) if not _of_another(child, subject)]
    for span in list(kept.values()):
        above = of_trace.get(span.parent_id or "")
        while above is not None and above.span_id not in kept:
            kept[above.span_id] = above
            above = of_trace.get(above.parent_id or "")
    return kept


def _trees(kept: Mapping[str, Span], of_trace: Mapping[str, Span]) -> tuple[Node, ...]:
    children: dict[str, list[Span]] = {}
    roots = []
    for span in sorted(kept.values(), key=lambda span: (span.start, span.span_id)):
        if span.parent_id in kept:
            children.setdefault(span.parent_id or "", []).append(span)
        else:
            roots.append(span)

    def node(span: Span) -> Node:
        return Node(
            span=span,
            children=tuple(node(child) for child in children.get(span.span_id, ())),
            cause_lost=span.parent_id is not None and span.parent_id not in of_trace,
        )

    return tuple(node(root) for root in roots)


def _lost(node: Node) -> bool:
    return node.cause_lost or any(_lost(child) for child in node.children)
