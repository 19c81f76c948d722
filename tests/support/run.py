"""Run `consume` or `work` as a process of its own: `python -m tests.support.run work BUILDER SETTINGS.toml SLOTS HOST`.
A HOST is what this process takes for its host's name."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from chassis.run import consume, work
from chassis.settings import load


def main() -> None:
    role, builder, path, *rest = sys.argv[1:]
    settings = load(Path(path))
    if len(rest) > 1:
        socket.gethostname = lambda: rest[1]
    match role:
        case "consume":
            asyncio.run(consume(builder, settings))
        case "work":
            slots = int(rest[0]) if rest else 1
            asyncio.run(work(builder, settings, pools=("default",), slots=slots, until_empty=False))
        case _:
            raise SystemExit(f"no role {role}")


if __name__ == "__main__":
    main()
