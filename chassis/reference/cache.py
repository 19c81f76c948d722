"""References on a worker's disk: pulled once per host, shared by its processes, the least recently used goes first.

    <root>/<digest>/<set>/<name>     files; a set appears by one rename, whole and verified
    <root>/<digest>/<set>/.verified  size, time and inode that each file had when its sum was right
    <root>/<digest>.pull             locked by the one process that pulls
    <root>/<digest>.use              locked (shared) by each process that reads; its time says when last asked for

Locks are flock: the kernel drops them with their process, however it ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import stat
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from chassis.reference.bundle import find
from chassis.reference.local import LocalReference
from chassis.reference.model import Bundle, BundleFile
from chassis.storage import keys
from chassis.storage.store import Store
from chassis.storage.sums import sum_of
from contracts.values import ReferenceId

VERIFIED = ".verified"
RETRY_S = 0.1
_PULLING = ".pulling-"
_GONE = ".gone-"


class ReferenceCache:
    """`limit_bytes` holds for what nobody reads: a reference in use stays, whatever its size. `mount` is a folder laid
    out as the store's `reference/` (a shared disk): a bundle that lies there whole is read in place.

    What `local` has handed out counts as in use until `release` or `close`, or until the process ends.
    """

    def __init__(self, *, root: Path, limit_bytes: int, mount: Path | None = None) -> None:
        self.root = root
        self.limit_bytes = limit_bytes
        self.mount = mount
        self._in_use: dict[str, int] = {}

    async def local(self, store: Store, reference: ReferenceId | str) -> LocalReference:
        """The reference, on disk and verified. Raises Rejected REFERENCE_UNKNOWN or CONTENT_CHANGED, StoreUnavailable,
        OSError when the disk is full (what was pulled in part is gone then)."""
        bundle = await find(store, reference)
        digest = bundle.id.digest
        if self.mount is not None and _whole(self.mount / digest, bundle):
            return bundle.local(self.mount / digest)
        await asyncio.to_thread(self.root.mkdir, parents=True, exist_ok=True)
        await self._hold(digest)
        if await asyncio.to_thread(self._wrong, bundle):
            await self._pull(store, bundle)
        return bundle.local(self.root / digest)

    def release(self, reference: ReferenceId) -> None:
        """This process reads it no more."""
        descriptor = self._in_use.pop(reference.digest, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        while self._in_use:
            os.close(self._in_use.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _hold(self, digest: str) -> None:
        """Shared with other readers; waits while somebody removes it."""
        if digest not in self._in_use:
            path = self.root / f"{digest}.use"
            descriptor = await _wait_for(path, fcntl.LOCK_SH)
            if digest in self._in_use:
                os.close(descriptor)
            else:
                self._in_use[digest] = descriptor
        # stated, as the kernel's own "now" is the same for some milliseconds
        now = time.time_ns()
        os.utime(self._in_use[digest], ns=(now, now))

    async def _pull(self, store: Store, bundle: Bundle) -> None:
        digest = bundle.id.digest
        lock = await _wait_for(self.root / f"{digest}.pull", fcntl.LOCK_EX)
        try:
            # whoever held the lock before may have pulled it
            wrong = await asyncio.to_thread(self._wrong, bundle)
            if not wrong:
                return
            await asyncio.to_thread(self._make_room, sum(file.size for file in wrong))
            sets: dict[str, list[BundleFile]] = defaultdict(list)
            for file in wrong:
                sets[file.set_name].append(file)
            for name, files in sets.items():
                await self._pull_set(store, bundle, name, files)
        finally:
            os.close(lock)

    async def _pull_set(self, store: Store, bundle: Bundle, name: str, files: list[BundleFile]) -> None:
        """Into a folder aside; then the folder, or in a set that is there already each damaged file, is renamed into
        place: who reads the former goes on reading it."""
        home = self.root / bundle.id.digest
        await asyncio.to_thread(_clear, home)
        aside = home / f"{_PULLING}{uuid.uuid4().hex}"
        try:
            for file in files:
                key = keys.reference(digest=bundle.id.digest, name=file.path)
                await store.get_file(key, aside / Path(file.path).name, sha256=file.sha256, size=file.size)
            await asyncio.to_thread(_settle, aside, home / name)
        finally:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)

    def _wrong(self, bundle: Bundle) -> list[BundleFile]:
        """Files that are missing or damaged. One that has not changed since its sum was right is not read again."""
        home = self.root / bundle.id.digest
        seen: dict[str, dict[str, list[int]]] = {}
        wrong = []
        for file in bundle.files:
            path = home / file.path
            folder = path.parent
            if file.set_name not in seen:
                seen[file.set_name] = _verified(folder)
            try:
                state = _state(path)
            except FileNotFoundError:
                wrong.append(file)
                continue
            if seen[file.set_name].get(path.name) == state:
                continue
            if sum_of(path) != (file.sha256, file.size):
                wrong.append(file)
                continue
            seen[file.set_name][path.name] = state
            _write_states(folder, seen[file.set_name])
        return wrong

    def _make_room(self, coming: int) -> None:
        """Remove what was asked for longest ago until `coming` bytes fit the limit; what somebody reads stays."""
        used = {folder.name: _size(folder) for folder in self._bundles()}
        total = sum(used.values())
        for digest in sorted(used, key=self._last_use):
            if total + coming <= self.limit_bytes:
                return
            if digest not in self._in_use and self._remove(digest):
                total -= used[digest]

    def _last_use(self, digest: str) -> int:
        try:
            return (self.root / f"{digest}.use").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _remove(self, digest: str) -> bool:
        """False when somebody reads it. The lock's file stays: a new one would not exclude holders of the old."""
        try:
            descriptor = _locked(self.root / f"{digest}.use", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            gone = self.root / f"{_GONE}{uuid.uuid4().hex}"
            (self.root / digest).rename(gone)
        except FileNotFoundError:
            return True
        finally:
            os.close(descriptor)
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def _bundles(self) -> Iterator[Path]:
        for entry in self.root.iterdir():
            if entry.name.startswith(_GONE):
                # a process ended while it removed this
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.is_dir() and not entry.is_symlink():
                yield entry


async def _wait_for(path: Path, kind: int) -> int:
    """By trying: a thread that waits in flock would go on, and take the lock, after its task was cancelled."""
    while True:
        try:
            return _locked(path, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(RETRY_S)


def _locked(path: Path, kind: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, kind)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _whole(folder: Path, bundle: Bundle) -> bool:
    """By name and size: reading gigabytes over a network at each start would cost more than it finds."""
    for file in bundle.files:
        try:
            if (folder / file.path).stat().st_size != file.size:
                return False
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _verified(folder: Path) -> dict[str, list[int]]:
    try:
        found = json.loads((folder / VERIFIED).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _settle(aside: Path, target: Path) -> None:
    states = {}
    for path in aside.iterdir():
        path.chmod(0o444)
        states[path.name] = _state(path)
    if target.is_dir():
        for name in states:
            (aside / name).replace(target / name)
        states = _verified(target) | states
        aside = target
    _write_states(aside, states)
    if aside != target:
        aside.rename(target)


def _write_states(folder: Path, states: dict[str, list[int]]) -> None:
    temporary = folder / f"{VERIFIED}.{uuid.uuid4().hex}"
    temporary.write_text(json.dumps(states))
    temporary.replace(folder / VERIFIED)


def _clear(home: Path) -> None:
    """Under the pull lock no other pull of this bundle runs: what lies aside is of a process that ended."""
    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob(f"{_PULLING}*"):
        shutil.rmtree(left, ignore_errors=True)


def _size(folder: Path) -> int:
    """Bytes of its files."""
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            # removed or renamed by the process that it belongs to
            continue
        if stat.S_ISREG(status.st_mode):
            total += status.st_size
    return total
