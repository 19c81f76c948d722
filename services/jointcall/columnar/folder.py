"""A generation of one shard as a folder: what a task works on, between two visits to the store.

    <folder>/generation.json           its manifest
    <folder>/objects/<sha256>.arrow    the objects that it names

A folder is immutable. A later generation shares its objects by hard links.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from services.jointcall.columnar.store.batch import BatchReader, WrittenBatch, WrittenFile
from services.jointcall.columnar.store.compaction import joined
from services.jointcall.columnar.store.depot import Depot
from services.jointcall.columnar.store.generation import (
    Batch,
    BatchSample,
    Generation,
    ShardFiles,
    StoredFile,
    due,
    parsed,
    regrouped,
    small,
)

MANIFEST = "generation.json"
OBJECTS = "objects"


class GenerationFolder:
    """Reads and writes one. `path` need not be there before the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Generation:
        """Raises Rejected CONTENT_CHANGED, SCHEMA_VERSION."""
        content = (self.path / MANIFEST).read_bytes()
        return parsed(content, sha256=hashlib.sha256(content).hexdigest(), where=MANIFEST)

    def write(self, generation: Generation) -> None:
        """The manifest, and of the objects only what it names stays."""
        needed = generation.objects()
        for path in self._objects.iterdir():
            if path.stem not in needed:
                path.unlink()
        (self.path / MANIFEST).write_bytes(generation.canonical())

    def object(self, sha256: str) -> Path:
        return self._objects / f"{sha256}.arrow"

    @contextmanager
    def beginning(self, earlier: Path | None) -> Iterator[None]:
        """Make the folder, with the objects of an earlier one in it. After an error nothing stays."""
        self._objects.mkdir(parents=True)
        try:
            if earlier is not None:
                for path in (earlier / OBJECTS).iterdir():
                    _shared(path, self._objects / path.name)
            yield
        except BaseException:
            shutil.rmtree(self.path)
            raise

    def adopt(self, written: WrittenBatch, samples: Sequence[BatchSample]) -> Batch:
        """Move a batch's files, which lie on the same disk, among the objects."""
        return Batch(
            samples=tuple(samples),
            shards=(
                ShardFiles(
                    blocks=self._adopted(written.blocks, rows=written.block_rows),
                    variants=self._adopted(written.variants, rows=written.variant_rows),
                    window_bp=written.place.window_bp,
                ),
            ),
        )

    def open(self, batch: Batch) -> BatchReader:
        (files,) = batch.shards
        blocks, variants = self.object(files.blocks.sha256), self.object(files.variants.sha256)
        return BatchReader(blocks=blocks, variants=variants, where=f"batch {batch.id[:12]}")

    @property
    def _objects(self) -> Path:
        return self.path / OBJECTS

    def _adopted(self, file: WrittenFile, *, rows: int) -> StoredFile:
        file.path.replace(self.object(file.sha256))
        return StoredFile(sha256=file.sha256, size=file.size, rows=rows)


def tidied(folder: GenerationFolder, generation: Generation, *, now: datetime, most: int, scratch: Path) -> Generation:
    """The generation without bytes whose deadline has come, and of no more than `most` batches where small ones can be
    put together. Its objects lie in the folder; itself where nothing is to be done."""
    late = due(generation, now=now)
    if late:
        generation = _regrouped(folder, generation, late, operation="rewrite", scratch=scratch)
    if len(generation.batches) > most:
        few = small(generation, limit=LIMIT)
        if few:
            generation = _regrouped(folder, generation, few, operation="compact", scratch=scratch)
    return generation


LIMIT = 1000
"""Samples of a batch that others are put together to, at most."""


def _regrouped(
    folder: GenerationFolder,
    generation: Generation,
    chosen: Collection[str],
    *,
    operation: Literal["rewrite", "compact"],
    scratch: Path,
) -> Generation:
    batches = [generation.batch(batch) for batch in chosen]
    places = sorted(
        (batch.samples[at].name, which, at) for which, batch in enumerate(batches) for at in generation.counting(batch)
    )
    if not places:
        return regrouped(generation, gone=chosen, batch=None, operation=operation)
    samples = [batches[which].samples[at] for _, which, at in places]
    rows = sum(file.rows for batch in batches for file in batch.objects)
    with ExitStack() as stack:
        readers = [stack.enter_context(folder.open(batch)) for batch in batches]
        names = tuple(one.name for one in samples)
        written = joined(readers, [place[1:] for place in places], rows=rows, names=names, scratch=scratch)
    return regrouped(generation, gone=chosen, batch=folder.adopt(written, samples), operation=operation)


def put(folder: GenerationFolder, depot: Depot) -> tuple[Generation, Collection[str]]:
    """Store what is new, the manifest last; what the parent brought is stored. Returns the generation and the SHA-256
    of the parent's objects. Blocks, as the depot does."""
    generation = folder.read()
    there = depot.generation(generation.parent).objects() if generation.parent is not None else {}
    for batch in generation.batches:
        for file in batch.objects:
            if file.sha256 not in there:
                depot.put_object(file, folder.object(file.sha256))
    depot.put_generation(generation)
    return generation, there


def fetch(generation: str, depot: Depot, *, out: Path) -> None:
    """Blocks. Raises ObjectMissing; Rejected CONTENT_CHANGED, SCHEMA_VERSION; nothing stays then."""
    folder = GenerationFolder(out)
    found = depot.generation(generation)
    with folder.beginning(None):
        for batch in found.batches:
            for file in batch.objects:
                depot.fetch(file, folder.object(file.sha256))
        folder.write(found)


def _shared(path: Path, link: Path) -> None:
    try:
        os.link(path, link)
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(path, link)
