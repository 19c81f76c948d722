"""A generation: which batches and masks are a cohort at one time. Immutable; its id is the SHA-256 of its JSON.

The functions here only compute: from one generation the next. depot.py keeps them and moves the pointer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from chassis.errors import Rejected, reject
from services.jointcall.columnar.store.schema import SCHEMA_VERSION, check_version

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Operation = Literal["import", "add", "withdraw", "replace", "compact", "rewrite"]


class Part(BaseModel):
    """A piece of a manifest: what it does not know, it refuses; a new field means a new schema version."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contig(Part):
    name: str
    length: int = Field(ge=1)


class Reference(Part):
    """What all gVCFs of the cohort were called against."""

    digest: str
    contigs: tuple[Contig, ...]


class Shard(Part):
    """A stretch of a contig, 1-based and inclusive; its files hold what lies up to `margin` bases beside it, too."""

    contig: str
    first: int = Field(ge=1)
    last: int = Field(ge=1)
    margin: int = Field(default=0, ge=0)


class StoredFile(Part):
    sha256: Sha256
    size: int = Field(ge=0)
    rows: int = Field(ge=0)


class ShardFiles(Part):
    """A batch's two files over one shard."""

    blocks: StoredFile
    variants: StoredFile
    window_bp: int


class BatchSample(Part):
    name: str
    digest: str
    """SHA-256 of the gVCF that it came from."""


class Batch(Part):
    """Samples that were written together. `shards` stand in the order of the generation's."""

    samples: tuple[BatchSample, ...]
    shards: tuple[ShardFiles, ...]

    @cached_property
    def id(self) -> str:
        """SHA-256 of its canonical JSON: the same samples in the same files are the same batch."""
        return _sum(self)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sample.name for sample in self.samples)

    @property
    def objects(self) -> tuple[StoredFile, ...]:
        return tuple(file for shard in self.shards for file in (shard.blocks, shard.variants))


class Mask(Part):
    """A sample whose rows in a batch no longer count, and until when its bytes have to be gone."""

    batch: Sha256
    sample: str
    deadline: AwareDatetime
    why: Literal["withdrawn", "replaced"]


class Generation(Part):
    schema_version: int = SCHEMA_VERSION
    parent: Sha256 | None
    operation: Operation
    reference: Reference
    shards: tuple[Shard, ...]
    batches: tuple[Batch, ...]
    masks: tuple[Mask, ...] = ()

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self.canonical()).hexdigest()

    def canonical(self) -> bytes:
        return _canonical(self)

    @cached_property
    def members(self) -> dict[str, str]:
        """Each sample that counts, in sorted order, and the id of the batch that holds it."""
        masked = {(mask.batch, mask.sample) for mask in self.masks}
        found = [(name, b.id) for b in self.batches for name in b.names if (b.id, name) not in masked]
        if len({name for name, _ in found}) != len(found):
            raise _duplicate(len(found) - len({name for name, _ in found}))
        return dict(sorted(found))

    @property
    def samples(self) -> tuple[str, ...]:
        """Names of those that count, sorted: the order of the export's columns."""
        return tuple(self.members)

    def batch(self, batch: str) -> Batch:
        """Raises KeyError for one that is not in this generation."""
        for held in self.batches:
            if held.id == batch:
                return held
        raise KeyError(batch)

    def counting(self, batch: Batch) -> tuple[int, ...]:
        """Which of the batch's samples count, by their position in it."""
        masked = {mask.sample for mask in self.masks if mask.batch == batch.id}
        return tuple(i for i, name in enumerate(batch.names) if name not in masked)

    def objects(self) -> dict[str, int]:
        """SHA-256 and size of all objects that it needs."""
        return {file.sha256: file.size for batch in self.batches for file in batch.objects}


def begun(*, reference: Reference, shards: Iterable[Shard], batches: Iterable[Batch]) -> Generation:
    """The first generation of a store."""
    return _checked(
        Generation(parent=None, operation="import", reference=reference, shards=tuple(shards), batches=tuple(batches))
    )


def added(generation: Generation, batches: Iterable[Batch]) -> Generation:
    """With more samples. Raises Rejected COHORT_DUPLICATE where one is there already."""
    fresh, masks = _brought(generation, batches, masks=generation.masks)
    return _next(generation, operation="add", batches=(*generation.batches, *fresh), masks=masks)


def withdrawn(generation: Generation, samples: Collection[str], *, deadline: datetime) -> Generation:
    """Without these samples, at once; their bytes go by the deadline. Raises Rejected SAMPLE_UNKNOWN."""
    masks = _masks(generation, samples, deadline=deadline, why="withdrawn")
    return _next(generation, operation="withdraw", masks=(*generation.masks, *masks))


def replaced(generation: Generation, batches: Iterable[Batch], *, deadline: datetime) -> Generation:
    """With other gVCFs for samples that are there: the old rows masked and the new ones added, in one step."""
    new = tuple(batches)
    names = [name for batch in new for name in batch.names]
    old = _masks(generation, names, deadline=deadline, why="replaced")
    fresh, masks = _brought(generation, new, masks=generation.masks)
    return _next(generation, operation="replace", batches=(*generation.batches, *fresh), masks=(*masks, *old))


