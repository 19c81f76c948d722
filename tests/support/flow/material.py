"""What goes into a plant: run folders with real reads of three people, on a reference of 4.2 kb."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from console.demo.runfolder import write_run
from console.demo.runplan import RunPlan, SamplePlan, index_pairs
from tests.support.site import ROOT

ONE_KG = ROOT / "console" / "demo" / "data" / "1kg_chr17"
REFERENCE = ONE_KG / "reference.fa"
MAX_INTERVAL_BP = 1100
PEOPLE = ("HG00100", "HG00101", "HG00102")
LANES = (1, 2)
FASTQ_LINES = 4


@cache
def reads_of(person: str, mate: int) -> tuple[bytes, ...]:
    """FASTQ records of one mate, 1000 Genomes Project (see the folder's README)."""
    packed = next(ONE_KG.glob(f"{person}_*_R{mate}_001.fastq.gz")).read_bytes()
    lines = gzip.decompress(packed).splitlines(keepends=True)
    return tuple(b"".join(lines[at : at + FASTQ_LINES]) for at in range(0, len(lines), FASTQ_LINES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """A run's read source. `people` names whose reads a sample gets; `edition` stands in each file's gzip header, so
    that files of the same reads are other files; `broken` are samples whose second mate is cut short."""

    people: Mapping[str, str]
    edition: int
    most: int | None = None
    broken: frozenset[str] = frozenset()

    def __call__(self, *, run: RunPlan, sample: SamplePlan) -> Mapping[int, tuple[bytes, bytes]]:
        del run
        found: dict[int, tuple[bytes, bytes]] = {}
        for place, lane in enumerate(sample.lanes):
            r1, r2 = (
                self._packed(reads_of(self.people[sample.sample], mate)[: self.most][place :: len(sample.lanes)])
                for mate in (1, 2)
            )
            found[lane] = (r1, r2[: len(r2) // 2] if sample.sample in self.broken else r2)
        return found

    def _packed(self, records: Sequence[bytes]) -> bytes:
        return gzip.compress(b"".join(records), compresslevel=1, mtime=self.edition)


def plan_of(project: str, labels: Sequence[str], *, number: int) -> RunPlan:
    """A run of its own number and flow cell; each sample is one library on two lanes."""
    pairs = index_pairs(len(labels))
    return RunPlan(
        date=date(2024, 6, 11),
        instrument="A01417",
        number=number,
        side="A",
        flowcell=f"HF{number:04d}DSX5",
        project=project,
        samples=tuple(
            SamplePlan(sample=label, library=f"{label}-LIB1", index=one, index2=two, lanes=LANES)
            for label, (one, two) in zip(labels, pairs, strict=True)
        ),
        read_bp=100,
    )


def arrive(root: Path, *, plan: RunPlan, reads: Reads) -> Path:
    """The run folder, markers last."""
    return write_run(root, run=plan, reads=reads)
