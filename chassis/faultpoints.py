"""Named points at which a test may strike. Without COHORTSTREAM_FAULT in the environment a point does nothing.

COHORTSTREAM_FAULT names a folder. A file in it called `<point>` (any service) or `<service>.<point>` holds the name of
a signal; the first process that comes to that point takes the file, so that each strikes once, and sends itself the
signal. The file stays as `struck-<its name>-<pid>`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

VARIABLE = "COHORTSTREAM_FAULT"


def point(name: str, *, of: str = "") -> None:
    """A named point in the code of the service `of`."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    for armed in (f"{of}.{name}", name):
        struck = Path(folder) / f"struck-{armed}-{os.getpid()}"
        try:
            (Path(folder) / armed).rename(struck)
        except FileNotFoundError:
            continue
        os.kill(os.getpid(), signal.Signals[struck.read_text(encoding="ascii").strip()])
        return
