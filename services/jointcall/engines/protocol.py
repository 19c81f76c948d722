"""What a joint-calling engine does, files in, files out. Tasks, leases and the store lie around it.

An interval's task is a list of chunks: the import, then one genotyping per sub-interval, then a gather that costs
next to nothing. Each chunk leaves one file that a later attempt can take up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chassis.reference.local import LocalReference
from contracts.values import EngineName, Interval, Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class GvcfInput:
    """`name` is the one that stands inside the file. `path` and `index` need not lie in the same folder. With
    `must_cover` a gVCF that leaves bases of the calling intervals out is refused."""

    name: str
    path: Path
    index: Path
    must_cover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalCounts:
    """Records written, and sample columns."""

    variants: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledChunk:
    """What `genotype_chunk` left for a sub-interval; records in front of `interval` may stand in it and do not
    count."""

    interval: Interval
    vcf: Path


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
