"""Batches written anew: small ones put together, withdrawn samples left out. One window of all of them at a time."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Literal

from services.jointcall.columnar.store.batch import BatchReader, BatchWriter, WrittenBatch
from services.jointcall.columnar.store.depot import Depot
from services.jointcall.columnar.store.generation import (
    Batch,
    BatchSample,
    Generation,
    ShardFiles,
    due,
    regrouped,
    small,
)
from services.jointcall.columnar.store.schema import BatchPlace, window_bases
from services.jointcall.columnar.store.windows import Place, beside, narrowed
from services.jointcall.columnar.tables import Window

LIMIT = 1000
"""Samples of a batch at most: a window of 1,024 bases then decodes to 2 MB at the finest bands."""


def compacted(depot: Depot, generation: Generation, *, scratch: Path, limit: int = LIMIT) -> Generation | None:
    """The next generation, with small batches put together: stored, not published. None where nothing is to be done."""
    chosen = small(generation, limit=limit)
    return _regrouped(depot, generation, chosen, scratch=scratch, operation="compact") if chosen else None


def rewritten(depot: Depot, generation: Generation, *, now: datetime, scratch: Path) -> Generation:
    """The generation whose batches hold no bytes of samples whose deadline has come; itself where none has. Stored, not
    published. The old batches' bytes go once no generation that is kept needs them."""
    late = due(generation, now=now)
    return _regrouped(depot, generation, late, scratch=scratch, operation="rewrite") if late else generation


def _regrouped(
    depot: Depot,
    generation: Generation,
    chosen: Collection[str],
    *,
    scratch: Path,
    operation: Literal["compact", "rewrite"],
) -> Generation:
    batches = [generation.batch(batch) for batch in chosen]
    members = sorted(
        (batch.samples[i].name, which, i) for which, batch in enumerate(batches) for i in generation.counting(batch)
    )
    if not members:
        return regrouped(generation, gone=chosen, batch=None, operation=operation)
    samples = tuple(batches[which].samples[i] for _, which, i in members)
    shards = tuple(
        _one_shard(depot, batches, shard, samples=samples, members=[m[1:] for m in members], scratch=scratch)
        for shard in range(len(generation.shards))
    )
    return regrouped(generation, gone=chosen, batch=Batch(samples=samples, shards=shards), operation=operation)


def _one_shard(
    depot: Depot,
    batches: list[Batch],
    shard: int,
    *,
    samples: tuple[BatchSample, ...],
    members: list[Place],
    scratch: Path,
) -> ShardFiles:
    with ExitStack() as stack:
        readers = [stack.enter_context(depot.open_shard(batch, shard)) for batch in batches]
        rows = sum(file.rows for b in batches for file in (b.shards[shard].blocks, b.shards[shard].variants))
        written = joined(readers, members, rows=rows, names=tuple(s.name for s in samples), scratch=scratch)
        try:
            return depot.put(written)
        finally:
            written.blocks.path.unlink(missing_ok=True)
            written.variants.path.unlink(missing_ok=True)


def joined(
    readers: list[BatchReader], members: list[Place], *, rows: int, names: tuple[str, ...], scratch: Path
) -> WrittenBatch:
    """Readers of the same shard into one batch of the samples `members`, named `names`. `rows` of all readers say how
    wide the new windows are; never wider than the narrowest of the old ones, whose edges they keep."""
    places = [reader.place for reader in readers]
    old = places[0]
    density = rows / sum(len(place.samples) for place in places) / (old.last - old.first + 1)
    width = min(window_bases(samples=len(members), records_per_base=density), *(p.window_bp for p in places))
    place = BatchPlace(contig=old.contig, first=old.first, last=old.last, window_bp=width, samples=names)
    with BatchWriter(place=place, folder=scratch) as writer:
        held: list[tuple[int, Window] | None] = [None] * len(readers)
        for first, last in place.windows():
            parts = []
            for which, reader in enumerate(readers):
                index = reader.index_of(first)
                kept = held[which]
                if kept is None or kept[0] != index:
                    kept = held[which] = (index, reader.read(index))
                parts.append(narrowed(kept[1], first=first, last=last))
            writer.write(beside(parts, members))
        return writer.finish()
