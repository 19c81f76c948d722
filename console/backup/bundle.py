"""A backup as it lies on disk: one folder, its manifest written last, every file's SHA-256 in it.

manifest.json                          what is in it; a folder without one is no backup
ledgers/<service>/<table>.copy.gz      the table's rows as COPY writes them
log/records.jsonl.gz                   events that a service had not settled yet when the backup was taken
cohortstream.toml                      the configuration, where there was a file
site-secret                            unless it was left out
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.errors import Rejected, reject

FORMAT = 1
MANIFEST = "manifest.json"
RECORDS = "log/records.jsonl.gz"
CONFIG, SECRET = "cohortstream.toml", "site-secret"
PARTIAL = ".partial"
PIECE = 1 << 20
MANIFEST_LIMIT = 64 << 20
_PATH = re.compile(
    r"ledgers/[a-z_][a-z0-9_]*/[a-z_][a-z0-9_]*\.copy\.gz|log/records\.jsonl\.gz|cohortstream\.toml|site-secret"
)
Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileSum(_Part):
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class TableKept(_Part):
    name: Name
    columns: Annotated[tuple[Name, ...], Field(min_length=1)]
    rows: Annotated[int, Field(ge=0)]


class Position(_Part):
    """A place in Kafka's log."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]


class LedgerKept(_Part):
    """A service's ledger. `settled` is how far its consumer group had come."""

    ledger_revision: str
    service_revision: str | None
    incarnation: Annotated[int, Field(ge=1)]
    tables: tuple[TableKept, ...]
    settled: tuple[Position, ...]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


class LogKept(_Part):
    """Where the log of `cluster` ended at the moment of the snapshot; `records` were not settled by all then."""

    cluster: str
    ends: tuple[Position, ...]
    records: Annotated[int, Field(ge=0)]


class Manifest(_Part):
    format: Literal[1]
    made_by: str
    made_at: datetime
    """The ledgers' clock at the snapshot."""
    postgres: str
    store: str
    services: dict[Name, LedgerKept]
    log: LogKept
    files: dict[str, FileSum]

    @property
    def size(self) -> int:
        return sum(kept.size for kept in self.files.values())


def table_path(service: str, table: str) -> str:
    return f"ledgers/{service}/{table}.copy.gz"


class Writing:
    """A backup that is being written, under a temporary name; `finish` makes it one."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(f"{target.name}{PARTIAL}-{os.getpid()}")
        self.files: dict[str, FileSum] = {}

    def begin(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True)

    @contextmanager
    def compressed(self, name: str) -> Iterator[gzip.GzipFile]:
        """A file to write into; its sum is known when it is closed."""
        path = self._path(name)
        with path.open("xb") as raw:
            path.chmod(0o600)
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=1, mtime=0) as out:
                yield out
            _kept(raw)
        self.files[name] = sum_of(path)

    def plain(self, name: str, content: bytes) -> None:
        path = self._path(name)
        with path.open("xb") as raw:
            path.chmod(0o600)
            raw.write(content)
            _kept(raw)
        self.files[name] = sum_of(path)

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and give the folder its name. Raises Rejected BACKUP_EXISTS when that is taken."""
        document = manifest.model_dump(mode="json")
        sums = hashlib.sha256(_canonical(document)).hexdigest()
        path = self._path(MANIFEST)
        with path.open("x", encoding="utf-8") as raw:
            path.chmod(0o600)
            raw.write(json.dumps({"manifest": document, "sha256": sums}, indent=1) + "\n")
            _kept(raw)
        for folder in {path.parent for path in self.folder.rglob("*")}:
            _keep_folder(folder)
        if self.target.exists():
            raise exists(self.target)
        self.folder.rename(self.target)
        _keep_folder(self.target.parent)

    def _path(self, name: str) -> Path:
        path = self.folder / name
        for parent in reversed(Path(name).parents):
            (self.folder / parent).mkdir(mode=0o700, exist_ok=True)
        return path


def verified(folder: Path) -> Manifest:
    """The manifest of a backup whose every file is what it was. Raises Rejected BACKUP_INVALID, BACKUP_FORMAT."""
    manifest = read_manifest(folder)
    for name, kept in sorted(manifest.files.items()):
        if not _PATH.fullmatch(name):
            raise _invalid(folder, f"its manifest names a file that no backup has (entry {name[:80]!r})")
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise _invalid(folder, f"{name} is missing")
        if sum_of(path) != kept:
            raise _invalid(folder, f"{name} is not what it was when the backup was made")
    wanted = {table_path(service, table.name) for service, kept in manifest.services.items() for table in kept.tables}
    lacking = sorted((wanted | {RECORDS}) - manifest.files.keys())
    if lacking:
        raise _invalid(folder, f"{lacking[0]} is not among its files")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            raise _invalid(folder, "its manifest is too large")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise _invalid(folder, "it has no manifest: it is no backup, or one that was never finished") from None
    except ValueError:
        raise _invalid(folder, "its manifest cannot be read") from None
    inner = document.get("manifest") if isinstance(document, dict) else None
    if not isinstance(inner, dict):
        raise _invalid(folder, "its manifest cannot be read")
    if hashlib.sha256(_canonical(inner)).hexdigest() != document.get("sha256"):
        raise _invalid(folder, "its manifest is not what it was when the backup was made")
    if inner.get("format") != FORMAT:
        raise reject(
            code="BACKUP_FORMAT",
            message="the backup has another format",
            where=str(folder),
            rule=f"this version of cohortstream reads format {FORMAT}",
            fix="restore it with the version that made it (`made_by` in its manifest.json), or a later one",
        )
    try:
        return Manifest.model_validate(inner)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise _invalid(folder, f"its manifest is wrong at {place}: {first['msg']}") from None


async def pieces(path: Path) -> AsyncIterator[bytes]:
    """The content of a compressed file, a piece at a time."""
    try:
        with gzip.open(path, "rb") as kept:
            while piece := kept.read(PIECE):
                yield piece
    except (EOFError, OSError, zlib.error) as error:
        raise _invalid(path, f"it cannot be decompressed ({type(error).__name__})") from error


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as kept:
        for line in kept:
            yield json.loads(line)


def sum_of(path: Path) -> FileSum:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as kept:
        while piece := kept.read(PIECE):
            digest.update(piece)
            size += len(piece)
    return FileSum(sha256=digest.hexdigest(), size=size)


def exists(target: Path) -> Rejected:
    return reject(
        code="BACKUP_EXISTS",
        message="there is something of this name already",
        where=str(target),
        rule="a backup never replaces anything",
        fix="name another folder, or one that exists to get a fresh folder in it",
    )


def _invalid(folder: Path, what: str) -> Rejected:
    return reject(
        code="BACKUP_INVALID",
        message=what,
        where=str(folder),
        rule="a backup is restored when it is whole and unchanged, or not at all",
        fix="restore another backup; `cohortstream backup --verify FOLDER` says whether one is whole",
    )


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _kept(raw: Any) -> None:
    raw.flush()
    os.fsync(raw.fileno())


def _keep_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
