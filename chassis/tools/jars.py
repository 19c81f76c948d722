"""Pinned jars of the Java tools: named by coordinate, fetched once, believed only after their SHA-256 was seen.

The address of the repository is the resolver's business (jgo), never ours. What it brings is checked here, because it
only warns when a sum is wrong. A verified jar lies in the cache under a path of its own; with a full cache nothing
touches the network, and the resolver is not even imported.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from chassis.errors import Rejected, reject

if TYPE_CHECKING:
    from rich.console import Console

FETCH_THREADS = 8  # many small files: latency, not bandwidth, is what takes the time
FETCH_TRIES = 3
RETRY_PAUSE_S = 0.5  # before the second try; doubled before the third
READ_TIMEOUT_S = 30
STALE_DOWNLOAD_S = 24 * 3600  # a download folder this old has lost its process

_COORDINATE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(:[A-Za-z0-9_][A-Za-z0-9._+-]*){2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all), from any thread, one call at a time."""

Resolve = Callable[["Jar", Path, Callable[[int], None]], Path]
"""Brings one jar into an empty folder and returns where it lies; tells how many bytes came with each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One pinned jar. `coordinate` is `group:artifact:version`; `sha256` lower-case hex; `size` in bytes."""

    coordinate: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not _COORDINATE.fullmatch(self.coordinate):
            raise ValueError(f"{self.coordinate!r} is no group:artifact:version")
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError("the SHA-256 is not 64 lower-case hex digits")
        if self.size <= 0:
            raise ValueError("the size is not a positive number of bytes")

    def path_in(self, cache: Path) -> Path:
        group, artifact, version = self.coordinate.split(":")
        return cache / group / artifact / version / f"{artifact}-{version}.jar"


@dataclass(frozen=True, slots=True, kw_only=True)
class JarSet:
    """The jars of one tool, in class path order."""

    name: str
    jars: tuple[Jar, ...]

    @property
    def size(self) -> int:
        """Bytes of all jars together."""
        return sum(jar.size for jar in self.jars)


def load(path: Path) -> JarSet:
    """Read a pins file: `group:artifact:version sha256 size` a line; empty lines and `#` lines are passed over.

    Raises Rejected (PIN_FORMAT) naming the file and the line.
    """
    jars: list[Jar] = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinate, sha256, size = line.split()
            jar = Jar(coordinate=coordinate, sha256=sha256, size=int(size))
        except ValueError as wrong:
            raise _bad_pin(f"{path.name}, line {number}", str(wrong)) from wrong
        if any(jar.coordinate == earlier.coordinate for earlier in jars):
            raise _bad_pin(f"{path.name}, line {number}", f"{jar.coordinate} is pinned twice")
        jars.append(jar)
    if not jars:
        raise _bad_pin(path.name, "no jar is pinned")
    return JarSet(name=path.stem, jars=tuple(jars))


def default_cache() -> Path:
    """`COHORTSTREAM_CACHE`, else the user's cache folder: outside any checkout, shared by all of them."""
    override = os.environ.get("COHORTSTREAM_CACHE")
    if override:
        return Path(override).expanduser().absolute() / "jars"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cohortstream" / "jars"


def classpath(jars: tuple[Path, ...]) -> str:
    """The value of `-cp`."""
    return os.pathsep.join(str(jar) for jar in jars)


def missing(jar_set: JarSet, *, cache: Path) -> tuple[Jar, ...]:
    """The jars that are not in the cache in verified form."""
    return tuple(jar for jar in jar_set.jars if not _is_verified(jar, jar.path_in(cache)))


def fetch(
    jar_set: JarSet, *, cache: Path | None = None, progress: Progress | None = None, resolve: Resolve | None = None
) -> tuple[Path, ...]:
    """Every jar of the set, verified, in class path order. Safe beside other processes that do the same.

    `resolve` stands in for the resolver in tests. Raises Rejected: JAR_SUM when a jar is not the pinned one (it is set
    aside as `*.refused`), JAR_UNREACHABLE when it cannot be had.
    """
    cache = (cache or default_cache()).absolute()
    absent = missing(jar_set, cache=cache)
    meter = _Meter(total=jar_set.size, done=jar_set.size - sum(jar.size for jar in absent), report=progress)
    if absent:
        cache.mkdir(parents=True, exist_ok=True)
        bring = resolve or _through_jgo
        with _one_fetcher(cache):
            # another process may have fetched them while this one waited for its turn
            still_absent = missing(jar_set, cache=cache)
            meter.add(sum(jar.size for jar in absent) - sum(jar.size for jar in still_absent))
            with ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="jars") as pool:
                pending = [pool.submit(_fetch_one, jar, cache, bring, meter) for jar in still_absent]
                try:
                    for one in pending:
                        one.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    meter.finish()
    return tuple(jar.path_in(cache) for jar in jar_set.jars)


