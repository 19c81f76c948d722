"""One look after another at a run folder that fills: states, what it waits for, what settles, what may not be."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.demo.runfolder import begin_run, convert, end_base_calls, end_conversion
from console.demo.runplan import RunPlan, SamplePlan, SheetVersion
from services.ingest.observation import Observation, Rules, RunState, Seen
from services.ingest.observe import glance, observe, run_folders
from tests.services.ingest.bench import BASE_CALLS, RUN, SETTLE, RunFolder, SheetRow, rules

START = datetime(2024, 6, 11, tzinfo=UTC)


class Looking:
    """Looks one after the other, each knowing what the one before saw."""

    def __init__(self, folder: Path, *, follow: Rules | None = None) -> None:
        self.folder = folder
        self.rules = follow or rules()
        self.seen: dict[str, Seen] = {}
        self.now = START

    def look(self, *, after: timedelta = timedelta(0)) -> Observation:
        self.now += after
        found = observe(self.folder, self.seen, root=self.folder.parent, rules=self.rules, now=self.now)
        assert found is not None
        self.seen = dict(found.seen)
        return found


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(root=tmp_path, rows=(SheetRow(), SheetRow(sample="S2", index="A" * 10)))


def test_a_run_passes_through_its_states_in_order(folder: RunFolder) -> None:
    folder.begin()
    looking = Looking(folder.path, follow=rules(qc_flag="QC.ok"))
    assert looking.look().state is RunState.copying
    folder.copied()
    waiting = looking.look(after=SETTLE)
    assert waiting.state is RunState.conversion
    assert "Logs/FastqComplete.txt" in waiting.waits_for
    folder.convert()
    moved = folder.fastq("S2", 1, 2)
    moved.rename(folder.root / "late")
    waiting = looking.look()
    assert (waiting.state, waiting.waits_for) == (RunState.files, "1 of 4 FASTQs that the sheet promises")
    (folder.root / "late").rename(moved)
    waiting = looking.look(after=SETTLE)
    assert (waiting.state, waiting.waits_for) == (RunState.files, "1 of 6 files to stop growing")
    assert looking.look(after=SETTLE).state is RunState.flag
    (folder.path / "QC.ok").touch()
    ready = looking.look()
    assert ready.state is RunState.checking
    assert ready.offer is not None
    assert [sample.sample for sample in ready.offer.samples] == ["S1", "S2"]
    assert ready.offer.instrument.optical_distance == 2500


def test_the_marker_alone_is_not_enough_while_a_file_grows(folder: RunFolder) -> None:
    folder.whole()
    looking = Looking(folder.path)
    looking.look()
    half = SETTLE / 2
    for _ in range(4):
        with folder.fastq("S1", 1, 1).open("ab") as growing:
            growing.write(b"x")
        assert looking.look(after=half).state is RunState.files
    assert looking.look(after=half).state is RunState.files
    assert looking.look(after=half).state is RunState.checking


def test_a_file_rewritten_in_the_same_size_settles_anew(folder: RunFolder) -> None:
    folder.whole()
    looking = Looking(folder.path)
    looking.look()
    os.utime(folder.fastq("S1", 1, 1), ns=(1, 1))
    assert looking.look(after=SETTLE).state is RunState.files


def test_a_folder_without_run_info_is_no_run(tmp_path: Path, folder: RunFolder) -> None:
    (tmp_path / "photos").mkdir()
    folder.begin()
    assert run_folders(tmp_path) == [RUN]
    assert run_folders(tmp_path / "absent") == []
    assert observe(tmp_path / "photos", {}, root=tmp_path, rules=rules(), now=START) is None


def test_a_bad_sheet_is_refused_once_it_has_settled(folder: RunFolder) -> None:
    folder.begin().write_sheet("[Data]\n")
    looking = Looking(folder.path)
    assert looking.look().state is RunState.copying
    folder.copied()
    looking.seen.clear()
    assert looking.look().rejection is None
    refused = looking.look(after=SETTLE)
    assert refused.rejection is not None
    assert (refused.state, refused.rejection.code) == (RunState.rejected, "SHEET_COLUMN")


def test_run_info_that_cannot_be_read_leaves_the_folders_name(folder: RunFolder) -> None:
    folder.begin().copied()
    (folder.path / "RunInfo.xml").write_text("<RunInfo>")
    looking = Looking(folder.path)
    looking.look()
    refused = looking.look(after=SETTLE)
    assert refused.run == RUN
    assert refused.rejection is not None
    assert refused.rejection.code == "FORMAT_MISMATCH"


def test_an_unsafe_folder_name_is_not_used_as_an_id(tmp_path: Path) -> None:
    folder = RunFolder(root=tmp_path, name="Jane Doe's run", run="../x").begin().copied()
    looking = Looking(folder.path)
    looking.look()
    refused = looking.look(after=SETTLE)
    assert refused.run.startswith("run-")
    assert refused.rejection is not None
    assert refused.rejection.code == "UNSAFE_PATH"


def test_a_fastq_that_is_a_link_out_of_the_root_refuses_its_sample(folder: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(root=tmp_path / "runs", rows=folder.rows).whole()
    outside = tmp_path / "outside.fastq.gz"
    folder.fastq("S2", 1, 1).rename(outside)
    folder.fastq("S2", 1, 1).symlink_to(outside)
    looking = Looking(folder.path)
    looking.look()
    ready = looking.look(after=SETTLE)
    assert ready.offer is not None
    assert [sample.sample for sample in ready.offer.samples] == ["S1"]
    assert [refused.rejection.code for refused in ready.offer.refused] == ["UNSAFE_PATH"]


def test_a_folder_of_fastqs_that_is_a_link_out_of_the_root_refuses_its_samples(tmp_path: Path) -> None:
    folder = RunFolder(root=tmp_path / "runs").whole()
    project = folder.path / BASE_CALLS / "COHORT1"
    project.rename(tmp_path / "outside")
    project.symlink_to(tmp_path / "outside")
    looking = Looking(folder.path)
    looking.look()
    ready = looking.look(after=SETTLE)
    assert ready.offer is not None
    assert [refused.rejection.code for refused in ready.offer.refused] == ["UNSAFE_PATH"]


def test_a_link_within_the_root_is_fine(folder: RunFolder) -> None:
    folder.whole()
    shared = folder.root / "shared.fastq.gz"
    folder.fastq("S2", 1, 1).rename(shared)
    folder.fastq("S2", 1, 1).symlink_to(shared)
    looking = Looking(folder.path)
    looking.look()
    assert looking.look(after=SETTLE).state is RunState.checking


def test_a_run_folder_that_is_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    real = RunFolder(root=tmp_path / "elsewhere").whole()
    root = tmp_path / "runs"
    root.mkdir()
    (root / RUN).symlink_to(real.path)
    looking = Looking(root / RUN)
    looking.look()
    refused = looking.look(after=SETTLE)
    assert refused.rejection is not None
    assert refused.rejection.code == "UNSAFE_PATH"


def test_onboard_analyses_count_by_the_newest_that_is_marked(folder: RunFolder) -> None:
    folder.begin().copied()
    looking = Looking(folder.path, follow=rules(profile="dragen-onboard"))
    assert looking.look(after=SETTLE).state is RunState.conversion
    for analysis, marked in ((1, True), (2, True), (10, False)):
        place = folder.path / "Analysis" / str(analysis) / "Data" / "BCLConvert" / "fastq"
        place.mkdir(parents=True)
        for n, sample in enumerate(("S1", "S2"), start=1):
            for mate in (1, 2):
                (place / f"{sample}_S{n}_L001_R{mate}_001.fastq.gz").write_bytes(b"x" * analysis)
        if marked:
            (folder.path / "Analysis" / str(analysis) / "CopyComplete.txt").touch()
    looking.look()
    ready = looking.look(after=SETTLE)
    assert ready.offer is not None
    assert {lane.r1_size for sample in ready.offer.samples for lane in sample.lanes} == {2}


def test_one_id_in_two_projects_is_told_apart_by_the_converters_number(tmp_path: Path) -> None:
    rows = (SheetRow(), SheetRow(project="COHORT2", index="A" * 10))
    folder = RunFolder(root=tmp_path, rows=rows).begin().copied()
    (folder.path / "Logs").mkdir()
    (folder.path / "Logs" / "FastqComplete.txt").touch()
    place = folder.path / BASE_CALLS
    place.mkdir(parents=True)
    for number in (1, 2):
        for mate in (1, 2):
            (place / f"S1_S{number}_L001_R{mate}_001.fastq.gz").write_bytes(b"x" * number)
    looking = Looking(folder.path)
    looking.look()
    ready = looking.look(after=SETTLE)
    assert ready.offer is not None
    assert {sample.project: sample.lanes[0].r1_size for sample in ready.offer.samples} == {"COHORT1": 1, "COHORT2": 2}


def test_a_glance_changes_with_papers_and_markers_alone(folder: RunFolder) -> None:
    folder.begin()
    marks = [glance(folder.path, rules=rules())]
    folder.convert()
    marks.append(glance(folder.path, rules=rules()))
    folder.write_sheet("[Data]\n")
    marks.append(glance(folder.path, rules=rules()))
    assert len(set(marks)) == 3
    folder.fastq("S1", 1, 1).write_bytes(b"")
    assert glance(folder.path, rules=rules()) == marks[-1]


@pytest.mark.parametrize("version", list(SheetVersion))
def test_the_demos_run_folders_are_understood(version: SheetVersion, tmp_path: Path) -> None:
    plan = RunPlan(
        date=START.date(),
        instrument="A01417",
        number=218,
        side="A",
        flowcell="HK7YWDSX5",
        project="COHORT1",
        samples=(SamplePlan(sample="D01", library="D01-LIB1", index="ACGTACGTAC", index2="TTGCATTGCA"),),
        sheet=version,
    )
    folder = begin_run(tmp_path, run=plan)
    looking = Looking(folder)
    assert looking.look().state is RunState.copying
    end_base_calls(folder)
    assert looking.look().state is RunState.conversion
    convert(folder, run=plan, reads=lambda run, sample: dict.fromkeys(sample.lanes, (b"1", b"2")))
    assert looking.look().state is RunState.conversion
    end_conversion(folder)
    looking.look()
    ready = looking.look(after=SETTLE)
    assert ready.offer is not None
    (sample,) = ready.offer.samples
    assert [(lane.lane, lane.library) for lane in sample.lanes] == [(1, "D01-LIB1"), (2, "D01-LIB1")]
