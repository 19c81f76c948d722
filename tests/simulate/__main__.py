"""`python -m tests.simulate`: a freeze of a published cohort's size on spot fleets, strategy by strategy.

The queue's code and Postgres are real; the clock, the machines and the minutes are not: see play.py, fleet.py, work.py.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence

from rich.console import Console

from tests.simulate.compare import compare
from tests.simulate.table import show
from tests.simulate.work import PUBLISHED_INTERVALS


def main(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    document = {"command": shlex.join(["python", "-m", "tests.simulate", *argv])} | compare(args)
    show(document, console=Console(highlight=False, width=200))
    if args.json:
        print(json.dumps(document))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--intervals", type=_count, default=PUBLISHED_INTERVALS)
    parser.add_argument("--workers", type=_count, default=200)
    parser.add_argument("--mtbf", type=_hours, default=[45.0, 4.0], help="hours, one or more: 45,4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noticed", type=float, default=0.5, help="share of reclaims with two minutes' notice")
    parser.add_argument("--revive-hours", type=float, help="a person revives dead letters this often; else nobody does")
    parser.add_argument("--cap-hours", type=float, default=5_000.0, help="virtual hours after which a play is given up")
    parser.add_argument("--each-chunk", action="store_true", help="a call of queue.checkpoint for each chunk: slower")
    parser.add_argument("--processes", type=_count, default=2, help="strategies played at a time")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document, last")
    return parser


def _hours(text: str) -> list[float]:
    hours = [float(part) for part in text.split(",")]
    if not hours or any(one <= 0 for one in hours) or len(set(hours)) != len(hours):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different, positive hours")
    return hours


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
