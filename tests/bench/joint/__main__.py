"""`python -m tests.bench.joint`: the columnar joint genotyper against GATK, on simulated cohorts, in one run.

Each side's steps run one after the other in processes of their own, on one core. The machine should have nothing else
to do; processor seconds are compared, so that a little else does no harm.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.joint import report
from tests.bench.joint.cohort import LEVEL
from tests.bench.joint.measure import Bench, Scale

SCALES = "100x1000000:100000,1000x200000:40000,10000x20000:2000"


def scales(text: str) -> tuple[Scale, ...]:
    found = []
    for one in text.split(","):
        window, _, stretch = one.partition(":")
        samples, _, bases = window.partition("x")
        found.append(Scale(samples=int(samples), bases=int(bases), stretch_bp=int(stretch or 0)))
    return tuple(found)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.joint", description=__doc__)
    parser.add_argument(
        "--scales",
        default=SCALES,
        help="SAMPLESxBASES:STRETCH, comma-separated; GATK gets the first STRETCH bases (none: no GATK); %(default)s",
    )
    parser.add_argument("--rounds", type=int, default=1, help="of both sides over the stretch; ratios are medians")
    parser.add_argument("--level", type=int, default=LEVEL, help="compression of both sides' VCF.gz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for all files, up to 1 GB (default: a temporary one)")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document, last")
    args = parser.parse_args(argv)
    console, aside = Console(highlight=False, width=200), Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="cohortstream-bench-", dir=args.folder) as folder:
        bench = Bench(folder=Path(folder), level=args.level, seed=args.seed)
        measured = [bench.measure(scale, rounds=args.rounds, tell=aside.print) for scale in scales(args.scales)]
    command = (
        f"python -m tests.bench.joint --scales {args.scales} --rounds {args.rounds} --level {args.level} "
        f"--seed {args.seed}"
    )
    shown = report.tables(measured)
    console.print(f"[bold]{command}[/]")
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; VCF.gz level {args.level}"
    )
    for one in shown:
        table = Table(*one.columns, title=one.title)
        for row in one.rows:
            table.add_row(*row)
        console.print(table)
    if args.markdown:
        args.markdown.write_text(report.markdown(shown, command))
    if args.json:
        print(json.dumps({"command": command, "goals": [asdict(goal) for goal in report.goals(measured)]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
