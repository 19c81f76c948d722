"""One stack per state folder: an flock that the servers' supervisors hold on to until the last server has gone."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from chassis.errors import reject

LAST_WORDS_S = 40.0  # the servers of a killed owner end within their grace; the next owner waits for them
POLL_S = 0.05


class StateLock:
    """Held from `take` to `release`. The descriptor is handed to the supervisors, so that the lock outlives a killed
    owner for exactly as long as one of its servers does."""

    def __init__(self, *, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, state: Path) -> StateLock:
        """Raises Rejected (STATE_IN_USE), naming the owner's process id, while another stack runs on the folder."""
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = _lock_path(state)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LAST_WORDS_S
        while not _try(descriptor):
            owner = _owner(path)
            if _alive(owner) or time.monotonic() > deadline:
                os.close(descriptor)
                raise reject(
                    code="STATE_IN_USE",
                    message=f"another stack runs on this folder (process {owner})",
                    where=str(state),
                    rule="one stack per state folder",
                    fix=f"stop process {owner}, or use another folder (--state)",
                )
            time.sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return cls(descriptor=descriptor)

    @staticmethod
    def is_held(state: Path) -> bool:
        try:
            descriptor = os.open(_lock_path(state), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _try(descriptor)
        finally:
            os.close(descriptor)

    def release(self) -> None:
        os.close(self.descriptor)


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Whole or not at all, and for our own eyes: it holds passwords."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content), encoding="utf-8")
    fresh.replace(path)


def _lock_path(state: Path) -> Path:
    return state / "stack.lock"


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(path: Path) -> int:
    text = path.read_text(encoding="ascii").strip()
    return int(text) if text.isdigit() else 0


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
