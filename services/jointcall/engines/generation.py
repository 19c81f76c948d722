"""A generation's folder as one file, so that an import outlives the machine that made it."""

from __future__ import annotations

import tarfile
from pathlib import Path

from chassis.errors import ToolFailed


def pack(folder: Path, tar: Path) -> None:
    """Write `folder` to a plain tar: uncompressed (its columns are compressed already), sorted, without owners and
    times, so that the same folder gives the same bytes."""
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False, filter=_anonymous)


def unpack(tar: Path, folder: Path) -> None:
    """Recreate the folder that `pack` was given at `folder`, which must not exist.

    Raises ToolFailed when the tar is damaged or reaches out of the folder.
    """
    folder.mkdir(parents=True)
    try:
        with tarfile.open(tar, "r:") as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise ToolFailed(tool="tar", status="damaged", said=str(error)) from error


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry
