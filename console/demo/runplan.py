"""What a sequencing run is to hold: its samples, libraries, indexes and lanes, before anything is written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import combinations
from pathlib import Path

import numpy as np

INDEX_BP = 10
INDEX_DISTANCE = 3  # mismatches between any two indexes of the demo; a converter allows one
BASE_CALLS = Path("Data/Intensities/BaseCalls")  # within the run folder
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class SheetVersion(StrEnum):
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan:
    """One sample of a run: its library (the sample's own id when the sheet names none), indexes, lanes and depth.

    `depth` is the mean number of reads over a base that this run adds, over all its lanes.
    """

    sample: str
    index: str
    index2: str
    lanes: tuple[int, ...] = (1, 2)
    library: str | None = None
    depth: float = 28.0

    def __post_init__(self) -> None:
        if not all(_ID.fullmatch(name) for name in (self.sample, self.library or self.sample)):
            raise ValueError(f"sample and library ids are letters, digits, _ and -: {self.sample!r}, {self.library!r}")
        if not self.lanes or len(set(self.lanes)) < len(self.lanes) or not set(self.lanes) <= set(range(1, 9)):
            raise ValueError(f"lanes of {self.sample} must be different numbers from 1 to 8: {self.lanes}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """One run of a sequencer: what names its folder, and the samples on its flow cell."""

    date: date
    instrument: str
    number: int
    side: str
    flowcell: str
    project: str
    samples: tuple[SamplePlan, ...]
    read_bp: int = 150
    sheet: SheetVersion = SheetVersion.V2

    def __post_init__(self) -> None:
        if self.side not in ("A", "B") or not all(
            _ID.fullmatch(name) for name in (self.instrument, self.flowcell, self.project)
        ):
            raise ValueError(f"no sequencer names a run like this: {self.name!r} of project {self.project!r}")
        if len({plan.sample for plan in self.samples}) < len(self.samples):
            raise ValueError(f"run {self.name} names a sample twice; give it more lanes instead")
        for one, other in combinations(self.samples, 2):
            if set(one.lanes) & set(other.lanes) and (one.index, one.index2) == (other.index, other.index2):
                raise ValueError(f"{one.sample} and {other.sample} share a lane and an index pair")

    @property
    def name(self) -> str:
        return f"{self.date:%y%m%d}_{self.instrument}_{self.number:04d}_{self.side}{self.flowcell}"

    @property
    def lanes(self) -> int:
        """How many lanes the flow cell has: the four of an S4, or eight where the plan uses more."""
        return 4 if all(lane <= 4 for plan in self.samples for lane in plan.lanes) else 8

    def fastq(self, sample: str, lane: int, mate: int) -> Path:
        """Where a FASTQ lies, relative to the run folder."""
        number = next(n for n, plan in enumerate(self.samples, start=1) if plan.sample == sample)
        return BASE_CALLS / self.project / f"{sample}_S{number}_L{lane:03d}_R{mate}_001.fastq.gz"


def index_pairs(count: int) -> tuple[tuple[str, str], ...]:
    """`count` pairs of 10-base indexes; all indexes differ from one another in three places or more."""
    # one seed for any count: a longer list begins with the shorter one
    rng = np.random.default_rng(INDEX_BP)
    indexes: list[str] = []
    while len(indexes) < 2 * count:
        index = "".join(rng.choice(list("ACGT"), size=INDEX_BP))
        if all(sum(a != b for a, b in zip(index, known, strict=True)) >= INDEX_DISTANCE for known in indexes):
            indexes.append(index)
    return tuple(zip(indexes[::2], indexes[1::2], strict=True))


def demo_runs(
    *,
    founders: Sequence[str],
    newcomers: Sequence[str],
    project: str = "COHORT1",
    depth: float = 28.0,
    sheet: SheetVersion = SheetVersion.V2,
) -> tuple[RunPlan, RunPlan]:
    """The demo's two runs: the founders, then the newcomers and a top-up of the third founder.

    The topped-up sample is sequenced a little thinner at first, and its second run names the same project, sample and
    library, with the index pair that was ligated to it, on another flow cell.
    """
    thin = founders[min(2, len(founders) - 1)]
    pairs = index_pairs(len(founders) + len(newcomers))

    def plan(number: int, sample: str, share: float) -> SamplePlan:
        index, index2 = pairs[number]
        return SamplePlan(
            sample=sample, library=f"{sample}-LIB1", index=index, index2=index2, depth=round(depth * share, 2)
        )

    first = tuple(plan(i, sample, 0.85 if sample == thin else 1.0) for i, sample in enumerate(founders))
    second = (
        *(plan(i, sample, 1.0) for i, sample in enumerate(newcomers, start=len(founders))),
        plan(founders.index(thin), thin, 0.4),
    )
    runs = [
        RunPlan(
            date=day,
            instrument="A01417",
            number=number,
            side=side,
            flowcell=flowcell,
            project=project,
            samples=samples,
            sheet=sheet,
        )
        for day, number, side, flowcell, samples in (
            (date(2024, 6, 11), 218, "A", "HK7YWDSX5", first),
            (date(2024, 6, 25), 221, "B", "HLGT2DSX5", second),
        )
    ]
    return runs[0], runs[1]
