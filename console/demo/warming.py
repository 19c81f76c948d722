"""The columnar genotyper, compiled on an installation's first run: beside the demo's first steps, not in its freeze."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MODULE = "services.jointcall.columnar.warm"


@contextmanager
def warming() -> Iterator[None]:
    """What is not ready when this is left is given up; whoever needs it compiles it."""
    argv = [sys.executable, "-P", "-m", MODULE]
    # a worker that comes to need it says what is wrong
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
