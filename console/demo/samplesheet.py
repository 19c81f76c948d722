"""The sample sheet of a run, in both of Illumina's formats, with the columns that say whose reads are whose.

Version 2 (BCL Convert, the default):

- `[Header]` begins with `FileFormatVersion,2` and has `RunName`, `InstrumentPlatform`, `InstrumentType`,
  `IndexOrientation`; `[Reads]` has `Read1Cycles`, `Read2Cycles`, `Index1Cycles`, `Index2Cycles`;
- `[BCLConvert_Data]`: `Lane,Sample_ID,Index,Index2,Sample_Project`, a row for each lane of a sample;
- `[Cloud_Data]`: `Sample_ID,ProjectName,LibraryName`, a row for each sample; an empty `LibraryName`, or no such
  section, means that the library is called as the sample is.

Version 1 (IEM, bcl2fastq):

- `[Header]` begins with `IEMFileVersion,5`; `[Reads]` has one line with the cycles of each read;
- `[Data]`: `Lane,Sample_ID,Sample_Name,index,index2,Sample_Project,Description`, a row for each lane of a sample; the
  format has no column for the library, so that it stands in `Description`, and an empty one means the sample's id.
"""

from console.demo.runplan import INDEX_BP, RunPlan, SheetVersion


def render_sheet(run: RunPlan) -> str:
    """The text of SampleSheet.csv. Every id in a plan is free of commas and quotes, so that no cell needs quoting."""
    match run.sheet:
        case SheetVersion.V1:
            return _version_1(run)
        case SheetVersion.V2:
            return _version_2(run)


def _version_2(run: RunPlan) -> str:
    rows = [
        f"{lane},{plan.sample},{plan.index},{plan.index2},{run.project}" for plan in run.samples for lane in plan.lanes
    ]
    return _sections(
        (
            "Header",
            "FileFormatVersion,2",
            f"RunName,{run.name}",
            "InstrumentPlatform,NovaSeq",
            "InstrumentType,NovaSeq",
            "IndexOrientation,Forward",
        ),
        (
            "Reads",
            f"Read1Cycles,{run.read_bp}",
            f"Read2Cycles,{run.read_bp}",
            f"Index1Cycles,{INDEX_BP}",
            f"Index2Cycles,{INDEX_BP}",
        ),
        ("BCLConvert_Settings", "SoftwareVersion,4.2.7", "FastqCompressionFormat,gzip"),
        ("BCLConvert_Data", "Lane,Sample_ID,Index,Index2,Sample_Project", *rows),
        ("Cloud_Settings", "GeneratedVersion,1.14.0.202403221642"),
        (
            "Cloud_Data",
            "Sample_ID,ProjectName,LibraryName",
            *(f"{plan.sample},{run.project},{plan.library or ''}" for plan in run.samples),
        ),
    )


def _version_1(run: RunPlan) -> str:
    rows = [
        f"{lane},{plan.sample},{plan.sample},{plan.index},{plan.index2},{run.project},{plan.library or ''}"
        for plan in run.samples
        for lane in plan.lanes
    ]
    return _sections(
        (
            "Header",
            "IEMFileVersion,5",
            f"Experiment Name,{run.project}",
            f"Date,{run.date.month}/{run.date.day}/{run.date.year}",
            "Workflow,GenerateFASTQ",
            "Application,NovaSeq FASTQ Only",
            "Instrument Type,NovaSeq",
        ),
        ("Reads", str(run.read_bp), str(run.read_bp)),
        ("Settings",),
        ("Data", "Lane,Sample_ID,Sample_Name,index,index2,Sample_Project,Description", *rows),
    )


def _sections(*sections: tuple[str, ...]) -> str:
    return "\n\n".join("\n".join([f"[{name}]", *lines]) for name, *lines in sections) + "\n"
