"""A file put in the place of exactly one other, by names alone: for folders that many hosts share, without locks."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from chassis.storage import sidecar

TEMPORARY = ".new-"
"""Starts the name of a file that is being written; no key part starts with a dot."""


def aside_of(final: Path) -> Path:
    return final.with_name(f"{TEMPORARY}{uuid.uuid4().hex}~{final.name}")


def link_new(final: Path, temporary: Path) -> bool:
    """Give the file its name. False where the name is taken."""
    try:
        os.link(temporary, final, follow_symlinks=False)
    except FileExistsError:
        return False
    sidecar.sync_folder(final.parent)
    return True


def swap(final: Path, temporary: Path, *, inode: int) -> bool:
    """Put the file in the place of the one with that inode. False, and nothing changed, where another has the name.

    Between the two there is a moment without either, in which the former lies beside under a temporary name.
    """
    aside = aside_of(final)
    try:
        final.rename(aside)
    except FileNotFoundError:
        return False
    swapped = False
    try:
        if aside.lstat().st_ino == inode:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, final, follow_symlinks=False)
                swapped = True
    finally:
        if not swapped:
            # what was there goes back, unless somebody wrote the name meanwhile
            with contextlib.suppress(FileExistsError):
                os.link(aside, final, follow_symlinks=False)
        aside.unlink(missing_ok=True)
    if swapped:
        sidecar.path_for(final, inode).unlink(missing_ok=True)
        sidecar.sync_folder(final.parent)
    return swapped
