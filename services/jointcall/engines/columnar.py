"""The columnar joint genotyper as an engine: what GATK answers, from columns that the next freeze takes up.

A generation is one of the columnar store's, of one shard: the interval with a margin in front, since a deletion that
begins there decides about `*` within. It is kept in the object store by content. Which freezes' generations are needed
the ledger says (`freeze_interval.columns`): the latest that was genotyped whole, for the next to begin with; what only
older ones name is garbage, for store/collection to take with those of the ledger in its `also`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from chassis.errors import ToolFailed, reject
from chassis.reference.local import LocalReference
from chassis.storage.sums import sum_of
from chassis.tools import vcf
from contracts.values import EngineName, Interval, Provenance
from services.jointcall.columnar import folder as folders
from services.jointcall.columnar.folder import GenerationFolder
from services.jointcall.columnar.genotype.left_out import Tally
from services.jointcall.columnar.genotype.panel import write_vcf
from services.jointcall.columnar.genotype.streaming import REACH, Member, stretches
from services.jointcall.columnar.importing import write_batch
from services.jointcall.columnar.membership import member_of
from services.jointcall.columnar.reading.columns import Parsed
from services.jointcall.columnar.reading.parsing import parse, target_of
from services.jointcall.columnar.store.depot import Depot
from services.jointcall.columnar.store.generation import (
    Batch,
    BatchSample,
    Contig,
    Generation,
    Reference,
    Shard,
    added,
    begun,
    replaced,
    withdrawn,
)
from services.jointcall.columnar.store.schema import SCHEMA_VERSION
from services.jointcall.columnar.warm import warm
from services.jointcall.engines.gather import gather_all
from services.jointcall.engines.gvcf import contigs_of, require_distinct, require_some
from services.jointcall.engines.protocol import CalledChunk, GvcfInput, IntervalCounts, Kept
from services.jointcall.intervals import chunks

MODEL_VERSION = 1
"""Raised when the same columns give other records."""
READING_VERSION = 1
"""Raised when the same gVCF gives other columns."""
VERSION = f"{SCHEMA_VERSION}.{READING_VERSION}.{MODEL_VERSION}"
MARGIN_BP = REACH
MOST_BATCHES = 16
"""Each costs its share of every window that is read; past this small ones are put together."""
DEADLINE = timedelta(days=30)
"""By when the bytes of a sample that no longer counts are out of the cohort's columns, where the cohort is frozen."""
LEVEL = 1
"""Of chunks' VCFs, which the gather reads and compresses anew."""


class ColumnarEngine:
    """See `protocol.IncrementalEngine`. `chunk_bp` in bases."""

    incremental = True

    def __init__(self, *, chunk_bp: int, margin_bp: int = MARGIN_BP, most_batches: int = MOST_BATCHES) -> None:
        self._chunk_bp, self._margin_bp, self._most_batches = chunk_bp, margin_bp, most_batches

    @property
    def name(self) -> EngineName:
        return EngineName(name="columnar", version=VERSION)

    def provenance(self) -> Provenance:
        """Not how an interval is cut: no record depends on it."""
        matter = {"schema": SCHEMA_VERSION, "reading": READING_VERSION, "model": MODEL_VERSION}
        canonical = json.dumps(matter | {"margin_bp": self._margin_bp}, sort_keys=True, separators=(",", ":"))
        return Provenance(tool="columnar", version=VERSION, parameters=hashlib.sha256(canonical.encode()).hexdigest())

    @property
    def lineage(self) -> str:
        return f"columnar {SCHEMA_VERSION}.{READING_VERSION}, margin {self._margin_bp}"

    def chunks(self, interval: Interval) -> tuple[Interval, ...]:
        return chunks(interval, self._chunk_bp)

    def add_samples(
        self,
        *,
        generation: Path | None,
        batch: Sequence[GvcfInput],
        interval: Interval,
        reference: LocalReference,
        out: Path,
        scratch: Path,
    ) -> None:
        # nothing is withdrawn, so that no deadline is set
        never = datetime.fromtimestamp(0).astimezone()
        self.extend(
            generation=generation,
            batch=batch,
            without=(),
            interval=interval,
            reference=reference,
            now=never,
            out=out,
            scratch=scratch,
        )

    def extend(
        self,
        *,
        generation: Path | None,
        batch: Sequence[GvcfInput],
        without: Collection[str],
        interval: Interval,
        reference: LocalReference,
        now: datetime,
        out: Path,
        scratch: Path,
    ) -> tuple[GvcfInput, ...]:
        if out.exists():
            raise FileExistsError(f"{out} is there already; a generation is written once")
        warm()
        earlier = GenerationFolder(generation).read() if generation is not None else None
        if earlier is None:
            require_some(batch, interval=interval)
        require_distinct(batch)
        _require_new(batch, earlier, without=without)
        made = GenerationFolder(out)
        with made.beginning(generation):
            read = _Read(made=made, interval=self._with_margin(interval), reference=reference, scratch=scratch)
            new = read.batch(batch)
            if earlier is None:
                grown = self._first(new, interval=interval, reference=reference)
            else:
                grown = _grown(earlier, new, without=without, deadline=now + DEADLINE)
            tidy = folders.tidied(made, grown, now=now, most=self._most_batches, scratch=scratch)
            made.write(_child(tidy, earlier))
        return tuple(read.uncovered)

    def _first(self, batches: tuple[Batch, ...], *, interval: Interval, reference: LocalReference) -> Generation:
        contigs = tuple(Contig(name=name, length=length) for name, length in contigs_of(reference))
        shard = Shard(contig=interval.contig, first=interval.start, last=interval.end, margin=self._margin_bp)
        described = Reference(digest=reference.id.digest, contigs=contigs)
        return begun(reference=described, shards=(shard,), batches=batches)

    def members(self, generation: Path) -> Mapping[str, str]:
        found = GenerationFolder(generation).read()
        digests = {(batch.id, one.name): one.digest for batch in found.batches for one in batch.samples}
        return {name: digests[batch, name] for name, batch in found.members.items()}

    def keep(self, generation: Path, depot: Depot) -> Kept:
        kept, there = folders.put(GenerationFolder(generation), depot)
        new = sum(size for sha256, size in kept.objects().items() if sha256 not in there)
        return Kept(generation=kept.id, bytes_written=new)

    def take(self, generation: str, depot: Depot, *, out: Path) -> None:
        folders.fetch(generation, depot, out=out)

    def genotype_chunk(
        self, *, generation: Path, chunk: Interval, reference: LocalReference, out: Path, scratch: Path
    ) -> CalledChunk:
        """`*` at the chunk's edge is right by itself: calling begins in front of it, where no record reaches over."""
        warm()
        found = GenerationFolder(generation).read()
        (shard,) = found.shards
        if shard.contig != chunk.contig or not shard.first <= chunk.start <= chunk.end <= shard.last:
            raise ValueError(f"{chunk} is no part of the generation's {shard.contig}:{shard.first}-{shard.last}")
        with _opened(GenerationFolder(generation), found) as members:
            called = stretches(members, first=chunk.start, last=chunk.end, samples=len(found.samples))
            tally = Tally(samples=found.samples)
            write_vcf(
                ((chunk.contig, one) for one in tally.passed(chunk.contig, called)),
                contigs=contigs_of(reference),
                samples=found.samples,
                out=out,
                level=LEVEL,
            )
        if not vcf.is_whole(out):
            raise ToolFailed(tool="columnar", status="incomplete", said=f"{out.name} has no end block")
        return CalledChunk(interval=chunk, vcf=out, settled=True, left_out=tally.found.sites)

    def genotype(
        self,
        *,
        generation: Path,
        interval: Interval,
        reference: LocalReference,
        out_vcf: Path,
        out_sites: Path,
        scratch: Path,
    ) -> IntervalCounts:
        return gather_all(
            self,
            generation=generation,
            interval=interval,
            reference=reference,
            out_vcf=out_vcf,
            out_sites=out_sites,
            scratch=scratch,
        )

    def _with_margin(self, interval: Interval) -> Interval:
        return interval.model_copy(update={"start": max(1, interval.start - self._margin_bp)})


