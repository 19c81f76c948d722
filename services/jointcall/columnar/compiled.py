"""Compilation to machine code, typed: numba's own decorator has no types, and one place says how all code is compiled.

No fast-math and no threads: the same input gives the same bits on every machine and in every split of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function, compiled at its first call and kept on disk for the next process."""
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))
