"""A run folder looks as a sequencer and its converter leave it, and its markers come last."""

import gzip
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from console.demo.onekg import REFERENCE, SAMPLES, SOURCE, one_kg_run
from console.demo.runfolder import begin_run, convert, end_base_calls, end_conversion, write_run
from console.demo.runplan import RunPlan, SamplePlan, SheetVersion, demo_runs, index_pairs

PLAN = RunPlan(
    date=date(2024, 6, 11),
    instrument="A01417",
    number=218,
    side="A",
    flowcell="HK7YWDSX5",
    project="COHORT1",
    samples=(
        SamplePlan(sample="S0001", library="S0001-LIB1", index="AAAAAAAAAA", index2="CCCCCCCCCC"),
        SamplePlan(sample="S0002", index="GGGGGGGGGG", index2="TTTTTTTTTT", lanes=(2,)),
    ),
)
PROMISED = {
    "Data/Intensities/BaseCalls/COHORT1/S0001_S1_L001_R1_001.fastq.gz",
    "Data/Intensities/BaseCalls/COHORT1/S0001_S1_L001_R2_001.fastq.gz",
    "Data/Intensities/BaseCalls/COHORT1/S0001_S1_L002_R1_001.fastq.gz",
    "Data/Intensities/BaseCalls/COHORT1/S0001_S1_L002_R2_001.fastq.gz",
    "Data/Intensities/BaseCalls/COHORT1/S0002_S2_L002_R1_001.fastq.gz",
    "Data/Intensities/BaseCalls/COHORT1/S0002_S2_L002_R2_001.fastq.gz",
}


def _reads(*, run: RunPlan, sample: SamplePlan) -> Mapping[int, tuple[bytes, bytes]]:
    return {lane: (gzip.compress(b"r1"), gzip.compress(b"r2")) for lane in sample.lanes}


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _section(sheet: str, name: str) -> list[list[str]]:
    body = sheet.split(f"[{name}]\n")[1].split("\n\n")[0]
    return [line.split(",") for line in body.splitlines()]


def test_files_come_in_the_order_in_which_a_sequencer_and_its_converter_write_them(tmp_path: Path) -> None:
    folder = begin_run(tmp_path, run=PLAN)
    assert folder.name == "240611_A01417_0218_AHK7YWDSX5"
    assert _files(folder) == {"RunInfo.xml", "RunParameters.xml", "SampleSheet.csv"}
    end_base_calls(folder)
    assert _files(folder) == {"RunInfo.xml", "RunParameters.xml", "SampleSheet.csv", "CopyComplete.txt"}
    convert(folder, run=PLAN, reads=_reads)
    before = _files(folder)
    assert before >= PROMISED
    assert "Logs/FastqComplete.txt" not in before
    end_conversion(folder)
    assert _files(folder) - before == {"Logs/FastqComplete.txt"}


def test_write_run_does_all_of_it_and_never_writes_over_a_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path, run=PLAN, reads=_reads)
    assert _files(folder) == PROMISED | {
        "RunInfo.xml",
        "RunParameters.xml",
        "SampleSheet.csv",
        "CopyComplete.txt",
        "Logs/FastqComplete.txt",
    }
    with pytest.raises(FileExistsError):
        write_run(tmp_path, run=PLAN, reads=_reads)


def test_run_info_names_the_run_its_flow_cell_and_its_reads(tmp_path: Path) -> None:
    folder = begin_run(tmp_path, run=PLAN)
    run = ElementTree.parse(folder / "RunInfo.xml").getroot().find("Run")
    assert run is not None
    assert run.get("Id") == folder.name
    assert run.findtext("Flowcell") == "HK7YWDSX5"
    assert run.findtext("Instrument") == "A01417"
    reads = [(read.get("NumCycles"), read.get("IsIndexedRead")) for read in run.iter("Read")]
    assert reads == [("150", "N"), ("10", "Y"), ("10", "Y"), ("150", "N")]
    parameters = ElementTree.parse(folder / "RunParameters.xml").getroot()
    assert parameters.findtext("RunId") == folder.name
    assert parameters.findtext("RfidsInfo/FlowCellSerialBarcode") == "HK7YWDSX5"


