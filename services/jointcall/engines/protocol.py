"""What a joint-calling engine does, files in, files out. Tasks, leases and the store lie around it.

An interval's task is a list of chunks: the import, then one genotyping per sub-interval, then a gather that costs
next to nothing. Each chunk leaves one file that a later attempt can take up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeGuard

from chassis.reference.local import LocalReference
from contracts.values import EngineName, Interval, Provenance

if TYPE_CHECKING:
    from services.jointcall.columnar.store.depot import Depot


@dataclass(frozen=True, slots=True, kw_only=True)
class GvcfInput:
    """`name` is the one that stands inside the file. `path` and `index` need not lie in the same folder. With
    `must_cover` a gVCF that leaves bases of the calling intervals out is refused. `sha256` is the file's, where it is
    known."""

    name: str
    path: Path
    index: Path
    must_cover: bool = False
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalCounts:
    """Records written, and sample columns."""

    variants: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledChunk:
    """What `genotype_chunk` left for a sub-interval; records in front of `interval` may stand in it and do not
    count. `settled`: a QD that is drawn was drawn by the allele (`jitter`) when the record was written. `left_out`:
    sites that are no records for anybody, since a sample's record is called with an ALT and has no PL; None where the
    engine does not tell."""

    interval: Interval
    vcf: Path
    settled: bool = False
    left_out: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A generation in the store, and the bytes of its objects that its parent did not bring."""

    generation: str
    bytes_written: int


class Engine(Protocol):
    """A generation is a folder and immutable: adding samples writes a new one."""

    @property
    def name(self) -> EngineName: ...

    @property
    def incremental(self) -> bool:
        """False: a generation is made from all its samples, never from an earlier one."""
        ...

    def provenance(self) -> Provenance: ...

    def chunks(self, interval: Interval) -> tuple[Interval, ...]:
        """The sub-intervals that are genotyped one by one, in order. Part of the provenance, never a matter of
        load."""
        ...

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
        """Write the generation of `interval` with `batch` added to the folder `out`, which must not exist.

        Raises Rejected for a gVCF that is not fit, or for a batch with the same sample twice.
        """
        ...

    def genotype_chunk(
        self, *, generation: Path, chunk: Interval, reference: LocalReference, out: Path, scratch: Path
    ) -> CalledChunk:
        """Joint genotypes of one sub-interval to `out` (VCF in BGZF, no index)."""
        ...

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
        """All chunks and the gather in one call: the interval's VCF and its sites-only companion, each with
        `.tbi`."""
        ...


class IncrementalEngine(Engine, Protocol):
    """Its generations outlive their task in an object store, by content, and the next freeze begins with one."""

    @property
    def lineage(self) -> str:
        """A generation is taken up only by an engine of the same lineage: the same columns, read from gVCFs alike."""
        ...

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
        """Write to `out` the generation with `batch` added, and without the samples of these names: a sample that is in
        `batch` too is replaced. `batch` may be empty where there is a generation. `now` is what deadlines count from.

        Returns those of the batch that leave bases of the calling intervals out. Raises Rejected as `add_samples`.
        """
        ...

    def members(self, generation: Path) -> Mapping[str, str]:
        """The SHA-256 of each sample's gVCF, by the sample's name, sorted."""
        ...

    def keep(self, generation: Path, depot: Depot) -> Kept:
        """Store what is not there yet; the manifest comes last. Blocks: not for the depot's own thread."""
        ...

    def take(self, generation: str, depot: Depot, *, out: Path) -> None:
        """The stored generation as the folder `out`. Blocks. Raises ObjectMissing; Rejected CONTENT_CHANGED,
        SCHEMA_VERSION."""
        ...


def is_incremental(engine: Engine) -> TypeGuard[IncrementalEngine]:
    return engine.incremental
