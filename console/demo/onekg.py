"""A run folder of three real 1000 Genomes samples, 4.2 kb of chromosome 17 (see data/1kg_chr17/README.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from console.demo.runfolder import write_run
from console.demo.runplan import RunPlan, SamplePlan, SheetVersion, index_pairs

SOURCE = Path(__file__).parent / "data" / "1kg_chr17"
REFERENCE = SOURCE / "reference.fa"
SAMPLES = ("HG00100", "HG00101", "HG00102")
READ_BP = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class OneKgRun:
    """The written run folder, the reference (contig `17`) that its reads belong to, and the samples in it."""

    folder: Path
    reference: Path
    samples: tuple[str, ...]


def one_kg_plan(*, project: str = "1KG", sheet: SheetVersion = SheetVersion.V2) -> RunPlan:
    """All three samples on lane 1; the real runs' own names stay in the reads' names."""
    pairs = index_pairs(len(SAMPLES))
    return RunPlan(
        date=date(2024, 6, 18),
        instrument="A01417",
        number=219,
        side="A",
        flowcell="HK8C3DSX5",
        project=project,
        samples=tuple(
            SamplePlan(sample=sample, library=f"{sample}-LIB1", index=index, index2=index2, lanes=(1,))
            for sample, (index, index2) in zip(SAMPLES, pairs, strict=True)
        ),
        read_bp=READ_BP,
        sheet=sheet,
    )


def one_kg_run(root: Path, *, project: str = "1KG", sheet: SheetVersion = SheetVersion.V2) -> OneKgRun:
    """Write the run folder under `root`; the FASTQs are byte for byte those of the source."""
    folder = write_run(root, run=one_kg_plan(project=project, sheet=sheet), reads=_stored_reads)
    return OneKgRun(folder=folder, reference=REFERENCE, samples=SAMPLES)


def _stored_reads(*, run: RunPlan, sample: SamplePlan) -> Mapping[int, tuple[bytes, bytes]]:
    lane = sample.lanes[0]
    first, second = ((SOURCE / run.fastq(sample.sample, lane, mate).name).read_bytes() for mate in (1, 2))
    return {lane: (first, second)}
