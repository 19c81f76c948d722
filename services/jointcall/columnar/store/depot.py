"""Where a cohort's objects, generations and pointer lie: a folder or S3, through the chassis's stores.

    <folder>/objects/<2 digits>/<sha256>.arrow     what batches are made of, named by content
    <folder>/generations/<sha256>.json             manifests, named by content
    <folder>/publications/<number>.json            the pointer: the highest number names the current generation
    <folder>/holds/<name>.json                     generations that stay, whatever comes

A publication is written only where no other lies: who published meanwhile has taken the number. So the pointer moves
atomically on every store that knows a conditional write, and its history is there to read.

Calls block, and belong in another thread than the loop that the store works on.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, cast

from pydantic import AwareDatetime

from chassis.errors import Rejected, reject
from chassis.settings import StoreSettings
from chassis.storage.file import FileStore
from chassis.storage.open import open_store
from chassis.storage.store import ObjectFacts, ObjectMissing, Store, Unsupported, tags_of
from chassis.storage.sums import sum_of
from services.jointcall.columnar.store.batch import BatchReader, WrittenBatch, WrittenFile
from services.jointcall.columnar.store.generation import (
    Batch,
    Generation,
    Operation,
    Part,
    Sha256,
    ShardFiles,
    StoredFile,
    parsed,
)
from services.jointcall.columnar.store.ranged import Ranged

FOLDER = "columnar"
BLOCK = 8 << 20
"""Bytes of one ranged read: several windows, and few enough requests."""
MANIFEST_LIMIT = 1 << 30
FRESH = timedelta(hours=1)
"""An object that is put again and is younger stays as it is; an older one is written anew, so that whoever collects
garbage sees that it is wanted."""
_HOLD = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

T = TypeVar("T")


class Publication(Part):
    """That a generation became the current one."""

    number: int
    generation: Sha256
    operation: Operation
    samples: int
    at: AwareDatetime


class Hold(Part):
    name: str
    generation: Sha256
    reason: str
    at: AwareDatetime


class Depot:
    """`store` works on `loop`; `cohort` is what its objects are tagged with."""

    def __init__(
        self,
        *,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        cohort: str,
        folder: str = FOLDER,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._loop = loop
        self._folder = folder
        self._cohort = cohort
        self._now = now

    @property
    def base(self) -> str:
        return f"{self._store.base}/{self._folder}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the store's loop. Raises RuntimeError in the loop's own thread, which would wait for itself."""
        try:
            own = asyncio.get_running_loop()
        except RuntimeError:
            own = None
        if own is self._loop:
            work.close()
            raise RuntimeError("the columnar store is called from another thread than its loop's: asyncio.to_thread")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # objects

    def put(self, batch: WrittenBatch) -> ShardFiles:
        """Both files of a batch over one shard; nothing refers to them until a generation does."""
        return ShardFiles(
            blocks=self._put_object(batch.blocks, rows=batch.block_rows),
            variants=self._put_object(batch.variants, rows=batch.variant_rows),
            window_bp=batch.place.window_bp,
        )

    def _put_object(self, file: WrittenFile, *, rows: int) -> StoredFile:
        stored = StoredFile(sha256=file.sha256, size=file.size, rows=rows)
        self.put_object(stored, file.path)
        return stored

    def put_object(self, file: StoredFile, path: Path) -> None:
        """Raises Rejected CONTENT_CHANGED where the file at `path` is another one, and stores nothing."""
        key = self.object_key(file.sha256)
        there = self.run(self._store.head(key))
        if there is None or there.size != file.size or self._now() - there.modified > FRESH:
            tags = tags_of(kind="columnar", stage="jointcall", subject=self._cohort)
            self.run(self._store.put_file(key, path, sha256=file.sha256, tags=tags))

    def object_key(self, sha256: str) -> str:
        return f"{self._folder}/objects/{sha256[:2]}/{sha256}.arrow"

    def open_shard(self, batch: Batch, shard: int, *, copies: Path | None = None) -> BatchReader:
        """A reader of the batch's windows over the generation's shard of that number. On a folder the objects are read
        where they lie; elsewhere by ranges, or from verified copies kept in the folder `copies`."""
        files = batch.shards[shard]
        where = f"{self.base}, batch {batch.id[:12]}, shard {shard + 1}"
        blocks, variants = (self._source(file, copies) for file in (files.blocks, files.variants))
        reader = BatchReader(blocks=blocks, variants=variants, where=where)
        if reader.samples != batch.names:
            reader.close()
            raise reject(
                code="CONTENT_CHANGED",
                message="the objects hold other samples than the generation says",
                where=where,
                rule="a batch's samples stand in its objects in the manifest's order",
                fix="restore the generation from its copy",
            )
        return reader

    def _source(self, file: StoredFile, copies: Path | None) -> Path | BinaryIO:
        key = self.object_key(file.sha256)
        if isinstance(self._store, FileStore):
            path = self._store.path_of(key)
            if not path.is_file():
                raise ObjectMissing(self._store.uri(key))
            if path.stat().st_size != file.size:
                raise _other_bytes(self._store.uri(key))
            return path
        if copies is None:
            ranged = Ranged(read=partial(self.read_range, key), size=file.size)
            return cast(BinaryIO, BufferedReader(ranged, BLOCK))
        kept = copies / f"{file.sha256}.arrow"
        if not kept.is_file():
            self.run(self._store.get_file(key, kept, sha256=file.sha256, size=file.size))
        return kept

    def fetch(self, file: StoredFile, path: Path) -> None:
        """A verified copy of an object. Raises ObjectMissing; Rejected CONTENT_CHANGED."""
        self.run(self._store.get_file(self.object_key(file.sha256), path, sha256=file.sha256, size=file.size))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        return self.run(self._store.read_range(key, start, length))

    def verify(self, sha256: str, *, scratch: Path) -> None:
        """Read an object whole. Raises Rejected CONTENT_CHANGED where its bytes are not those that it is named by."""
        key = self.object_key(sha256)
        if isinstance(self._store, FileStore):
            path = self._store.path_of(key)
            if not path.is_file():
                raise ObjectMissing(self._store.uri(key))
            if sum_of(path)[0] != sha256:
                raise _other_bytes(self._store.uri(key))
            return
        copy = scratch / f"{sha256}.arrow"
        try:
            self.run(self._store.get_file(key, copy, sha256=sha256))
        finally:
            copy.unlink(missing_ok=True)

    # generations and the pointer

    def current(self) -> Publication | None:
        """The newest publication; None in an empty store."""
        numbers = self._numbers()
        return self._publication(numbers[-1]) if numbers else None

    def history(self) -> Iterator[Publication]:
        """All publications, newest first. A generation that was collected since is named, and gone."""
        for number in reversed(self._numbers()):
            yield self._publication(number)

    def generation(self, generation: str) -> Generation:
        """Raises ObjectMissing; Rejected CONTENT_CHANGED, SCHEMA_VERSION."""
        key = self.generation_key(generation)
        content = self.run(self._store.get_bytes(key, limit=MANIFEST_LIMIT))
        return parsed(content, sha256=generation, where=self._store.uri(key))

    def publish(self, generation: Generation) -> Publication:
        """Make it the current one. Raises Rejected GENERATION_MOVED where it was not made from the current one, or
        somebody else published at the same time; OBJECT_MISSING where objects that it names are not there. The pointer
        is the last that is written: before that, nothing changed."""
        self._refuse_blind_store()
        before = self.current()
        if generation.parent != (before.generation if before else None):
            raise self._moved()
        inherited = self.generation(before.generation).objects() if before else {}
        self._refuse_missing({sha: size for sha, size in generation.objects().items() if sha not in inherited})
        self.put_generation(generation)
        publication = Publication(
            number=before.number + 1 if before else 1,
            generation=generation.id,
            operation=generation.operation,
            samples=len(generation.samples),
            at=self._now(),
        )
        key = f"{self._folder}/publications/{publication.number:010d}.json"
        try:
            self._put_json(key, publication.model_dump_json().encode())
        except Rejected as refused:
            if refused.rejection.code != "IDEMPOTENCY_CONFLICT":
                raise
            raise self._moved() from refused
        return publication

    def put_generation(self, generation: Generation) -> None:
        """Store its manifest, and move no pointer: for who remembers elsewhere which one counts. Its objects are there
        already."""
        self._put_json(self.generation_key(generation.id), generation.canonical(), again=True)

    def generation_key(self, generation: str) -> str:
        return f"{self._folder}/generations/{generation}.json"

    def _numbers(self) -> list[int]:
        return [int(Path(facts.key).stem) for facts in self.listed("publications")]

    def _publication(self, number: int) -> Publication:
        key = f"{self._folder}/publications/{number:010d}.json"
        return Publication.model_validate_json(self.run(self._store.get_bytes(key, limit=MANIFEST_LIMIT)))

    def _refuse_blind_store(self) -> None:
        if "conditional-put" not in self._store.capabilities:
            raise Unsupported("publish a generation: it knows no conditional write", backend=self._store.base[:5])

    def _refuse_missing(self, objects: dict[str, int]) -> None:
        async def look() -> int:
            found = 0
            for sha256, size in objects.items():
                facts = await self._store.head(self.object_key(sha256))
                found += facts is not None and facts.size == size
            return found

        missing = len(objects) - self.run(look())
        if missing:
            raise reject(
                code="OBJECT_MISSING",
                message=f"{missing} objects that the generation names are not in the store",
                where=self.base,
                rule="a generation is published when all that it names is stored",
                fix="put the batches again, then publish",
            )

    def _moved(self) -> Rejected:
        return reject(
            code="GENERATION_MOVED",
            message="another generation was published since this one was begun",
            where=self.base,
            rule="a generation is made from the current one",
            fix="repeat the operation on the current generation; batches that are stored already are used again",
        )

    # holds

    def hold(self, *, name: str, generation: str, reason: str) -> Hold:
        """Keep a generation until the hold is released. Raises ObjectMissing; Rejected IDEMPOTENCY_CONFLICT where the
        name holds another one."""
        self.generation(generation)
        hold = Hold(name=name, generation=generation, reason=reason, at=self._now())
        key = self._hold_key(name)
        for there in self.holds():
            if there.name == name and there.generation == generation:
                return there
        self._put_json(key, hold.model_dump_json().encode())
        return hold

    def release(self, name: str) -> bool:
        """False where no such hold is there."""
        return self.run(self._store.delete(self._hold_key(name)))

    def holds(self) -> list[Hold]:
        keys = [facts.key for facts in self.listed("holds")]
        return [Hold.model_validate_json(self.run(self._store.get_bytes(key, limit=MANIFEST_LIMIT))) for key in keys]

    def _hold_key(self, name: str) -> str:
        if not _HOLD.fullmatch(name):
            raise reject(
                code="UNSAFE_PATH",
                message="the name of the hold cannot be used",
                where="the hold's name",
                rule="1 to 100 of a-z 0-9 . _ -, and the first a letter or digit",
                fix="choose another name",
            )
        return f"{self._folder}/holds/{name}.json"

    # what collection needs

    def listed(self, kind: Literal["objects", "generations", "publications", "holds"]) -> list[ObjectFacts]:
        """In key order."""

        async def walk() -> list[ObjectFacts]:
            return [facts async for facts in self._store.list(f"{self._folder}/{kind}")]

        return self.run(walk())

    def delete(self, facts: ObjectFacts) -> bool:
        """Exactly what was listed: False where it was written anew since, or is gone."""

        async def remove() -> bool:
            there = await self._store.head(facts.key)
            if there is None or there.modified != facts.modified:
                return False
            return await self._store.delete(facts.key, version=there.version)

        return self.run(remove())

    def _put_json(self, key: str, content: bytes, *, again: bool = False) -> None:
        tags = tags_of(kind="manifest", stage="jointcall", subject=self._cohort)
        self.run(self._store.put_bytes(key, content, tags=tags, if_absent=not again))


@contextmanager
def opened(settings: StoreSettings, *, cohort: str, folder: str = FOLDER) -> Iterator[Depot]:
    """A depot for callers without a loop of their own: a thread runs one as long as it is open."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="columnar-store", daemon=True)
    thread.start()
    stack = AsyncExitStack()
    try:
        entering = asyncio.run_coroutine_threadsafe(stack.enter_async_context(open_store(settings)), loop)
        try:
            yield Depot(store=entering.result(), loop=loop, cohort=cohort, folder=folder)
        finally:
            asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _other_bytes(uri: str) -> Rejected:
    return reject(
        code="CONTENT_CHANGED",
        message="the object's bytes are not those that it is named by",
        where=uri,
        rule="an object's name is the SHA-256 of its content",
        fix="restore the object from its copy, or import its samples again",
    )
