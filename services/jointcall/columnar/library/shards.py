"""Regions that people name, and the shards that a store's files are cut into."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from chassis.errors import reject
from chassis.reference.regions import read_regions
from services.jointcall.columnar.genotype.streaming import REACH
from services.jointcall.columnar.store.generation import Shard
from services.jointcall.columnar.store.schema import WIDEST_BP

SHARD_BP = 30 * WIDEST_BP
"""Bases of a shard: just below 1 Mb, and a multiple of every window's width, so that windows are whole."""
_SPAN = re.compile(r"(?P<first>[0-9][0-9,]*)(?:-(?P<last>[0-9][0-9,]*))?")

Contigs = Sequence[tuple[str, int]]


class Region(NamedTuple):
    """1-based, inclusive."""

    contig: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.contig}:{self.first}-{self.last}"


def regions_in(texts: Sequence[str], *, contigs: Contigs) -> tuple[Region, ...]:
    """`contig`, `contig:first-last`, or a file (BED, or .interval_list): sorted, joined where they overlap or touch;
    all contigs for no text. Raises Rejected BUILD_MISMATCH, INTERVAL_BOUNDS, and what read_regions does."""
    lengths = dict(contigs)
    found: list[Region] = []
    for text in texts:
        if text not in lengths and Path(text).is_file():
            by_contig = read_regions(Path(text), lengths=lengths)
            found += [Region(name, start + 1, end) for name, spans in by_contig.items() for start, end in spans]
        else:
            found.append(_region(text, lengths))
    if not texts:
        found = [Region(name, 1, length) for name, length in contigs]
    order = {name: place for place, (name, _) in enumerate(contigs)}
    joined: list[Region] = []
    for region in sorted(found, key=lambda one: (order[one.contig], one.first)):
        if joined and joined[-1].contig == region.contig and region.first <= joined[-1].last + 1:
            joined[-1] = joined[-1]._replace(last=max(joined[-1].last, region.last))
        else:
            joined.append(region)
    return tuple(joined)


def _region(text: str, lengths: dict[str, int]) -> Region:
    contig, first, last = text, 1, lengths.get(text, 0)
    if text not in lengths:
        # names of contigs may hold colons themselves
        contig, _, span = text.rpartition(":")
        bounds = _SPAN.fullmatch(span)
        if contig not in lengths or bounds is None:
            raise reject(
                code="BUILD_MISMATCH",
                message="this is no region of the reference, and no file",
                where=text[:80],
                rule="contig, contig:first-last (1-based, inclusive), or a BED file; contigs are the reference's",
                fix="compare the name with the reference's .fai",
            )
        first = int(bounds["first"].replace(",", ""))
        last = int((bounds["last"] or str(lengths[contig])).replace(",", ""))
    if not 1 <= first <= last <= lengths[contig]:
        raise reject(
            code="INTERVAL_BOUNDS",
            message=f"{contig} has {lengths[contig]} bases",
            where=text[:80],
            rule="a region lies inside its contig, its first base not behind its last; bases count from 1",
            fix="correct the region",
        )
    return Region(contig, first, last)


def shards_of(regions: Sequence[Region], *, shard_bp: int = SHARD_BP) -> tuple[Shard, ...]:
    """Regions cut at multiples of `shard_bp`. The first shard of a region also holds what lies up to REACH bases in
    front of it: which deletions reach in decides what `*` may stay."""
    shards: list[Shard] = []
    for region in regions:
        before = shards[-1].last if shards and shards[-1].contig == region.contig else 0
        margin = min(REACH, region.first - 1 - before)
        first = region.first
        while first <= region.last:
            last = min(-(-first // shard_bp) * shard_bp, region.last)
            shards.append(Shard(contig=region.contig, first=first, last=last, margin=margin))
            first, margin = last + 1, 0
    return tuple(shards)


def within(shards: Sequence[Shard], regions: Sequence[Region]) -> Iterator[tuple[int, Region]]:
    """Number of the shard, and what of it lies in each of the `regions` (all of it where there are none)."""
    for number, shard in enumerate(shards):
        whole = Region(shard.contig, shard.first, shard.last)
        for region in regions or (whole,):
            if region.contig == shard.contig and region.first <= shard.last and region.last >= shard.first:
                yield number, Region(shard.contig, max(region.first, shard.first), min(region.last, shard.last))
