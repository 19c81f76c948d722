"""Sample sheets that are wrong, and names that must not be: refused in the run folder, mended there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from contracts.events import RunCompleted
from tests.faults.bad_input.said import assert_says
from tests.services.ingest.bench import BASE_CALLS, Bench, RunFolder, SheetRow, sheet_v2

S1 = SheetRow(library="S1-LIB1")
S2 = SheetRow(sample="S2", index="AAAAAAAAAA", library="S2-LIB1")
S3 = SheetRow(sample="S3", index="CCCCCCCCCC", library="S3-LIB1")
GOOD = sheet_v2(S1, S2)
ROW_2 = "SampleSheet.csv, line 7"
"""Where the second sample's row stands."""

# --- the whole sheet --------------------------------------------------------------------------------------------------

UNREADABLE: Mapping[str, tuple[bytes, str, str, str]] = {
    "a column is missing": (
        GOOD.replace("Sample_ID,Index,", "Name,Index,").encode(),
        "SHEET_COLUMN",
        "SampleSheet.csv, line 5",
        "mend the sample sheet",
    ),
    "a table is missing": (
        GOOD.replace("BCLConvert_Data", "Table").encode(),
        "SHEET_COLUMN",
        "SampleSheet.csv",
        "mend the",
    ),
    "another encoding": (
        GOOD.replace("S2-LIB1", "S2-Bücherei").encode("latin-1"),
        "SHEET_ENCODING",
        "SampleSheet.csv, line 12",
        "UTF-8",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_sheet_that_cannot_be_read_refuses_the_run_until_it_is_mended(
    name: str, bench: Bench, folder: RunFolder
) -> None:
    content, code, where, fix = UNREADABLE[name]
    folder.rows = (S1, S2)
    folder.whole()
    (folder.path / "SampleSheet.csv").write_bytes(content)
    await bench.go()
    await bench.go()
    (refused,) = await bench.events("run.rejected")
    assert_says(refused.rejection, code, where=where, fix=fix, withheld=("S2-B",))
    run = await bench.run()
    assert (run["state"], run["waits_for"]) == ("rejected", refused.rejection.fix)

    folder.write_sheet()
    assert await bench.go() == 2
    (told,) = await bench.events("run.completed")
    assert {one.sample.key for one in told.samples} == {bench.key("S1"), bench.key("S2")}


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode("utf-8-sig"),
        GOOD.encode("utf-16"),
        GOOD.encode("utf-16-le"),
        GOOD.replace("\n", "\r").encode(),
        GOOD.replace("\n", "\r\n").encode("utf-16"),
    ],
    ids=["BOM", "UTF-16", "UTF-16 without BOM", "CR only", "UTF-16 with CR LF"],
)
async def test_what_a_spreadsheet_writes_is_made_one(content: bytes, bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    (folder.path / "SampleSheet.csv").write_bytes(content)
    assert await bench.go() == 2
    (told,) = await bench.events("run.completed")
    assert isinstance(told, RunCompleted)
    assert {one.sample.key for one in told.samples} == {bench.key("S1"), bench.key("S2")}


# --- a sample's rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Bad:
    """Rows beside the good S1; `refused` are the samples that they cost, by label and project."""

    rows: tuple[SheetRow, ...]
    code: str
    fix: str
    where: str = ROW_2
    refused: tuple[tuple[str, str], ...] = ()
    withheld: tuple[str, ...] = ()


def named(sample: str, code: str, fix: str, **more: str) -> Bad:
    """S2 under a bad name. No part of the name is repeated anywhere."""
    row = replace(S2, sample=sample, **more)
    values = [value.strip('"') for value in (sample, *more.values()) if value.strip('"')]
    return Bad(rows=(row,), code=code, fix=fix, refused=((sample.strip('"'), row.project),), withheld=tuple(values))


ROWS: Mapping[str, Bad] = {
    "sample and lane twice": Bad(
        rows=(S2, replace(S2, index="GGGGGGGGGG")),
        code="SHEET_DUPLICATE",
        fix="row",
        where="SampleSheet.csv, line 8",
        refused=(("S2", "COHORT1"),),
        withheld=("S2",),
    ),
    "indexes collide": Bad(
        rows=(S2, replace(S3, index=S2.index)),
        code="SHEET_INDEX",
        fix="index",
        refused=(("S2", "COHORT1"), ("S3", "COHORT1")),
        withheld=("S2", "S3"),
    ),
    "a step up": named("../../etc/passwd", "UNSAFE_PATH", "letters, digits"),
    "an absolute path": named("/etc/passwd", "UNSAFE_PATH", "letters, digits"),
    "a project that is a step up": named("S2", "UNSAFE_PATH", "letters, digits", project="../P"),
    "an option": named("-rf", "UNSAFE_ID", "letters, digits"),
    "NUL": named("S2\x00x", "UNSAFE_ID", "letters, digits"),
    "a control character": named("S\x1b[31m", "UNSAFE_ID", "letters, digits"),
    "a newline": named('"S2\nS9"', "UNSAFE_ID", "letters, digits"),
    "a formula": named("=cmd()", "UNSAFE_ID", "letters, digits"),
    "a record number": named("MRN-0012345", "PHI_SUSPECTED", "pseudonym"),
    "a person's name": named("Anna_Schmidt", "PHI_SUSPECTED", "pseudonym"),
    "a birth date": named("19700131", "PHI_SUSPECTED", "pseudonym"),
    "a library that is a person's name": named("S2", "PHI_SUSPECTED", "pseudonym", library="Jane_Doe"),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_bad_row_costs_its_sample_alone_until_the_sheet_is_mended(
    name: str, bench: Bench, folder: RunFolder, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bad = ROWS[name]
    folder.rows = (S1, *bad.rows)
    folder.begin().copied()
    folder.rows = (S1, S2, S3) if len(bad.refused) == 2 else (S1, S2)
    folder.convert()
    assert await bench.go() == 1
    (told,) = await bench.events("run.completed")
    assert ([one.sample.key for one in told.samples], told.rejected) == ([bench.key("S1")], len(bad.refused))
    failed = await bench.events("sample.failed")
    assert {one.sample for one in failed} == {bench.key(sample, project) for sample, project in bad.refused}
    for one in failed:
        assert_says(one.rejection, bad.code, where=one.rejection.where, fix=bad.fix, withheld=bad.withheld)
    assert bad.where in {one.rejection.where for one in failed}
    if bad.code.startswith(("UNSAFE", "PHI")):
        values = [value for value in bad.withheld if value != "S2"]
        await assert_withheld(bench, caplog, tmp_path, *values, sheet_kept=bad.code != "PHI_SUSPECTED")

    folder.write_sheet()
    assert await bench.go() == len(folder.rows) - 1, "the good sample's work is not done again"
    followed = (await bench.events("run.completed"))[1]
    assert {one.sample.key for one in followed.samples} == {bench.key(row.sample) for row in folder.rows[1:]}
    assert (await bench.run())["state"] == "completed"


async def assert_withheld(
    bench: Bench, caplog: pytest.LogCaptureFixture, tmp_path: Path, *values: str, sheet_kept: bool
) -> None:
    """In no event, status view, log line, object key or stored object. A sheet without names of people is itself kept,
    in the restricted zone; and ingest's own ledger maps keys to ids."""
    views = ("status_run", "status_subject", "status_rejection", "status_task", "status_quarantine")
    told = [await bench.raw_events(), caplog.text]
    told += [str(row) for view in views for row in await bench.fetch(f"select * from {view}")]
    stored = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    sheets = [path for path in stored if path.name.startswith("SampleSheet-")]
    assert stored
    assert bool(sheets) == sheet_kept
    for value in values:
        assert not [text for text in told if value in text]
        assert not [path for path in stored if value in str(path)]
        assert not [path for path in stored if path not in sheets and value.encode() in path.read_bytes()]


# --- files that are not where they seem to be -------------------------------------------------------------------------


def a_link_to_a_file(folder: RunFolder, outside: Path) -> Path:
    file = folder.fastq("S2", 1, 2)
    (outside / file.name).write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(outside / file.name)
    return file


def a_link_to_a_folder(folder: RunFolder, outside: Path) -> Path:
    """S2 stands in a project of its own, so that the folder is its alone."""
    place = folder.path / BASE_CALLS / "COHORT2"
    shutil.move(place, outside / "COHORT2")
    place.symlink_to(outside / "COHORT2")
    return place


@pytest.mark.parametrize(
    ("link", "project"), [(a_link_to_a_file, "COHORT1"), (a_link_to_a_folder, "COHORT2")], ids=["file", "folder"]
)
async def test_a_link_out_of_the_run_root_costs_its_sample_alone_until_the_file_itself_is_there(
    link: Callable[[RunFolder, Path], Path], project: str, bench: Bench, folder: RunFolder, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder.rows = (S1, replace(S2, project=project))
    folder.whole()
    linked = link(folder, outside)
    assert await bench.go() == 1
    (failed,) = await bench.events("sample.failed")
    assert failed.sample == bench.key("S2", project)
    assert_says(
        failed.rejection,
        "UNSAFE_PATH",
        where="the sample's files in the run folder",
        fix="copy the file itself",
        withheld=("S2", str(outside)),
    )
    assert [one.sample.key for one in (await bench.events("run.completed"))[0].samples] == [bench.key("S1")]

    linked.unlink()
    folder.convert()
    await bench.go()
    followed = (await bench.events("run.completed"))[1:]
    assert [one.sample.key for told in followed for one in told.samples] == [bench.key("S2", project)]