def fetch_with_bar(jar_set: JarSet, cache: Path | None, console: Console) -> tuple[Path, ...]:
    """`fetch` under a progress bar; draws nothing when the cache is full."""
    if not missing(jar_set, cache=cache or default_cache()):
        return fetch(jar_set, cache=cache)
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"fetching {jar_set.name}", total=jar_set.size)
        return fetch(jar_set, cache=cache, progress=lambda done, total: bar.update(task, completed=done, total=total))


class _Meter:
    """Adds up bytes over threads. A retry counts its bytes again, so the sum is held at the total."""

    def __init__(self, *, total: int, done: int, report: Progress | None) -> None:
        self._total, self._done, self._report, self._lock = total, done, report, Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done = min(self._total, self._done + count)
            if self._report is not None:
                self._report(self._done, self._total)

    def finish(self) -> None:
        self.add(self._total)


def _fetch_one(jar: Jar, cache: Path, resolve: Resolve, meter: _Meter) -> None:
    target = jar.path_in(cache)
    if target.exists():
        _mark_path(target).unlink(missing_ok=True)
        if target.stat().st_size == jar.size:
            target.replace(_refused_path(target))
        else:
            target.unlink()
    said = "nothing came"
    for attempt in range(FETCH_TRIES):
        if attempt:
            time.sleep(RETRY_PAUSE_S * 2 ** (attempt - 1))
        # an empty folder a try: the resolver takes any file it finds in its cache for a whole one
        with tempfile.TemporaryDirectory(prefix="incoming-", dir=cache) as folder:
            try:
                came = resolve(jar, Path(folder), meter.add)
            except _transient_errors() as error:
                said = f"{type(error).__name__}: {error}"
                continue
            size = came.stat().st_size
            if size < jar.size:
                said = f"the download broke off after {size} of {jar.size} bytes"
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if size != jar.size or _sha256(came) != jar.sha256:
                came.replace(_refused_path(target))
                raise _wrong_sum(jar, _refused_path(target))
            # the mark first would bless a file that is not there; the file first is only hashed once more after a crash
            came.replace(target)
            _mark_verified(jar, target)
            return
    raise reject(
        code="JAR_UNREACHABLE",
        message=f"{jar.coordinate} could not be fetched in {FETCH_TRIES} tries ({said})",
        where=str(target),
        rule="a jar comes once from the public repository, then from the cache",
        fix="connect this machine once, or copy a filled cache here and name it with COHORTSTREAM_CACHE",
    )


def _through_jgo(jar: Jar, folder: Path, came: Callable[[int], None]) -> Path:
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def count(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield came

    group, artifact, version = jar.coordinate.split(":")
    context = MavenContext(
        repo_cache=folder, resolver=PythonResolver(progress_callback=count), timeout=READ_TIMEOUT_S, offline=False
    )
    return Path(context.project(group, artifact).at_version(version).artifact().resolve())


def _transient_errors() -> tuple[type[Exception], ...]:
    from requests import RequestException

    # jgo says RuntimeError for whatever answer is not the file
    return (RequestException, RuntimeError, ConnectionError, TimeoutError)


def _is_verified(jar: Jar, path: Path) -> bool:
    """Hashing all jars takes 0.3 s; a mark with size and time of change says that this very file was hashed before."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    if stat.st_size != jar.size:
        return False
    try:
        mark = json.loads(_mark_path(path).read_text(encoding="ascii"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        mark = None
    if mark == _mark_of(jar, stat.st_mtime_ns):
        return True
    if _sha256(path) != jar.sha256:
        return False
    with suppress(PermissionError):  # a cache that is only ours to read is as good, and hashed each time
        _mark_verified(jar, path)
    return True


def _mark_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _mark_of(jar: Jar, mtime_ns: int) -> dict[str, str | int]:
    return {"sha256": jar.sha256, "size": jar.size, "mtime_ns": mtime_ns}


def _mark_verified(jar: Jar, path: Path) -> None:
    fresh = path.with_name(f"{path.name}.mark-{os.getpid()}")
    fresh.write_text(json.dumps(_mark_of(jar, path.stat().st_mtime_ns)), encoding="ascii")
    fresh.replace(_mark_path(path))


def _refused_path(path: Path) -> Path:
    return path.with_name(path.name + ".refused")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _one_fetcher(cache: Path) -> Iterator[None]:
    """One process fetches, the others wait and find the cache full. Correctness rests on the renames."""
    with (cache / ".fetching").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for abandoned in cache.glob("incoming-*"):
            if time.time() - abandoned.stat().st_mtime > STALE_DOWNLOAD_S:
                _remove_folder(abandoned)
        yield


def _remove_folder(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _wrong_sum(jar: Jar, refused: Path) -> Rejected:
    return reject(
        code="JAR_SUM",
        message=f"{jar.coordinate} is not the jar that was pinned",
        where=str(refused),
        rule=f"SHA-256 {jar.sha256}, {jar.size} bytes",
        fix="do not use the refused file; try again from another network, or ask who runs this one's mirror",
    )


def _bad_pin(where: str, message: str) -> Rejected:
    return reject(
        code="PIN_FORMAT",
        message=message,
        where=where,
        rule="one `group:artifact:version sha256 size` a line, each jar once",
        fix="mend the line in the pins file",
    )
