"""What a POSIX folder cannot hold of an object: its sum, tags and version, in a file in `.facts/` beside it.

A sidecar is named `<object>~<inode>.json`. It is complete before the object appears, and an object that replaces
another has an inode of its own, so object and sidecar change in one step though they are two files. A store that was
copied to another disk has other inodes: then the sidecar whose sum the content has is taken.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from chassis.storage.sums import sum_of

FOLDER = ".facts"


class Sidecar(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: str
    size: int
    version: str
    tags: dict[str, str]
    cold: str | None = None
    """As ObjectFacts has it."""
    stands_for: tuple[str, int] | None = None
    """Of a stub: SHA-256 and size of the content; `sha256` and `size` are those of the few bytes that are here."""


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, as fsync of a file makes its content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def path_for(final: Path, inode: int) -> Path:
    return final.parent / FOLDER / f"{final.name}~{inode}.json"


def write(final: Path, inode: int, facts: Sidecar) -> Path:
    """Durable on return."""
    target = path_for(final, inode)
    temporary = target.with_name(f".{target.name}.new")
    while True:
        target.parent.mkdir(exist_ok=True)
        try:
            with temporary.open("wb") as out:
                out.write(json.dumps(facts.model_dump(), sort_keys=True).encode())
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(target)
            sync_folder(target.parent)
        except FileNotFoundError:
            # someone who deleted the folder's last object removed the empty folder meanwhile
            if not final.parent.is_dir():
                raise
            continue
        return target


def read(final: Path, inode: int) -> Sidecar | None:
    """None for a file that did not come through the store."""
    try:
        return Sidecar.model_validate_json(path_for(final, inode).read_bytes())
    except FileNotFoundError:
        return _adopt(final, inode)


def _adopt(final: Path, inode: int) -> Sidecar | None:
    candidates = sorted((final.parent / FOLDER).glob(f"{final.name}~*.json"))
    if not candidates:
        return None
    found, _ = sum_of(final)
    for candidate in candidates:
        try:
            facts = Sidecar.model_validate_json(candidate.read_bytes())
        except FileNotFoundError:
            continue
        if facts.sha256 == found:
            write(final, inode, facts)
            return facts
    return None
