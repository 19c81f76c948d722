"""`python -m tests.soak --seconds 600 --seed 7`: a stream of samples through all services while things are killed.

The same seed draws the same cohorts and the same strikes (see --schedule). Exit status 1 when a promise is broken; each
breach names its key, and the folder with ledgers, logs and store is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.soak.schedule import schedule
from tests.soak.soak import soaked
from tests.soak.table import shown


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long strikes fall")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=8, help="cohorts at a time")
    parser.add_argument("--trios", type=int, default=4, help="different trios of people")
    parser.add_argument("--schedule", action="store_true", help="print what would be struck, and when, and end")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document, last")
    parser.add_argument("--keep", type=Path, help="keep everything in this new folder, whatever comes out")
    args = parser.parse_args(argv)
    if args.schedule:
        print(*schedule(seconds=args.seconds, seed=args.seed), sep="\n")
        return 0
    # what happens to the servers is on purpose; their clients here need not tell it line by line
    logging.disable(logging.CRITICAL)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="cohortstream-soak-"))
    print(f"its ledgers, logs and store: {folder}", file=sys.stderr)
    outcome = asyncio.run(
        soaked(
            folder,
            seconds=args.seconds,
            seed=args.seed,
            trios=args.trios,
            in_flight=args.in_flight,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    )
    shown(outcome, console=Console(width=110))
    (folder / "outcome.json").write_text(json.dumps(outcome.as_dict(), indent=2), encoding="utf-8")
    if args.json:
        print(json.dumps(outcome.as_dict()))
    if outcome.held and args.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"all of it is kept: {folder}", file=sys.stderr)
    return 0 if outcome.held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