def regrouped(
    generation: Generation,
    *,
    gone: Collection[str],
    batch: Batch | None,
    operation: Literal["compact", "rewrite"],
) -> Generation:
    """With the batches `gone` (ids) written anew as `batch`: of exactly those of their samples that count; None where
    none does. Raises ValueError for any other set of samples."""
    held = [b for b in generation.batches if b.id in gone]
    counting = sorted(b.names[i] for b in held for i in generation.counting(b))
    if len(held) != len(set(gone)) or counting != sorted(batch.names if batch else ()):
        raise ValueError("a rewritten batch holds the samples that count, of batches of the generation, and no others")
    kept = tuple(b for b in generation.batches if b.id not in gone)
    return _next(
        generation,
        operation=operation,
        batches=(*kept, batch) if batch else kept,
        masks=tuple(mask for mask in generation.masks if mask.batch not in gone),
    )


def due(generation: Generation, *, now: datetime) -> tuple[str, ...]:
    """Ids of batches that hold a masked sample whose deadline has come."""
    late = {mask.batch for mask in generation.masks if mask.deadline <= now}
    return tuple(batch.id for batch in generation.batches if batch.id in late)


def small(generation: Generation, *, limit: int) -> tuple[str, ...]:
    """Ids of batches worth putting together: as many as keep within `limit` samples, smallest first; none where that
    would be a single one."""
    chosen: list[str] = []
    total = 0
    for batch in sorted(generation.batches, key=lambda b: (len(generation.counting(b)), b.id)):
        total += len(generation.counting(batch))
        if total > limit:
            break
        chosen.append(batch.id)
    return tuple(chosen) if len(chosen) > 1 else ()


def parsed(content: bytes, *, sha256: str, where: str) -> Generation:
    """A generation from its JSON. Raises Rejected CONTENT_CHANGED, SCHEMA_VERSION."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _unreadable(where, "its SHA-256 is another than its name says")
    told: Any = json.loads(content)
    check_version(told.get("schema_version"), where=where)
    try:
        return Generation.model_validate_json(content)
    except ValidationError as error:
        raise _unreadable(where, f"{error.error_count()} fields are not as the schema says") from error


def _brought(
    generation: Generation, batches: Iterable[Batch], *, masks: tuple[Mask, ...]
) -> tuple[tuple[Batch, ...], tuple[Mask, ...]]:
    """The batches that are not there, and the masks that stay. One that is there with all of its samples masked (the
    same gVCFs come back after they were withdrawn or replaced) is not stored twice: it counts again."""
    fresh, again = [], set()
    for batch in batches:
        there = next((held for held in generation.batches if held.id == batch.id), None)
        if there is None or generation.counting(there):
            fresh.append(batch)
        else:
            again.add(batch.id)
    return tuple(fresh), tuple(mask for mask in masks if mask.batch not in again)


def _next(
    generation: Generation,
    *,
    operation: Operation,
    batches: tuple[Batch, ...] | None = None,
    masks: tuple[Mask, ...] | None = None,
) -> Generation:
    return _checked(
        Generation(
            parent=generation.id,
            operation=operation,
            reference=generation.reference,
            shards=generation.shards,
            batches=generation.batches if batches is None else batches,
            masks=generation.masks if masks is None else masks,
        )
    )


def _checked(generation: Generation) -> Generation:
    ids = [batch.id for batch in generation.batches]
    if len(set(ids)) != len(ids):
        raise _duplicate(len(ids) - len(set(ids)))
    for batch in generation.batches:
        if len(batch.shards) != len(generation.shards):
            raise ValueError(f"a batch has files for {len(batch.shards)} shards of {len(generation.shards)}")
        if len(set(batch.names)) != len(batch.names):
            raise _duplicate(len(batch.names) - len(set(batch.names)))
    _ = generation.members
    return generation


def _masks(
    generation: Generation, samples: Collection[str], *, deadline: datetime, why: Literal["withdrawn", "replaced"]
) -> list[Mask]:
    unknown = sum(name not in generation.members for name in samples)
    if unknown:
        raise reject(
            code="SAMPLE_UNKNOWN",
            message=f"{unknown} of the samples are not in the cohort",
            where=f"generation {generation.id[:12]}",
            rule="samples that are withdrawn or replaced count in the current generation",
            fix="compare the list with what inspect shows; add samples that are new",
        )
    at = deadline.astimezone(UTC)
    return [Mask(batch=generation.members[name], sample=name, deadline=at, why=why) for name in sorted(set(samples))]


def _duplicate(times: int) -> Rejected:
    return reject(
        code="COHORT_DUPLICATE",
        message=f"{times} samples would be in the cohort twice",
        where="the samples that are added",
        rule="a sample counts once in a generation",
        fix="leave out what is there already, or replace it",
    )


def _unreadable(where: str, said: str) -> Rejected:
    return reject(
        code="CONTENT_CHANGED",
        message=f"the generation cannot be read: {said}",
        where=where,
        rule="a generation's name is the SHA-256 of its content",
        fix="restore it from its copy; the objects it names stay until then",
    )


def _canonical(part: BaseModel) -> bytes:
    return json.dumps(part.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


def _sum(part: BaseModel) -> str:
    return hashlib.sha256(_canonical(part)).hexdigest()
