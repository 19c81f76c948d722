"""`python -m deploy.embedded --state DIR`: the stack in the foreground until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from chassis.errors import Rejected, ToolFailed
from deploy.embedded.stack import EmbeddedStack

LOOK_S = 0.5  # between two looks whether a server ended by itself


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded", description=__doc__)
    parser.add_argument(
        "--state", type=Path, required=True, help="the folder that everything lies in; made when absent"
    )
    parser.add_argument("--no-object-store", action="store_true", help="artifacts go to file:// then")
    parser.add_argument("--not-durable", action="store_true", help="skip Postgres' waits for the disk")
    options = parser.parse_args()

    leave = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave.set())
    stack = EmbeddedStack(durable=not options.not_durable)
    try:
        with stack.running(options.state, object_store=not options.no_object_store) as endpoints:
            sys.stdout.write(json.dumps(endpoints.as_dict()) + "\n")
            sys.stdout.flush()
            while not leave.wait(LOOK_S):
                if ended := stack.ended():
                    sys.stderr.write(f"{', '.join(ended)} ended by itself; see {options.state / 'logs'}\n")
                    return 1
    except (Rejected, ToolFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
