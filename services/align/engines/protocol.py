"""What an align engine is: reads of lanes in, one sample's CRAM and gVCF out, all of it local files.

Two shapes. A chunked engine works in pieces that a worker checkpoints (a lane, a calling interval); a whole-sample
engine (an accelerator card, a GPU) takes the lanes and gives back everything in one go. `granularity` tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from chassis.reference.local import LocalReference
from contracts.values import Interval, Provenance

_SAM_VALUE = re.compile(r"[ -~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadGroup:
    """An `@RG` line. `id` is flowcell.lane.index; `sample` and `library` are what stands inside artifacts."""

    id: str
    sample: str
    library: str
    platform: str = "ILLUMINA"

    def __post_init__(self) -> None:
        for value in (self.id, self.sample, self.library, self.platform):
            if not _SAM_VALUE.fullmatch(value):
                raise ValueError("a read group's values are printable ASCII, without tabs")

    def as_header(self) -> dict[str, str]:
        return {"ID": self.id, "PU": self.id, "LB": self.library, "SM": self.sample, "PL": self.platform}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneInput:
    """The gzipped FASTQ pair of one library in one lane."""

    r1: Path
    r2: Path
    read_group: ReadGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneMetrics:
    """`fingerprint` is over the FASTQs' reads (chassis.tools.fingerprint)."""

    read_pairs: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CramMetrics:
    """Of a sample's CRAM. `reads`: primary records; `mapped`: their mapped share; `duplication`: the share of mapped
    primary reads that are marked; `mean_coverage`: over the reference's calling intervals, without duplicates;
    `insert_median`: bases, of proper pairs, 0 when there are none; `fingerprint`: over all primary reads."""

    reads: int
    mapped: float
    duplication: float
    mean_coverage: float
    insert_median: float
    fingerprint: str
    libraries: tuple[str, ...]
    read_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GvcfMetrics:
    """`records`: all lines; `variants`: those with an allele beside `<NON_REF>`; `covered`: bases
    from POS to END, each counted once when parts are gathered."""

    records: int
    variants: int
    covered: int


class ChunkedEngine(Protocol):
    """Lanes -> one BAM each -> a CRAM; calling intervals -> one gVCF part each -> a gVCF.

    Every method writes only the outputs it names and below `scratch`, checks what it wrote, and raises Rejected for
    bad input, ToolFailed otherwise. The same input gives the same records in whatever chunks and threads.
    """

    granularity: Literal["chunk"]

    def provenance(self) -> Provenance: ...

    def align_lane(
        self, *, lane: LaneInput, reference: LocalReference, out_bam: Path, scratch: Path, threads: int
    ) -> LaneMetrics:
        """Align one lane to a coordinate-sorted BAM with its read group."""
        ...

    def merge(
        self,
        *,
        inputs: Sequence[Path],
        previous: Path | None,
        reference: LocalReference,
        optical_distance: int,
        out_cram: Path,
        scratch: Path,
        threads: int,
    ) -> CramMetrics:
        """All lanes of a sample, and the CRAM of its earlier version, to one CRAM 3.0 with `.crai` beside it and
        duplicates marked by library. `optical_distance` in pixels."""
        ...

    def call(
        self,
        *,
        cram: Path,
        reference: LocalReference,
        intervals: Sequence[Interval],
        out_gvcf: Path,
        scratch: Path,
        threads: int = 1,
    ) -> GvcfMetrics:
        """The gVCF part (`.g.vcf.gz`, no index) of some calling intervals; `cram` has its index beside it."""
        ...

    def gather(self, *, parts: Sequence[Path], out_gvcf: Path) -> GvcfMetrics:
        """Parts, given in genome order, to one gVCF with `.tbi` beside it."""
        ...


class SampleEngine(Protocol):
    """A sample at once: what cannot be cut into chunks is redone whole."""

    granularity: Literal["sample"]

    def provenance(self) -> Provenance: ...

    def run(
        self,
        *,
        lanes: Sequence[LaneInput],
        previous: Path | None,
        reference: LocalReference,
        optical_distance: int,
        out_cram: Path,
        out_gvcf: Path,
        scratch: Path,
        threads: int,
    ) -> tuple[CramMetrics, GvcfMetrics]: ...


Engine = ChunkedEngine | SampleEngine
"""Told apart by `granularity`."""
