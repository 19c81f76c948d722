"""Figures for plotly.js, as it wants them, and as a table for whoever does not see them. No colours: the page's style
gives them by name, so that light and dark both fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from console.output import size, span
from console.page.intervalmap import One

MOST_BARS = 400
MOST_KINDS = 8
REST = "the rest"
BUCKET_S = 300
BUCKETS = 36
"""Three hours in pieces of five minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`figure` holds `data` and `layout`; a trace's `tone` names a colour of the style sheet. `said` is the figure in
    one sentence."""

    name: str
    title: str
    said: str
    figure: Mapping[str, Any]


def durations(found: Sequence[One]) -> Chart | None:
    """How long intervals took, in genome order; those tried again stand out. None where none has ended."""
    timed = [one for one in found if one.seconds is not None and one.state == "genotyped"]
    if not timed:
        return None
    seconds = sorted(one.seconds or 0.0 for one in timed)
    middle, most = seconds[len(seconds) // 2], seconds[-1]
    said = f"{len(timed)} intervals took {span(seconds[0])} to {span(most)}, half of them under {span(middle)}."
    if len(timed) > MOST_BARS:
        layout = {"xaxis": {"title": "seconds"}, "yaxis": {"title": "intervals"}, "bargap": 0.05}
        traces = [
            {
                "type": "histogram",
                "x": seconds,
                "nbinsx": 60,
                "tone": "run",
                "hovertemplate": "%{x} s: %{y}<extra></extra>",
            }
        ]
    else:
        traces = []
        for name, again, toned in (("at the first try", False, "run"), ("tried again", True, "hold")):
            its = [one for one in timed if bool(one.retries) is again]
            if its:
                traces.append(
                    {
                        "type": "bar",
                        "name": name,
                        "tone": toned,
                        "x": [one.where for one in its],
                        "y": [round(one.seconds or 0.0, 2) for one in its],
                        "hovertemplate": "%{x}<br>%{y:.1f} s<extra></extra>",
                    }
                )
        order = [one.where for one in timed]
        layout = {
            "xaxis": {
                "title": "intervals in genome order",
                "showticklabels": False,
                "showgrid": False,
                "categoryorder": "array",
                "categoryarray": order,
            },
            "yaxis": {"title": "seconds", "rangemode": "tozero"},
            "bargap": 0.15,
            "showlegend": len(traces) > 1,
        }
    return Chart(
        name="durations", title="How long intervals took", said=said, figure={"data": traces, "layout": layout}
    )


def throughput(series: Mapping[tuple[str, str], Mapping[int, int]], *, now: datetime) -> Chart | None:
    """Tasks done per five minutes over three hours, by (service, pool). None where nothing was done."""
    last = int(now.timestamp() // BUCKET_S)
    buckets = list(range(last - BUCKETS + 1, last + 1))
    times = [datetime.fromtimestamp(bucket * BUCKET_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for bucket in buckets]
    traces = []
    for at, ((service, pool), counts) in enumerate(sorted(series.items())):
        if any(counts.get(bucket) for bucket in buckets):
            traces.append(
                {
                    "type": "bar",
                    "name": f"{service} · {pool}",
                    "tone": f"series{at % 6}",
                    "x": times,
                    "y": [counts.get(bucket, 0) for bucket in buckets],
                    "hovertemplate": "%{fullData.name}<br>%{x|%H:%M} UTC: %{y} tasks<extra></extra>",
                }
            )
    if not traces:
        return None
    done = sum(counts.get(bucket, 0) for counts in series.values() for bucket in buckets)
    layout = {
        "barmode": "stack",
        "bargap": 0.1,
        "showlegend": True,
        "xaxis": {"type": "date", "tickformat": "%H:%M"},
        "yaxis": {"title": "tasks in 5 min", "rangemode": "tozero"},
    }
    said = f"{done:,} tasks were done in the last three hours, in {len(traces)} pools."
    return Chart(
        name="throughput", title="Tasks done, last three hours", said=said, figure={"data": traces, "layout": layout}
    )


def storage(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Bytes by kind, split by tier; small kinds together. None where nothing is stored."""
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["kind"]] = sums.get(row["kind"], 0) + row["bytes"]
    if not sums:
        return None
    largest = sorted(sums, key=lambda kind: -sums[kind])[:MOST_KINDS]
    bars = [*largest, REST] if len(sums) > len(largest) else largest
    tiers = list(
        dict.fromkeys(row["tier"] for row in sorted(rows, key=lambda row: (row["tier"] != "STANDARD", row["tier"])))
    )
    unit, factor = _unit(max(sums.values()))
    traces = []
    for at, tier in enumerate(tiers):
        held = dict.fromkeys(bars, 0)
        for row in rows:
            if row["tier"] == tier:
                held[row["kind"] if row["kind"] in held else REST] += row["bytes"]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": tier,
                "tone": f"series{at % 6}",
                "y": bars,
                "x": [held[kind] / factor for kind in bars],
                "hovertemplate": f"%{{y}} in %{{fullData.name}}: %{{x:.3~f}} {unit}<extra></extra>",
            }
        )
    layout = {
        "barmode": "stack",
        "showlegend": True,
        "legend": {"traceorder": "normal"},
        "xaxis": {"title": unit},
        "yaxis": {"automargin": True, "autorange": "reversed", "type": "category", "dtick": 1},
        "bargap": 0.25,
    }
    said = f"{size(sum(sums.values()))} in {len(sums)} kinds and {len(tiers)} tier{'s' if len(tiers) > 1 else ''}."
    return Chart(name="storage", title="What lies where", said=said, figure={"data": traces, "layout": layout})


def _unit(most: int) -> tuple[str, float]:
    """The unit in which the largest bar has few digits."""
    units = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
    return next(((name, factor) for name, factor in units if most >= factor), ("B", 1.0))
