"""A full disk: the host's trouble, not the task's. Another host may have room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from chassis.errors import ToolFailed
from chassis.storage.folder import FULL

SAYS = tuple(os.strerror(number) for number in sorted(FULL))
"""What tools print, in C and in Java alike."""
LEAST_BYTES = 64 * 1024
"""A tool that hides why it failed, where not even this is left, failed for want of room."""


def is_full(error: BaseException) -> bool:
    """Is a full disk or a spent quota at the bottom of this error?"""
    return any(_says_full(one) for one in _chain(error))


def no_room(folder: Path) -> bool:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < LEAST_BYTES


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    return isinstance(error, ToolFailed) and any(words in error.said for words in SAYS)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes, and those that a group holds."""
    waiting, met = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in met:
            continue
        met.add(id(one))
        yield one
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
