"""Named points at which a test may strike. Without COHORTSTREAM_FAULT in the environment a point does nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

VARIABLE = "COHORTSTREAM_FAULT"


def point(name: str) -> None:
    """`COHORTSTREAM_FAULT=<name>=<signal>=<file>` sends this process that signal here, once: the file marks it done."""
    asked = os.environ.get(VARIABLE)
    if not asked:
        return
    wanted, number, marker = asked.split("=", 2)
    if wanted != name:
        return
    try:
        os.close(os.open(Path(marker), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.Signals[number])
