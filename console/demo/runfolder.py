"""A run folder as an Illumina sequencer and its converter leave it, without the base calls themselves.

`<date>_<instrument>_<number>_<side><flow cell>/` holds, in the order in which they are written:

- `RunInfo.xml`, `RunParameters.xml`, `SampleSheet.csv`: what the instrument writes when the run starts;
- `CopyComplete.txt`: the copy of the base calls has ended;
- `Data/Intensities/BaseCalls/<project>/<sample>_S<n>_L00<lane>_R<1|2>_001.fastq.gz`: the converter's output with one
  folder a project; n counts the samples in the order of the sheet;
- `Logs/FastqComplete.txt`: the converter's last word.

The sample sheet's columns are described in `console.demo.samplesheet`.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Protocol

from console.demo.runplan import BASE_CALLS, INDEX_BP, RunPlan, SamplePlan
from console.demo.samplesheet import render_sheet


class ReadSource(Protocol):
    """Where a run's reads come from: each lane's gzipped R1 and R2 of one sample."""

    def __call__(self, *, run: RunPlan, sample: SamplePlan) -> Mapping[int, tuple[bytes, bytes]]: ...


def write_run(root: Path, *, run: RunPlan, reads: ReadSource) -> Path:
    """Write a whole run under `root`, markers last, and return its folder; a folder of that name is an error."""
    folder = begin_run(root, run=run)
    end_base_calls(folder)
    convert(folder, run=run, reads=reads)
    end_conversion(folder)
    return folder


def begin_run(root: Path, *, run: RunPlan) -> Path:
    """Make the run's folder with what the instrument writes at the start."""
    folder = root / run.name
    (folder / BASE_CALLS).mkdir(parents=True)
    (folder / "RunInfo.xml").write_text(_run_info(run))
    (folder / "RunParameters.xml").write_text(_run_parameters(run))
    (folder / "SampleSheet.csv").write_text(render_sheet(run))
    return folder


def end_base_calls(folder: Path) -> None:
    """The instrument has copied its last base call: from here the run waits for its conversion."""
    (folder / "CopyComplete.txt").touch()


def convert(folder: Path, *, run: RunPlan, reads: ReadSource) -> None:
    """Write every FASTQ that the sheet promises."""
    for plan in run.samples:
        for lane, mates in reads(run=run, sample=plan).items():
            for mate, compressed in enumerate(mates, start=1):
                path = folder / run.fastq(plan.sample, lane, mate)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(compressed)


def end_conversion(folder: Path) -> None:
    """The converter is done: every FASTQ is there and whole."""
    logs = folder / "Logs"
    logs.mkdir(exist_ok=True)
    (logs / "FastqComplete.txt").touch()


def _run_info(run: RunPlan) -> str:
    reads = [(run.read_bp, "N"), (INDEX_BP, "Y"), (INDEX_BP, "Y"), (run.read_bp, "N")]
    read_lines = "\n".join(
        f'      <Read Number="{number}" NumCycles="{cycles}" IsIndexedRead="{indexed}" />'
        for number, (cycles, indexed) in enumerate(reads, start=1)
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<RunInfo Version="5">
  <Run Id="{escape(run.name)}" Number="{run.number}">
    <Flowcell>{escape(run.flowcell)}</Flowcell>
    <Instrument>{escape(run.instrument)}</Instrument>
    <Date>{run.date.month}/{run.date.day}/{run.date.year} 9:12:46 AM</Date>
    <Reads>
{read_lines}
    </Reads>
    <FlowcellLayout LaneCount="{run.lanes}" SurfaceCount="2" SwathCount="6" TileCount="78" />
  </Run>
</RunInfo>
"""


def _run_parameters(run: RunPlan) -> str:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<RunParameters>
  <ReadType>PairedEnd</ReadType>
  <Read1NumberOfCycles>{run.read_bp}</Read1NumberOfCycles>
  <Read2NumberOfCycles>{run.read_bp}</Read2NumberOfCycles>
  <IndexRead1NumberOfCycles>{INDEX_BP}</IndexRead1NumberOfCycles>
  <IndexRead2NumberOfCycles>{INDEX_BP}</IndexRead2NumberOfCycles>
  <RunNumber>{run.number}</RunNumber>
  <RunId>{escape(run.name)}</RunId>
  <InstrumentName>{escape(run.instrument)}</InstrumentName>
  <Side>{run.side}</Side>
  <Application>NovaSeq Control Software</Application>
  <ApplicationVersion>1.7.5</ApplicationVersion>
  <RtaVersion>v3.4.4</RtaVersion>
  <ExperimentName>{escape(run.project)}</ExperimentName>
  <RfidsInfo>
    <FlowCellSerialBarcode>{escape(run.flowcell)}</FlowCellSerialBarcode>
    <FlowCellMode>S4</FlowCellMode>
  </RfidsInfo>
</RunParameters>
"""
