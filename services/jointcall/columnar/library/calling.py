"""A generation's calls, shard after shard, region after region: each site once, in the reference's order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from services.jointcall.columnar.genotype.streaming import REACH, stretches
from services.jointcall.columnar.genotype.stretch import Stretch
from services.jointcall.columnar.library.shards import Region, within
from services.jointcall.columnar.membership import member_of
from services.jointcall.columnar.store.batch import BatchReader
from services.jointcall.columnar.store.depot import Depot
from services.jointcall.columnar.store.generation import Batch, Generation
from services.jointcall.columnar.store.schema import BatchPlace
from services.jointcall.columnar.tables import Window

LOOKED_BACK_BP = 32 * REACH
"""Calling begins behind the last base in front of a region that no record reaches over: deletions that overlap one
another in a row longer than this are none that any caller writes."""

Bases = Callable[[str, int, int], bytes]
"""Of a contig, first and last base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What of a region lies in one shard, and its calls."""

    shard: int
    region: Region
    stretches: Iterator[Stretch]


class Chained:
    """A batch's windows over a shard and those in front of it: deletions from there reach in. Files are opened when
    first read."""

    def __init__(self, depot: Depot, generation: Generation, batch: Batch, shards: Sequence[int], copies: Path | None):
        self._depot, self._batch, self._copies = depot, batch, copies
        self._readers: dict[int, BatchReader] = {}
        self._windows: list[tuple[int, int]] = []
        self._places: list[tuple[int, int]] = []
        for number in shards:
            shard = generation.shards[number]
            place = BatchPlace(
                contig=shard.contig,
                first=shard.first - shard.margin,
                last=shard.last,
                window_bp=batch.shards[number].window_bp,
                samples=(),
            )
            windows = place.windows()
            self._windows += windows
            self._places += [(number, at) for at in range(len(windows))]

    def windows(self) -> list[tuple[int, int]]:
        return self._windows

    def read(self, index: int, *, variants_only: bool = False) -> Window:
        number, at = self._places[index]
        if number not in self._readers:
            self._readers[number] = self._depot.open_shard(self._batch, number, copies=self._copies)
        return self._readers[number].read(at, variants_only=variants_only)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()


def called(
    depot: Depot,
    generation: Generation,
    *,
    regions: Sequence[Region] = (),
    want_dense: bool = True,
    bases: Bases | None = None,
    copies: Path | None = None,
) -> Iterator[Piece]:
    """Pieces in order, each to be read to its end before the next is asked for; none without samples that count.

    `bases` makes every base a site. `copies`: a folder for objects that lie far, removed as it goes; without it they
    are read by ranges."""
    if not generation.samples:
        return
    for number, region in within(generation.shards, regions):
        with ExitStack() as stack:
            members = []
            for batch in generation.batches:
                if generation.counting(batch):
                    reader = Chained(depot, generation, batch, _followed(generation, number), copies)
                    stack.callback(reader.close)
                    members.append(member_of(generation, batch, reader))
            yield Piece(
                shard=number,
                region=region,
                stretches=stretches(
                    members,
                    first=region.first,
                    last=region.last,
                    samples=len(generation.samples),
                    want_dense=want_dense,
                    bases=_of(bases, region.contig) if bases is not None else None,
                ),
            )
        if copies is not None:
            _forget(copies, generation, number)


def _of(bases: Bases, contig: str) -> Callable[[int, int], bytes]:
    return lambda first, last: bases(contig, first, last)


def _followed(generation: Generation, number: int) -> tuple[int, ...]:
    """The shard, and in front of it those that its files follow on without a gap, as far as calling may look back."""
    first = number
    while first and generation.shards[number].first - generation.shards[first].first < LOOKED_BACK_BP:
        before, shard = generation.shards[first - 1], generation.shards[first]
        if before.contig != shard.contig or before.last + 1 != shard.first - shard.margin:
            break
        first -= 1
    return tuple(range(first, number + 1))


def _forget(copies: Path, generation: Generation, number: int) -> None:
    """All copies but those that the next shard may look back into."""
    following = min(number + 1, len(generation.shards) - 1)
    wanted = {
        f"{file.sha256}.arrow"
        for batch in generation.batches
        for shard in _followed(generation, following)
        for file in (batch.shards[shard].blocks, batch.shards[shard].variants)
    }
    for path in list(copies.iterdir()) if copies.is_dir() else ():
        if path.name not in wanted:
            path.unlink() if path.is_file() else shutil.rmtree(path)
