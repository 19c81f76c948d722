"""gVCFs as people name them: local files, read shard by shard where they have an index, and objects of S3, streamed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from chassis.errors import reject
from chassis.settings import StoreSettings
from chassis.storage.open import open_store
from chassis.storage.store import ObjectMissing, Store
from chassis.storage.sums import sum_of
from chassis.tools import vcf
from services.jointcall.columnar.reading.bgzf import Lines
from services.jointcall.columnar.store.depot import Depot
from services.jointcall.engines.gvcf import one_sample, require_whole

PIECE = 2 << 20
"""Bytes of one ranged request: a stream's whole memory, but for its lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gvcf:
    """`name`: the sample's, from the file. `size`: compressed bytes. Without `index` it is read as a stream, from its
    beginning; without `path` too."""

    name: str
    place: str
    size: int
    path: Path | None = None
    index: Path | None = None

    @property
    def where(self) -> str:
        return self.place.rpartition("/")[2]


class FileSource:
    """A local file as a stream."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("rb")

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size)

    def digest(self) -> str:
        """SHA-256 of the whole file."""
        return sum_of(self._path)[0]

    def close(self) -> None:
        self._stream.close()


class ObjectSource:
    """An object as a stream: ranged requests one after the other, summed as they come."""

    def __init__(self, depot: Depot, store: Store, uri: str) -> None:
        self._depot, self._store, self._uri = depot, store, uri
        facts = depot.run(store.head(uri))
        if facts is None:
            raise ObjectMissing(uri)
        self.size = facts.size
        self._told = facts.sha256
        self._sum = hashlib.sha256()
        self._held = b""
        self._used = self._asked = 0

    def read(self, size: int, /) -> bytes:
        if self._used == len(self._held):
            wanted = min(PIECE, self.size - self._asked)
            if not wanted:
                return b""
            self._held = self._depot.run(self._store.read_range(self._uri, self._asked, wanted))
            self._used = 0
            self._asked += len(self._held)
            self._sum.update(self._held)
        found = self._held[self._used : self._used + size]
        self._used += len(found)
        return found

    def digest(self) -> str:
        """SHA-256 of the whole object: as it is kept with it, or by reading on to its end."""
        if self._told is None:
            self._used = len(self._held)
            while self.read(PIECE):
                pass
            self._told = self._sum.hexdigest()
        return self._told

    def close(self) -> None:
        self._held = b""


class Sources:
    """Opens gVCFs wherever they lie. `settings` say how S3 is reached; its calls run on the depot's loop."""

    def __init__(self, *, depot: Depot, settings: StoreSettings) -> None:
        self._depot, self._settings = depot, settings
        self._stack = AsyncExitStack()
        self._buckets: dict[str, Store] = {}

    def __enter__(self) -> Sources:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depot.run(self._stack.aclose())

    def open(self, gvcf: Gvcf) -> FileSource | ObjectSource:
        return FileSource(gvcf.path) if gvcf.path is not None else self._object(gvcf.place)

    def found(self, places: Iterable[str]) -> tuple[Gvcf, ...]:
        """By the names of their samples. Raises Rejected: EMPTY_INPUT, FILE_MISSING, COHORT_DUPLICATE, and what a
        header is refused for."""
        gvcfs = sorted((self._one(place) for place in dict.fromkeys(places)), key=lambda one: one.name)
        if not gvcfs:
            raise reject(
                code="EMPTY_INPUT",
                message="no gVCF was given",
                where="the command line",
                rule="gVCFs are named one by one, or in a file (--gvcf-list), one a line",
                fix="name at least one gVCF",
            )
        twice = [name for name, times in Counter(one.name for one in gvcfs).items() if times > 1]
        if twice:
            files = [one.where for one in gvcfs if one.name == twice[0]]
            raise reject(
                code="COHORT_DUPLICATE",
                message=f"{files[0]} and {files[1]} hold the same sample",
                where=files[1],
                rule="a sample is in a cohort once",
                fix="keep the newer version of the sample's gVCF",
            )
        return tuple(gvcfs)

    def _one(self, place: str) -> Gvcf:
        if place.startswith("s3://"):
            source = self._object(place)
            lines = Lines(source, where=place.rpartition("/")[2])
            return Gvcf(name=_sample(lines, place), place=place, size=source.size)
        path = Path(place).expanduser()
        if not path.is_file():
            raise reject(
                code="FILE_MISSING",
                message="there is no such gVCF",
                where=place,
                rule="a gVCF is a local file, or s3://bucket/key",
                fix="correct the path",
            )
        require_whole(path)
        with path.open("rb") as stream:
            name = _sample(Lines(stream, where=path.name), place)
        index = path.with_name(path.name + ".tbi")
        return Gvcf(
            name=name,
            place=place,
            size=path.stat().st_size,
            path=path,
            index=index if index.is_file() else None,
        )

    def _object(self, uri: str) -> ObjectSource:
        bucket = "/".join(uri.split("/")[:3])
        if bucket not in self._buckets:
            opening = open_store(self._settings.model_copy(update={"base": bucket}), probe=False)
            self._buckets[bucket] = self._depot.run(self._stack.enter_async_context(opening))
        return ObjectSource(self._depot, self._buckets[bucket], uri)


def listed(path: Path) -> list[str]:
    """The gVCFs that a file names, one a line, `#` in front of remarks; relative ones lie beside it. Raises Rejected
    FILE_MISSING."""
    if not path.is_file():
        raise reject(
            code="FILE_MISSING",
            message="there is no such list",
            where=str(path),
            rule="a list names one gVCF a line",
            fix="correct --gvcf-list",
        )
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    named = [line for line in lines if line and not line.startswith("#")]
    return [line if "://" in line else str(path.parent / Path(line).expanduser()) for line in named]


def _sample(lines: Lines, place: str) -> str:
    where = place.rpartition("/")[2]
    return one_sample(vcf.header_in(lines.each(), where=where), where=where)


def names(gvcfs: Sequence[Gvcf]) -> tuple[str, ...]:
    return tuple(one.name for one in gvcfs)
