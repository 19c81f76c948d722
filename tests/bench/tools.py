"""The demo's tools' part against the same tools bare: on the same reads, with the same parallelism.

Four sides. *script*: `bare_demo.sh`, a shell script with one JVM per GATK call. *loop*: the services' own engines in a
bare Python loop with warm JVMs in as many processes as the services have (`bare_loop.py`), which leaves orchestration
as the only difference; *shared*: the same with one JVM per slot for all services' work. *demo*:
`cohortstream demo`, from the moment the run folder is found complete to the last gvcf.ready, and from the freeze's
request to panel.released; the first run and the first freeze. The time in which ingest only waits for the folder to
settle is told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import demo_spans, tools_sides
from tests.bench.meter import Meter
from tests.bench.tools_material import Material, prepare

GOAL = 1.05
DISTURBED = 0.25
"""Processors that others used: above this a wall time says more about them than about us, CPU ratios hold still."""
FIGURES = ("total", "reads", "panel", "cpu", "reads_cpu", "panel_cpu")
SIDES = {
    "script": tools_sides.script,
    "loop": tools_sides.loop,
    "shared": tools_sides.shared_loop,
    "demo": tools_sides.demo,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=int, default=4, help="people in the first run")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; every other one in reverse order")
    parser.add_argument("--sides", default=",".join(SIDES), help="which of them to measure, in this order")
    parser.add_argument("--keep", type=Path, help="keep all files in this folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Wall seconds of one side in one round; `waited` before its parts. Processors that others used meanwhile."""

    side: str
    reads: float
    panel: float
    waited: float
    reads_cpu: float
    panel_cpu: float
    others: float
    load: float

    @property
    def total(self) -> float:
        return self.reads + self.panel

    @property
    def cpu(self) -> float:
        return self.reads_cpu + self.panel_cpu


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, print tables, return the figures."""
    console = Console(stderr=True, highlight=False)
    sides = tuple(args.sides.split(","))
    if unknown := set(sides) - set(SIDES):
        raise SystemExit(f"--sides knows {', '.join(SIDES)}, not {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="cohortstream-bench-") as temporary:
        folder = args.keep.absolute() if args.keep else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        material = asyncio.run(prepare(folder / "material", people=args.people))
        rounds: list[Took] = []
        with Meter() as meter:
            for number in range(1, args.repeat + 1):
                for side in sides if number % 2 else reversed(sides):
                    console.print(f"round {number} of {args.repeat}: {side}, load {os.getloadavg()[0]:.1f}")
                    rounds.append(_measure(side, material, folder / f"{side}-{number}", meter))
        figures = _figures(args, material, rounds, folder)
        _print(figures, rounds)
        return figures


def _measure(side: str, material: Material, out: Path, meter: Meter) -> Took:
    load = os.getloadavg()[0]
    reads, panel, waited = SIDES[side](material, out)
    time.sleep(1.0)  # the meter looks twice a second: its last look must lie behind the end
    windows = [meter.used(begin, end) for begin, end in (reads, panel)]
    walls = [end - begin for begin, end in (reads, panel)]
    return Took(
        side=side,
        reads=walls[0],
        panel=walls[1],
        waited=waited,
        reads_cpu=windows[0].cpu_s,
        panel_cpu=windows[1].cpu_s,
        others=sum(used.others * wall for used, wall in zip(windows, walls, strict=True)) / sum(walls),
        load=load,
    )


def _figures(args: argparse.Namespace, material: Material, rounds: Sequence[Took], folder: Path) -> dict[str, Any]:
    sides = tuple(dict.fromkeys(one.side for one in rounds))

    def middle(side: str, what: str) -> float:
        return float(statistics.median(getattr(one, what) for one in rounds if one.side == side))

    panels = {side: tools_sides.records(tools_sides.panels(side, folder / f"{side}-1")) for side in sides}
    most = max(panels.values(), key=len)
    ratios = {
        f"demo/{side}": {
            **{what: round(middle("demo", what) / middle(side, what), 3) for what in FIGURES},
            "same_records": sum(panels[side].get(key) == value for key, value in panels["demo"].items()),
        }
        for side in sides
        if side != "demo" and "demo" in sides
    }
    figures: dict[str, Any] = {
        "command": f"python -m tests.bench tools --people {args.people} --repeat {args.repeat}",
        "people": len(material.samples),
        "bases": material.bases,
        "reads": material.reads,
        "fastq_mb": round(material.fastq_bytes / 1e6, 1),
        "calling_parts": material.call_parts,
        "intervals": material.intervals,
        "variants": len(most),
        "slots": material.job["slots"],
        "cores": os.cpu_count(),
        "programs": {name: tools_sides.program(name).rsplit("/", 1)[-1] for name in tools_sides.PROGRAMS},
        "medians": {side: {what: round(middle(side, what), 1) for what in FIGURES} for side in sides},
        "ratios": ratios,
        "goal": GOAL,
        "disturbed": any(one.others > DISTURBED for one in rounds),
        "rounds": [{name: _short(value) for name, value in asdict(one).items()} for one in rounds],
    }
    if "demo" in sides:
        out = folder / "demo-1"
        when = demo_spans.moments(out / "state", demo_spans.first_run(out / "runs"))
        figures["demo"] = {
            "stages": [
                {name: _short(value) for name, value in asdict(stage).items()}
                for stage in demo_spans.stages(out / "state", when)
            ],
            "running_at_once": {
                "reads": _rounded(demo_spans.together(out / "state", when.seen, when.called)),
                "panel": _rounded(demo_spans.together(out / "state", when.asked, when.released)),
            },
        }
    return figures


def _short(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value


def _rounded(seconds: Any) -> dict[str, float]:
    return {str(running): round(value, 1) for running, value in seconds.items()}


def _print(figures: dict[str, Any], rounds: Sequence[Took]) -> None:
    console = Console(highlight=False, width=118)
    console.print(f"[bold]{figures['command']}[/]")
    console.print(
        f"{figures['people']} people, {figures['bases']:,} bases, {figures['reads']:,} reads "
        f"({figures['fastq_mb']} MB), {figures['calling_parts']} calling parts a person, {figures['intervals']} "
        f"intervals, {figures['variants']} variants; {max(figures['slots'].values())} slots on {figures['cores']} cores"
    )
    table = Table("side", "reads to gVCFs", "gVCFs to panel", "both", "CPU", "others' cores", "load before", "waited")
    for one in rounds:
        waited = f"{one.waited:.1f} s" if one.side == "demo" else ""
        seconds = (f"{value:.1f} s" for value in (one.reads, one.panel, one.total, one.cpu))
        table.add_row(one.side, *seconds, f"{one.others:.2f}", f"{one.load:.1f}", waited)
    console.print(table)
    if figures["disturbed"]:
        console.print(f"others used more than {DISTURBED} processors in a round: CPU ratios tell more than walls")
    for name, ratio in figures["ratios"].items():
        console.print(
            f"{name}: {ratio['total']:.2f} (goal {figures['goal']}); reads {ratio['reads']:.2f}, panel "
            f"{ratio['panel']:.2f}, CPU {ratio['cpu']:.2f}; "
            f"{ratio['same_records']} of {figures['variants']} records with the same filters and genotypes"
        )
    if "demo" in figures:
        table = Table("the demo's tasks", "tasks", "first", "median", "work", "wall", "at a time")
        for stage in figures["demo"]["stages"]:
            at_a_time = stage["work_s"] / stage["span_s"] if stage["span_s"] else 0.0
            seconds = (f"{stage[name]:.1f} s" for name in ("first_s", "median_s", "work_s", "span_s"))
            table.add_row(stage["kind"], str(stage["tasks"]), *seconds, f"{at_a_time:.1f}")
        console.print(table)
        console.print(f"seconds with so many tasks at once: {figures['demo']['running_at_once']}")
