"""A freeze's intervals drawn where they lie on the genome: strips of cells, one strip a contig. Pure functions of rows.

Positions are 1-based and inclusive, as intervals are. A strip is as long as its contig, relative to the longest one.
Where a contig has more intervals than an eye can tell apart, neighbours share a cell, which then shows the gravest
state and the longest time among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from console.output import span

Colouring = Literal["state", "time", "retries"]
MOST_CELLS = 120
"""Of a strip: 9 pixels each on a wide screen."""
MOST_STRIPS = 60
STATES = ("failed", "cancelled", "running", "waiting", "queued", "genotyped")
"""The gravest first."""
ENDINGS = {
    "crashes": ("crash", "crashes"),
    "losses": ("loss", "losses"),
    "preemptions": ("preemption", "preemptions"),
    "retries": ("retry", "retries"),
}
TIME_STEPS = 5
MOST_RETRIES = 3
GAP = 0.06
"""Percent of the strip left empty after a cell, so that neighbours stay apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """An interval with its task's word on it. `retries`: attempts that ended without a result."""

    index: int
    contig: str
    start: int
    end: int
    contig_length: int
    state: str
    variants: int | None
    seconds: float | None
    retries: int
    endings: str
    trace_id: str | None
    error: Mapping[str, Any] | None

    @property
    def where(self) -> str:
        return f"{self.contig}:{self.start:,}-{self.end:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`x` and `width` are percents of the strip; `level` is the colour's step; `words` say all that is drawn."""

    x: float
    width: float
    state: str
    level: int
    retries: int
    words: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    contig: str
    share: float
    """Percent of the longest contig."""
    length: int
    cells: tuple[Cell, ...]
    words: str


def intervals(rows: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]]) -> tuple[One, ...]:
    """The freeze's intervals; what their tasks say counts until they are genotyped."""
    by_index = {int(task["index"]): task for task in tasks if str(task["index"]).isdecimal()}
    return tuple(_one(row, by_index.get(row["index"], {})) for row in rows)


def _one(row: Mapping[str, Any], task: Mapping[str, Any]) -> One:
    counts = {name: task.get(name) or 0 for name in ENDINGS}
    state = row["state"]
    if state != "genotyped" and task:
        state = {"leased": "running", "ready": "queued", "done": "genotyped"}.get(task["state"], task["state"])
    return One(
        index=row["index"],
        contig=row["contig"],
        start=row["start"],
        end=row["end"],
        contig_length=row["contig_length"],
        state=state,
        variants=row["variants"],
        seconds=row["seconds"]
        if row["seconds"] is not None
        else (task.get("running_seconds") if state == "running" else None),
        retries=max(sum(counts.values()), (row["attempts"] or 1) - 1),
        endings=", ".join(f"{many} {ENDINGS[name][many > 1]}" for name, many in counts.items() if many),
        trace_id=task.get("trace_id"),
        error=task.get("error"),
    )


def strips(found: Sequence[One], *, by: Colouring) -> tuple[Strip, ...]:
    """In the order of the intervals; contigs beyond the sixtieth are left to the table."""
    contigs: dict[str, list[One]] = {}
    for one in found:
        contigs.setdefault(one.contig, []).append(one)
    longest = max((ones[0].contig_length for ones in contigs.values()), default=1)
    slowest = max((one.seconds or 0.0 for one in found), default=0.0)
    return tuple(
        _strip(contig, sorted(ones, key=lambda one: one.start), longest, slowest, by)
        for contig, ones in list(contigs.items())[:MOST_STRIPS]
    )


def _strip(contig: str, ones: list[One], longest: int, slowest: float, by: Colouring) -> Strip:
    length = ones[0].contig_length
    together = math.ceil(len(ones) / MOST_CELLS)
    groups = [ones[at : at + together] for at in range(0, len(ones), together)]
    counts = {state: sum(one.state == state for one in ones) for state in STATES}
    told = ", ".join(f"{many} {state}" for state, many in reversed(counts.items()) if many)
    many = f"{len(ones)} interval{'s' if len(ones) > 1 else ''}"
    return Strip(
        contig=contig,
        share=round(max(1.5, 100 * length / longest), 2),
        length=length,
        cells=tuple(_cell(group, length, slowest, by) for group in groups),
        words=f"{contig}, {length:,} bases, {many}: {told}",
    )


def _cell(group: list[One], length: int, slowest: float, by: Colouring) -> Cell:
    state = next((state for state in STATES if any(one.state == state for one in group)), group[0].state)
    retries = max(one.retries for one in group)
    timed = [one.seconds for one in group if one.seconds is not None]
    level = 0
    if by == "time" and timed:
        level = time_level(max(timed), slowest)
    elif by == "retries":
        level = min(retries, MOST_RETRIES)
    start, end = group[0].start - 1, group[-1].end
    width = 100 * (end - start) / length
    return Cell(
        x=round(100 * start / length, 3),
        width=round(max(0.15, width - GAP), 3),
        state=state,
        level=level,
        retries=min(retries, MOST_RETRIES),
        words=_words(group, state),
        first=group[0].index,
        last=group[-1].index,
    )


def time_level(seconds: float, slowest: float) -> int:
    """1 to 5, in equal steps of the slowest interval's time; 0 is no time yet."""
    return 0 if slowest <= 0 else min(TIME_STEPS, 1 + int(seconds / slowest * TIME_STEPS))


def _words(group: list[One], state: str) -> str:
    if len(group) == 1:
        (one,) = group
        parts = [one.where, one.state]
        if one.seconds is not None:
            parts.append(span(one.seconds))
        if one.variants is not None:
            parts.append(f"{one.variants:,} variants")
        if one.retries:
            parts.append(f"{one.retries} tried again" + (f" ({one.endings})" if one.endings else ""))
        return ", ".join(parts)
    alike = sum(one.state == state for one in group)
    where = f"{group[0].contig}:{group[0].start:,}-{group[-1].end:,}"
    slowest = max((one.seconds or 0 for one in group), default=0)
    again = sum(one.retries > 0 for one in group)
    words = f"{where}, {len(group)} intervals, {alike} of them {state}"
    return words + (f", slowest {span(slowest)}" if slowest else "") + (f", {again} tried again" if again else "")