@dataclass(kw_only=True)
class _Read:
    """gVCFs into batches of `made`, over `interval`; `uncovered` are those that leave calling intervals out."""

    made: GenerationFolder
    interval: Interval
    reference: LocalReference
    scratch: Path
    uncovered: list[GvcfInput] = field(default_factory=list)

    def batch(self, inputs: Sequence[GvcfInput]) -> tuple[Batch, ...]:
        """One, or none of no gVCFs."""
        if not inputs:
            return ()
        target = target_of(self.interval, self.reference)
        ordered = sorted(inputs, key=lambda one: one.name)

        def parsed(at: int) -> Parsed:
            found = parse(ordered[at], target=target)
            if found.gaps:
                self.uncovered.append(ordered[at])
            return found

        written = write_batch(
            names=[one.name for one in ordered],
            parse=parsed,
            contig=self.interval.contig,
            first=self.interval.start,
            last=self.interval.end,
            folder=self.scratch / "batch",
        )
        samples = [BatchSample(name=one.name, digest=one.sha256 or sum_of(one.path)[0]) for one in ordered]
        return (self.made.adopt(written, samples),)


@contextmanager
def _opened(folder: GenerationFolder, generation: Generation) -> Iterator[list[Member]]:
    with ExitStack() as stack:
        yield [member_of(generation, batch, stack.enter_context(folder.open(batch))) for batch in generation.batches]


def _require_new(batch: Sequence[GvcfInput], earlier: Generation | None, *, without: Collection[str]) -> None:
    """As `require_distinct`, against the samples that are there."""
    there = set(earlier.members) - set(without) if earlier is not None else set()
    for one in batch:
        if one.name in there:
            raise reject(
                code="COHORT_DUPLICATE",
                message=f"{one.path.name} holds a sample that another gVCF of the cohort holds too",
                where=one.path.name,
                rule="a sample is in a cohort once",
                fix="keep the newer version of the sample's gVCF",
            )


def _grown(earlier: Generation, new: Sequence[Batch], *, without: Collection[str], deadline: datetime) -> Generation:
    """One batch for all that is new, since each has its price: a mask says `replaced` where nobody else is in it."""
    names = {name for batch in new for name in batch.names}
    only_again = names and names <= set(without)
    gone = set(without) - names if only_again else set(without)
    grown = withdrawn(earlier, gone, deadline=deadline) if gone else earlier
    if only_again:
        return replaced(grown, new, deadline=deadline)
    return added(grown, new) if new else grown


def _child(generation: Generation, earlier: Generation | None) -> Generation:
    """With the parent that is stored: what was between two steps of one extension never is."""
    parent = earlier.id if earlier is not None else None
    if generation.parent == parent:
        return generation
    fields = {name: getattr(generation, name) for name in Generation.model_fields}
    return Generation(**fields | {"parent": parent})
