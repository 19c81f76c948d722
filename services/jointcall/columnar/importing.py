"""gVCFs into a batch's files: a group of samples at a time, so that memory does not grow with their number."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from services.jointcall.columnar.reading.columns import Parsed
from services.jointcall.columnar.reading.cutting import windows_in
from services.jointcall.columnar.reading.gathering import Gathered, Group
from services.jointcall.columnar.store.batch import BatchReader, BatchWriter, WrittenBatch
from services.jointcall.columnar.store.compaction import joined
from services.jointcall.columnar.store.schema import BatchPlace, window_bases
from services.jointcall.columnar.tables import Window

GROUP_BYTES = 512 << 20
"""Of columns in memory before a group is written."""


def write_batch(
    *, names: Sequence[str], parse: Callable[[int], Parsed], contig: str, first: int, last: int, folder: Path
) -> WrittenBatch:
    """Samples in the order of `names`, `parse(i)` the columns of the i-th over `first` to `last` at least.

    Writes `blocks.arrow` and `variants.arrow` into `folder`. What `parse` raises leaves no file of the batch there."""
    parts: list[WrittenBatch] = []
    try:
        return _written(parts, names=names, parse=parse, contig=contig, first=first, last=last, folder=folder)
    finally:
        for part in parts:
            shutil.rmtree(part.blocks.path.parent)


def _written(
    parts: list[WrittenBatch],
    *,
    names: Sequence[str],
    parse: Callable[[int], Parsed],
    contig: str,
    first: int,
    last: int,
    folder: Path,
) -> WrittenBatch:
    """Puts what was written for a group alone into `parts`."""
    group = Group(samples=len(names), most=GROUP_BYTES)
    begun = window_bp = 0
    for at in range(len(names)):
        group.add(parse(at))
        if group.bytes >= GROUP_BYTES or at == len(names) - 1:
            if not window_bp:
                rows = max(group.block_rows / len(group), 1.0)
                window_bp = window_bases(samples=len(names), records_per_base=rows / (last - first + 1))
            alone = at + 1 - begun == len(names)
            out = folder if alone else folder / f"group-{len(parts)}"
            place = BatchPlace(
                contig=contig, first=first, last=last, window_bp=window_bp, samples=tuple(names[begun : at + 1])
            )
            with BatchWriter(place=place, folder=out) as writer:
                for window in windows(group.gathered(), place):
                    writer.write(window)
                written = writer.finish()
            if alone:
                return written
            parts.append(written)
            begun = at + 1
    return _together(parts, names=names, folder=folder)


def windows(group: Gathered, place: BatchPlace) -> Iterator[Window]:
    """The group's windows on the grid of `place`: whole multiples of its width, clipped at both ends."""
    edge = min((place.first - 1) // place.window_bp * place.window_bp + place.window_bp, place.last)
    yield from windows_in(group, first=place.first, last=edge, window_bp=place.window_bp)
    if edge < place.last:
        yield from windows_in(group, first=edge + 1, last=place.last, window_bp=place.window_bp)


def _together(parts: Sequence[WrittenBatch], *, names: Sequence[str], folder: Path) -> WrittenBatch:
    with ExitStack() as stack:
        readers = [
            stack.enter_context(
                BatchReader(blocks=part.blocks.path, variants=part.variants.path, where=part.blocks.path.parent.name)
            )
            for part in parts
        ]
        members = [(which, at) for which, reader in enumerate(readers) for at in range(len(reader.samples))]
        rows = sum(part.block_rows for part in parts)
        return joined(readers, members, rows=rows, names=tuple(names), scratch=folder)
