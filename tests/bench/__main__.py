"""`python -m tests.bench [NAME [OPTIONS]]`: the figures of the README's table. Without a name: all of them."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

BENCHES = {
    "claims": "claims and finishes a second of the lease queue, with 100,000 and 1,000,000 rows",
    "tools": "the demo's tools' part against the same tools bare",
}
"""Name of the module in this folder and what it measures."""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document, last")
    names = parser.add_subparsers(dest="name")
    for name, what in BENCHES.items():
        # only the one asked for is imported: each brings its own dependencies
        if not argv or name in argv:
            bench = importlib.import_module(f"tests.bench.{name}")
            one = names.add_parser(name, help=what, description=what)
            bench.add_arguments(one)
            one.set_defaults(run=bench.run)
        else:
            names.add_parser(name, help=what)
    chosen = [parser.parse_args([*argv, name]) for name in BENCHES] if not argv else [parser.parse_args(argv)]
    if any(args.name is None for args in chosen):
        parser.print_help()
        return 2
    figures = {args.name: args.run(args) for args in chosen}
    if any(args.json for args in chosen):
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
