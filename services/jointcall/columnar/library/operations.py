"""What changes a joint store: each operation makes one new generation of the current one, or nothing at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic

from chassis.errors import Rejected, reject
from chassis.settings import StoreSettings
from services.jointcall.columnar.library.fasta import Fasta, opened_fasta
from services.jointcall.columnar.library.gvcfs import Gvcf, Sources, names
from services.jointcall.columnar.library.opening import current
from services.jointcall.columnar.library.shards import SHARD_BP, regions_in, shards_of
from services.jointcall.columnar.library.storing import Stored, Told, stored
from services.jointcall.columnar.store.compaction import LIMIT, compacted, rewritten
from services.jointcall.columnar.store.depot import Depot, Publication
from services.jointcall.columnar.store.generation import Generation, Shard, added, begun, replaced, withdrawn


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an operation did. `written`: bytes of objects that are new in this generation; `reused`: of those that it
    shares with its parent. `changed` samples were added, replaced or withdrawn."""

    operation: str
    generation: str
    number: int
    samples: int
    changed: int
    batches: int
    shards: int
    written: int
    reused: int
    gvcf_bytes: int
    uncovered: dict[str, int]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """`settings` say how S3 is reached; `scratch` is a folder for what is not put into the store yet."""

    depot: Depot
    settings: StoreSettings
    scratch: Path | None = None
    told: Told = _silent

    @contextmanager
    def folder(self) -> Iterator[Path]:
        if self.scratch is not None:
            self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="joint-", dir=self.scratch) as folder:
            yield Path(folder)


def import_first(
    at: Workplace, places: Sequence[str], *, reference: Path, regions: Sequence[str] = (), shard_bp: int = SHARD_BP
) -> Change:
    """The first generation of a store. Raises Rejected: COHORT_EXISTS where it has one, GENERATION_MOVED where somebody
    published one meanwhile, and for what is wrong with regions, reference or gVCFs."""
    began = monotonic()
    if at.depot.current() is not None:
        raise reject(
            code="COHORT_EXISTS",
            message="the joint store has generations already",
            where=at.depot.base,
            rule="a joint store is imported once",
            fix="`cohortstream joint add` brings more samples; or give another place",
        )
    with opened_fasta(reference) as fasta:
        shards = shards_of(regions_in(regions, contigs=fasta.contigs), shard_bp=shard_bp)
        made = _imported(at, places, fasta=fasta, shards=shards, after=None, replacing=False)
        generation = begun(reference=fasta.reference(), shards=shards, batches=made.batches)
    return _published(at.depot, generation, before=None, began=began, made=made)


def add(at: Workplace, places: Sequence[str], *, reference: Path) -> Change:
    """With more samples. Raises Rejected: COHORT_DUPLICATE where one is there already, GENERATION_MOVED,
    REFERENCE_MISMATCH, and for what is wrong with gVCFs."""
    began = monotonic()
    before = current(at.depot)
    with opened_fasta(reference) as fasta:
        made = _imported(at, places, fasta=fasta, shards=before.shards, after=before, replacing=False)
    return _published(at.depot, added(before, made.batches), before=before, began=began, made=made)


def replace(at: Workplace, places: Sequence[str], *, reference: Path, deadline: datetime) -> Change:
    """With other gVCFs for samples that are there; the old rows are masked at once and gone by the deadline. Raises
    Rejected SAMPLE_UNKNOWN, and as `add`."""
    began = monotonic()
    before = current(at.depot)
    with opened_fasta(reference) as fasta:
        made = _imported(at, places, fasta=fasta, shards=before.shards, after=before, replacing=True)
    generation = replaced(before, made.batches, deadline=deadline)
    return _published(at.depot, generation, before=before, began=began, made=made)


def withdraw(at: Workplace, samples: Sequence[str], *, deadline: datetime) -> Change:
    """Without these samples, from now on; their bytes are gone by the deadline, if `rewrite` runs until then. Raises
    Rejected SAMPLE_UNKNOWN, GENERATION_MOVED."""
    began = monotonic()
    before = current(at.depot)
    generation = withdrawn(before, samples, deadline=deadline)
    return _published(at.depot, generation, before=before, began=began, changed=len(set(samples)))


def compact(at: Workplace, *, limit: int = LIMIT) -> Change | None:
    """Small batches put together; None where nothing is to be done."""
    began = monotonic()
    before = current(at.depot)
    with at.folder() as scratch:
        generation = compacted(at.depot, before, scratch=scratch, limit=limit)
    return _published(at.depot, generation, before=before, began=began) if generation is not None else None


def rewrite(at: Workplace, *, now: datetime) -> Change | None:
    """Batches without the bytes of samples whose deadline has come; None where none has."""
    began = monotonic()
    before = current(at.depot)
    with at.folder() as scratch:
        generation = rewritten(at.depot, before, now=now, scratch=scratch)
    return _published(at.depot, generation, before=before, began=began) if generation != before else None


def _imported(
    at: Workplace,
    places: Sequence[str],
    *,
    fasta: Fasta,
    shards: Sequence[Shard],
    after: Generation | None,
    replacing: bool,
) -> Stored:
    with Sources(depot=at.depot, settings=at.settings) as sources, at.folder() as scratch:
        gvcfs = sources.found(places)
        if after is not None:
            _fitting(gvcfs, after, replacing=replacing)
            at.told("comparing the reference")
            fasta.require(after.reference)
        return stored(at.depot, gvcfs, shards=shards, fasta=fasta, sources=sources, scratch=scratch, told=at.told)


def _fitting(gvcfs: Sequence[Gvcf], generation: Generation, *, replacing: bool) -> None:
    """Said before hours of reading, not behind them."""
    there = [name in generation.members for name in names(gvcfs)]
    if replacing and not all(there):
        raise _refused(
            "SAMPLE_UNKNOWN",
            f"{there.count(False)} of the samples are not in the cohort",
            gvcfs[there.index(False)].where,
            rule="a gVCF replaces that of a sample which counts in the current generation",
            fix="`cohortstream joint add` brings new samples",
        )
    if not replacing and any(there):
        raise _refused(
            "COHORT_DUPLICATE",
            f"{there.count(True)} of the samples are in the cohort already",
            gvcfs[there.index(True)].where,
            rule="a sample counts once in a generation",
            fix="leave out what is there, or `cohortstream joint replace` it",
        )


def _refused(code: str, message: str, where: str, *, rule: str, fix: str) -> Rejected:
    return reject(code=code, message=message, where=where, rule=rule, fix=fix)


def _published(
    depot: Depot,
    generation: Generation,
    *,
    before: Generation | None,
    began: float,
    made: Stored | None = None,
    changed: int = 0,
) -> Change:
    publication: Publication = depot.publish(generation)
    old = before.objects() if before is not None else {}
    objects = generation.objects()
    return Change(
        operation=generation.operation,
        generation=generation.id,
        number=publication.number,
        samples=len(generation.samples),
        changed=sum(len(batch.samples) for batch in made.batches) if made else changed,
        batches=len(generation.batches),
        shards=len(generation.shards),
        written=sum(size for sha256, size in objects.items() if sha256 not in old),
        reused=sum(size for sha256, size in objects.items() if sha256 in old),
        gvcf_bytes=made.gvcf_bytes if made else 0,
        uncovered=made.uncovered if made else {},
        seconds=monotonic() - began,
    )
