"""Compilation to machine code, typed: numba's own decorator has no types, and one place says how all code is compiled.

No fast-math and no threads: the same input gives the same bits on every machine and in every split of the work.

What was compiled is kept on disk for the next process, in a folder named by the sources: numba itself looks at the
function's own file only, and would go on using a function whose callee in another file has changed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

COMPILED = ("genotype", "reading", "store")
"""Rooms whose code is compiled, or gives constants to compiled code."""

Whole = int | np.integer[Any]
"""A whole number in compiled code, of whatever width."""

unsigned = np.uintp
"""An index that has no sign. Of one that has, compiled code asks each time whether it counts from the end, unless it
sees that it never does: a quarter of the time of a loop over bytes."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function, compiled at its first call."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def _folder() -> Path:
    """`NUMBA_CACHE_DIR`, else with the other things that are fetched or made once, else among temporary files."""
    sources = hashlib.sha256(numba.__version__.encode())
    here = Path(__file__).parent
    for source in sorted([here / "tables.py", *(one for room in COMPILED for one in (here / room).glob("*.py"))]):
        sources.update(source.read_bytes())
    wanted = [os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("COHORTSTREAM_CACHE")]
    user = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    for base in [*(Path(one) for one in wanted if one), Path(user) / "cohortstream"]:
        folder = base / f"compiled-{sources.hexdigest()[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="cohortstream-compiled-"))


setattr(numba.config, "CACHE_DIR", str(_folder()))  # noqa: B010  # numba makes its settings at import
