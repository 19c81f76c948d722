"""A small cohort in a store of its own, for tests: two shards, batches of made windows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chassis.settings import StoreSettings
from services.jointcall.columnar.store.batch import BatchWriter
from services.jointcall.columnar.store.depot import Depot, opened
from services.jointcall.columnar.store.generation import (
    Batch,
    BatchSample,
    Contig,
    Generation,
    Reference,
    Shard,
    begun,
)
from services.jointcall.columnar.store.schema import BatchPlace
from tests.services.jointcall.columnar.store.made import made_window

SHARDS = (Shard(contig="chr20", first=1, last=4096), Shard(contig="chr20", first=4097, last=6000, margin=0))
REFERENCE = Reference(digest="0" * 32, contigs=(Contig(name="chr20", length=6000),))


@contextmanager
def folder_depot(root: Path) -> Iterator[Depot]:
    with opened(StoreSettings(base=root.as_uri()), cohort="cohort") as depot:
        yield depot


def stored(depot: Depot, scratch: Path, *names: str, seed: int = 1, window_bp: int = 2048) -> Batch:
    """A batch of these samples, put into the store. Another seed means other gVCFs."""
    files = []
    for shard in SHARDS:
        place = BatchPlace(
            contig=shard.contig, first=shard.first, last=shard.last, window_bp=window_bp, samples=tuple(names)
        )
        with BatchWriter(place=place, folder=scratch) as writer:
            for i, (first, last) in enumerate(place.windows()):
                writer.write(made_window(seed=seed * 100 + i, samples=len(names), first=first, last=last, records=40))
            files.append(depot.put(writer.finish()))
    digests = [hashlib.sha256(f"{name} {seed}".encode()).hexdigest() for name in names]
    samples = tuple(BatchSample(name=n, digest=d) for n, d in zip(names, digests, strict=True))
    return Batch(samples=samples, shards=tuple(files))


def first(*batches: Batch) -> Generation:
    return begun(reference=REFERENCE, shards=SHARDS, batches=batches)
