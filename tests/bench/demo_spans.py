"""When things happened in a demo, read from what it keeps: its run folders and its spans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chassis.telemetry.spans import Span, read_spans

MARKER = "Logs/FastqComplete.txt"
TASK = "cohortstream.task"
NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Of the first run and the first freeze, as time.time() counts."""

    marker: float
    """The converter's last word stands in the run folder."""
    seen: float
    """Ingest found every file there and no longer growing."""
    called: float
    """The last gvcf.ready arrived."""
    asked: float
    """The freeze was asked for."""
    released: float
    """panel.released arrived."""

    @property
    def waited(self) -> float:
        """Seconds of scan interval and settling time."""
        return self.seen - self.marker

    @property
    def reads(self) -> float:
        return self.called - self.seen

    @property
    def panel(self) -> float:
        return self.released - self.asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One kind of task inside the measured parts. `slots` is how many of them ran at a time, on average, from the
    first begin to the last end; `first_s` and `median_s` tell starting apart from working."""

    kind: str
    tasks: int
    span_s: float
    work_s: float
    first_s: float
    median_s: float

    @property
    def slots(self) -> float:
        return self.work_s / self.span_s if self.span_s else 0.0


def first_run(runs: Path) -> Path:
    """The run folder that was finished first."""
    return min(runs.iterdir(), key=lambda run: (run / MARKER).stat().st_mtime_ns)


def moments(state_dir: Path, run: Path) -> Moments:
    """Raises ValueError when the spans do not tell all of it."""
    spans = list(read_spans(state_dir))
    marker = (run / MARKER).stat().st_mtime
    asked = _first(spans, "request cohort.freeze.requested").start
    called = max(
        span.end for span in _named(spans, "process gvcf.ready") if span.service == "jointcall" and span.end <= asked
    )
    return Moments(
        marker=marker,
        seen=min(span.start for span in _named(spans, "ingest check")) / NS,
        called=called / NS,
        asked=asked / NS,
        released=_first(spans, "process panel.released").start / NS,
    )


def stages(state_dir: Path, when: Moments) -> tuple[Stage, ...]:
    """Kinds of tasks in the order in which they begin; the archive's, which run beside the path, last."""
    within = [
        span
        for span in read_spans(state_dir)
        if TASK in span.attributes and when.marker <= span.start / NS and span.end / NS <= when.released + 1
    ]
    kinds: dict[str, list[Span]] = {}
    for span in sorted(within, key=lambda span: (span.service == "archive", span.start)):
        kinds.setdefault(span.name, []).append(span)
    return tuple(_stage(kind, found) for kind, found in kinds.items())


def together(state_dir: Path, begin: float, end: float) -> Mapping[int, float]:
    """How many seconds of a window 0, 1, 2 ... tasks of the path (the archive's not) ran at once."""
    edges: list[tuple[float, int]] = []
    for span in read_spans(state_dir):
        first, last = max(span.start / NS, begin), min(span.end / NS, end)
        if TASK in span.attributes and span.service != "archive" and first < last:
            edges += [(first, 1), (last, -1)]
    running, at, found = 0, begin, dict[int, float]()
    for moment, change in [*sorted(edges), (end, 0)]:
        found[running] = found.get(running, 0.0) + moment - at
        running, at = running + change, moment
    return dict(sorted(found.items()))


def _stage(kind: str, found: list[Span]) -> Stage:
    seconds = [span.seconds for span in found]
    return Stage(
        kind=kind,
        tasks=len(found),
        span_s=(max(span.end for span in found) - min(span.start for span in found)) / NS,
        work_s=sum(seconds),
        first_s=seconds[0],
        median_s=sorted(seconds)[len(seconds) // 2],
    )


def _named(spans: Iterable[Span], name: str) -> list[Span]:
    found = [span for span in spans if span.name == name]
    if not found:
        raise ValueError(f"the demo left no span called '{name}'")
    return found


def _first(spans: Iterable[Span], name: str) -> Span:
    return min(_named(spans, name), key=lambda span: span.start)
