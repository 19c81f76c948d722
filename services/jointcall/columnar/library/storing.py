"""gVCFs into batches of a depot, shard after shard. Nothing refers to a batch until a generation is published."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from services.jointcall.columnar.importing import write_batch
from services.jointcall.columnar.library.fasta import Fasta
from services.jointcall.columnar.library.gvcfs import FileSource, Gvcf, ObjectSource, Sources, names
from services.jointcall.columnar.reading.columns import Parsed
from services.jointcall.columnar.reading.parsing import Target, parse, parse_stream
from services.jointcall.columnar.store.compaction import LIMIT
from services.jointcall.columnar.store.depot import Depot
from services.jointcall.columnar.store.generation import Batch, BatchSample, Shard, ShardFiles
from services.jointcall.engines.protocol import GvcfInput

STREAMS = 64
"""Read side by side: each holds a few MB. More of them become further batches, which compaction joins."""

Told = Callable[[str], None]
"""Hears, in words, what is being done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """`uncovered`: by sample, bases of the shards that no record of its gVCF covers (those with none are left out)."""

    batches: tuple[Batch, ...]
    uncovered: dict[str, int]
    gvcf_bytes: int


def stored(
    depot: Depot,
    gvcfs: Sequence[Gvcf],
    *,
    shards: Sequence[Shard],
    fasta: Fasta,
    sources: Sources,
    scratch: Path,
    told: Told,
) -> Stored:
    """gVCFs with an index as one batch (of 1,000 samples at most), streams in batches of STREAMS. Raises Rejected for
    a gVCF that is not fit; what was put until then is garbage for the collection."""
    indexed = [one for one in gvcfs if one.index is not None]
    streamed = [one for one in gvcfs if one.index is None]
    groups = [indexed[at : at + LIMIT] for at in range(0, len(indexed), LIMIT)]
    groups += [streamed[at : at + STREAMS] for at in range(0, len(streamed), STREAMS)]
    uncovered: dict[str, int] = {}
    batches = [
        _batch(depot, group, shards, fasta, sources, scratch, told, uncovered, f"batch {at + 1} of {len(groups)}")
        for at, group in enumerate(groups)
    ]
    return Stored(batches=tuple(batches), uncovered=uncovered, gvcf_bytes=sum(one.size for one in gvcfs))


def _batch(
    depot: Depot,
    group: Sequence[Gvcf],
    shards: Sequence[Shard],
    fasta: Fasta,
    sources: Sources,
    scratch: Path,
    told: Told,
    uncovered: dict[str, int],
    which: str,
) -> Batch:
    with ExitStack() as stack:
        opened: list[FileSource | ObjectSource] = []
        readers: list[Iterator[Parsed]] = []
        for gvcf in group:
            if gvcf.index is None:
                source = stack.enter_context(closing(sources.open(gvcf)))
                opened.append(source)
                targets = _each(shards, fasta)
                readers.append(parse_stream(source, name=gvcf.name, where=gvcf.where, targets=targets))
        files = []
        for number, shard in enumerate(shards):
            told(f"{which}: {shard.contig}:{shard.first}-{shard.last}, shard {number + 1} of {len(shards)}")
            files.append(_shard(depot, group, readers, shard, fasta, scratch, uncovered))
        told(f"{which}: summing {len(group)} gVCFs")
        digests = [source.digest() for source in opened]
        for gvcf in group if not opened else ():
            with closing(sources.open(gvcf)) as source:
                digests.append(source.digest())
    samples = tuple(BatchSample(name=one.name, digest=digest) for one, digest in zip(group, digests, strict=True))
    return Batch(samples=samples, shards=tuple(files))


def _each(shards: Sequence[Shard], fasta: Fasta) -> Iterator[Target]:
    """Asked for one by one, as the streams come to them: all streams are at the same shard, so one target is held."""
    for shard in shards:
        yield fasta.target(shard)


def _shard(
    depot: Depot,
    group: Sequence[Gvcf],
    readers: Sequence[Iterator[Parsed]],
    shard: Shard,
    fasta: Fasta,
    scratch: Path,
    uncovered: dict[str, int],
) -> ShardFiles:
    target = fasta.target(shard)

    def parsed(at: int) -> Parsed:
        gvcf = group[at]
        if gvcf.path is not None and gvcf.index is not None:
            found = parse(GvcfInput(name=gvcf.name, path=gvcf.path, index=gvcf.index), target=target)
        else:
            found = next(readers[at])
        missing = sum(last - first + 1 for first, last in found.gaps)
        if missing:
            uncovered[gvcf.name] = uncovered.get(gvcf.name, 0) + missing
        return found

    folder = scratch / "shard"
    try:
        written = write_batch(
            names=names(group),
            parse=parsed,
            contig=shard.contig,
            first=shard.first - shard.margin,
            last=shard.last,
            folder=folder,
        )
        return depot.put(written)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