def test_the_second_version_of_the_sheet_names_lanes_indexes_projects_and_libraries(tmp_path: Path) -> None:
    sheet = (begin_run(tmp_path, run=PLAN) / "SampleSheet.csv").read_text()
    assert _section(sheet, "Header")[0] == ["FileFormatVersion", "2"]
    assert ["Read1Cycles", "150"] in _section(sheet, "Reads")
    assert _section(sheet, "BCLConvert_Data") == [
        ["Lane", "Sample_ID", "Index", "Index2", "Sample_Project"],
        ["1", "S0001", "AAAAAAAAAA", "CCCCCCCCCC", "COHORT1"],
        ["2", "S0001", "AAAAAAAAAA", "CCCCCCCCCC", "COHORT1"],
        ["2", "S0002", "GGGGGGGGGG", "TTTTTTTTTT", "COHORT1"],
    ]
    assert _section(sheet, "Cloud_Data") == [
        ["Sample_ID", "ProjectName", "LibraryName"],
        ["S0001", "COHORT1", "S0001-LIB1"],
        ["S0002", "COHORT1", ""],
    ]


def test_the_first_version_of_the_sheet_has_the_library_in_its_description(tmp_path: Path) -> None:
    sheet = (begin_run(tmp_path, run=replace(PLAN, sheet=SheetVersion.V1)) / "SampleSheet.csv").read_text()
    assert _section(sheet, "Header")[0] == ["IEMFileVersion", "5"]
    assert _section(sheet, "Data") == [
        ["Lane", "Sample_ID", "Sample_Name", "index", "index2", "Sample_Project", "Description"],
        ["1", "S0001", "S0001", "AAAAAAAAAA", "CCCCCCCCCC", "COHORT1", "S0001-LIB1"],
        ["2", "S0001", "S0001", "AAAAAAAAAA", "CCCCCCCCCC", "COHORT1", "S0001-LIB1"],
        ["2", "S0002", "S0002", "GGGGGGGGGG", "TTTTTTTTTT", "COHORT1", ""],
    ]


def test_the_demos_second_run_brings_newcomers_and_tops_up_an_old_sample() -> None:
    founders, newcomers = [f"S{n:04d}" for n in range(1, 9)], ["S0009", "S0010"]
    first, second = demo_runs(founders=founders, newcomers=newcomers, depth=28.0)
    assert [plan.sample for plan in first.samples] == founders
    assert [plan.sample for plan in second.samples] == ["S0009", "S0010", "S0003"]
    old = next(plan for plan in first.samples if plan.sample == "S0003")
    topup = second.samples[-1]
    assert first.project == second.project
    assert (topup.library, topup.index, topup.index2) == (old.library, old.index, old.index2)
    assert first.flowcell != second.flowcell
    assert old.depth < 28.0 < old.depth + topup.depth


def test_index_pairs_are_told_apart_in_spite_of_a_misread_base() -> None:
    indexes = [index for pair in index_pairs(12) for index in pair]
    for i, one in enumerate(indexes):
        for other in indexes[:i]:
            assert sum(a != b for a, b in zip(one, other, strict=True)) >= 3
    assert index_pairs(5) == index_pairs(12)[:5]


@pytest.mark.parametrize("name", ["", "../S1", "-S1", "S1,S2", "S 1", "S1\n", "=S1"])
def test_a_plan_refuses_ids_that_are_no_file_names(name: str) -> None:
    with pytest.raises(ValueError, match="ids are letters"):
        SamplePlan(sample=name, index="A", index2="C")


def test_a_plan_refuses_a_sample_twice_and_an_index_pair_twice_in_a_lane() -> None:
    first, second = PLAN.samples
    with pytest.raises(ValueError, match="names a sample twice"):
        replace(PLAN, samples=(first, replace(first, index="T")))
    with pytest.raises(ValueError, match="share a lane and an index pair"):
        replace(PLAN, samples=(first, replace(second, index=first.index, index2=first.index2)))


def test_the_real_samples_stand_in_a_run_folder_of_their_own(tmp_path: Path) -> None:
    run = one_kg_run(tmp_path)
    assert run.samples == SAMPLES
    assert run.reference == REFERENCE
    assert run.reference.read_text().startswith(">17 ")
    for number, sample in enumerate(SAMPLES, start=1):
        for mate in (1, 2):
            name = f"{sample}_S{number}_L001_R{mate}_001.fastq.gz"
            written = run.folder / "Data/Intensities/BaseCalls/1KG" / name
            assert written.read_bytes() == (SOURCE / name).read_bytes()
    assert "1000 Genomes" in (SOURCE / "README.md").read_text()
