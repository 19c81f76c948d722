"""Sample sheets of both versions, mended encodings, and every refusal."""

from __future__ import annotations

import pytest

from chassis.errors import Rejected, Rejection
from services.ingest.ids import check_id
from services.ingest.personal import suspicion
from services.ingest.samplesheet import SheetLane, parse_sheet
from tests.services.ingest.bench import SheetRow, sheet_v2

V1 = """[Header]
IEMFileVersion,5

[Reads]
151
151

[Data]
Lane,Sample_ID,Sample_Name,index,index2,Sample_Project,Description
1,S1,S1n,ACGTACGT,TTGCATTG,P1,S1-LIB1
2,S1,S1n,ACGTACGT,TTGCATTG,P1,S1-LIB1
1,S2,,ACGTACGA,TTGCATTG,P1,
"""


def refused(text: str, *, lanes: int | None = 4) -> Rejection:
    """The one sample's refusal."""
    sheet = parse_sheet(text.encode(), lanes=lanes)
    assert len(sheet.refused) == 1, sheet
    return sheet.refused[0].rejection


def refusal(content: bytes) -> Rejection:
    with pytest.raises(Rejected) as caught:
        parse_sheet(content, lanes=4)
    return caught.value.rejection


def test_version_1_names_libraries_in_its_description() -> None:
    sheet = parse_sheet(V1.encode(), lanes=4)
    assert sheet.version == 1
    assert sheet.refused == ()
    first, second = sheet.samples
    assert (first.sample, first.stem, first.number) == ("S1", "S1n", 1)
    assert first.lanes == tuple(SheetLane(lane=lane, index="ACGTACGT+TTGCATTG", library="S1-LIB1") for lane in (1, 2))
    assert (second.sample, second.stem, second.number, second.lanes[0].library) == ("S2", "S2", 2, "S2")


def test_version_2_names_libraries_in_cloud_data() -> None:
    rows = SheetRow(library="S1-LIB1"), SheetRow(sample="S2", index="A" * 10)
    sheet = parse_sheet(sheet_v2(*rows, further=(("S1", "S1-LIB2"),)).encode(), lanes=4)
    assert sheet.version == 2
    assert [sample.lanes[0].library for sample in sheet.samples] == ["S1-LIB1", "S2"]
    assert [sample.further for sample in sheet.samples] == [frozenset({"S1-LIB2"}), frozenset()]


def test_rows_without_a_lane_stand_for_all_lanes() -> None:
    text = "[BCLConvert_Data]\nSample_ID,Index,Sample_Project\nS1,ACGT,P\n"
    (sample,) = parse_sheet(text.encode(), lanes=3).samples
    assert [lane.lane for lane in sample.lanes] == [1, 2, 3]
    assert sample.lanes[0].index == "ACGT"


@pytest.mark.parametrize(
    "content",
    [
        V1.encode("utf-8-sig"),
        V1.encode("utf-16"),
        V1.encode("utf-16-le"),
        V1.encode("utf-16-be"),
        "\ufeff".encode("utf-16-be") + V1.encode("utf-16-be"),
        V1.replace("\n", "\r").encode(),
        V1.replace("\n", "\r\n").encode(),
        V1.replace("\n", "\r\n").encode("utf-16"),
        V1.replace("\n\n", "\n,,,,,,\n").replace("[Data]", "[Data],,,,,,").encode(),
    ],
    ids=["BOM", "UTF-16", "LE", "BE", "BE with BOM", "CR only", "CR LF", "UTF-16 CR LF", "a spreadsheet's commas"],
)
def test_encodings_and_line_ends_are_made_one(content: bytes) -> None:
    assert parse_sheet(content, lanes=4) == parse_sheet(V1.encode(), lanes=4)


def test_other_encodings_are_refused_with_the_line() -> None:
    rejection = refusal(V1.replace("S1-LIB1", "S1-Bücherei", 1).encode("latin-1"))
    assert (rejection.code, rejection.where) == ("SHEET_ENCODING", "SampleSheet.csv, line 10")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (V1.replace("Sample_ID", "Sample"), "SampleSheet.csv, line 9"),
        (V1.replace("[Data]", "[Table]"), "SampleSheet.csv"),
        (V1.replace("2,S1,S1n", "2,,S1n"), "SampleSheet.csv, line 11"),
        (V1.replace("TTGCATTG,P1,\n", "TTGCATTG,,\n"), "SampleSheet.csv, line 12"),
        (V1 + "[data]\nLane\n", "SampleSheet.csv, line 13"),
        (V1.replace("index2", "index"), "SampleSheet.csv, line 9"),
        ("[Data]\n", "SampleSheet.csv"),
        ("", "SampleSheet.csv"),
    ],
)
def test_a_sheet_that_leaves_open_what_it_means_is_refused(text: str, where: str) -> None:
    rejection = refusal(text.encode())
    assert (rejection.code, rejection.where) == ("SHEET_COLUMN", where)


def test_a_sample_twice_in_a_lane_is_refused_and_the_others_go_on() -> None:
    sheet = parse_sheet((V1 + "2,S1,S1n,GGGGGGGG,TTGCATTG,P1,S1-LIB1\n").encode(), lanes=4)
    assert [sample.sample for sample in sheet.samples] == ["S2"]
    (rejection,) = [one.rejection for one in sheet.refused]
    assert (rejection.code, rejection.where) == ("SHEET_DUPLICATE", "SampleSheet.csv, line 13")


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        (("ACGTACGT", "AAAA"), ("ACGTACGT", "AAAA"), True),
        (("ACGTACGT", "AAAA"), ("ACGTACGA", "AAAA"), False),
        (("ACGTACGT", "AAAA"), ("ACGTACGT", "AAAC"), False),
        (("ACGTAC", "AAAA"), ("ACGTACGT", "AAAA"), True),
        (("ACGTAC", "AAAA"), ("TCGTACGT", "AAAA"), False),
        (("ACGT", ""), ("ACGT", "AAAC"), True),
        (("", ""), ("ACGT", "AAAC"), True),
    ],
)
def test_indexes_that_cannot_be_told_apart_refuse_both_samples(
    one: tuple[str, str], other: tuple[str, str], collide: bool
) -> None:
    rows = (
        SheetRow(index=one[0], index2=one[1]),
        SheetRow(sample="S2", index=other[0], index2=other[1]),
        SheetRow(sample="S3", index="GGGGGGGGGG"),
    )
    sheet = parse_sheet(sheet_v2(*rows).encode(), lanes=4)
    if not one[0]:
        # no index at all collides with every other of the lane
        assert {refused.sample for refused in sheet.refused} == {"S1", "S2", "S3"}
        return
    assert {refused.sample for refused in sheet.refused} == ({"S1", "S2"} if collide else set())
    assert {refused.rejection.code for refused in sheet.refused} <= {"SHEET_INDEX"}


def test_equal_indexes_in_different_lanes_are_fine() -> None:
    sheet = parse_sheet(sheet_v2(SheetRow(), SheetRow(sample="S2", lane=2)).encode(), lanes=4)
    assert len(sheet.samples) == 2


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (SheetRow(lane=9), "SHEET_COLUMN"),
        (SheetRow(index="ACGU"), "SHEET_INDEX"),
        (SheetRow(sample="-rf"), "UNSAFE_ID"),
        (SheetRow(sample="S1\x00"), "UNSAFE_ID"),
        (SheetRow(sample="S\x1b[31m"), "UNSAFE_ID"),
        (SheetRow(sample='"S1\nS2"'), "UNSAFE_ID"),
        (SheetRow(sample="=cmd()"), "UNSAFE_ID"),
        (SheetRow(sample="@SUM(A1)"), "UNSAFE_ID"),
        (SheetRow(sample="S" * 101), "UNSAFE_ID"),
        (SheetRow(sample="../../etc/passwd"), "UNSAFE_PATH"),
        (SheetRow(sample="/etc/passwd"), "UNSAFE_PATH"),
        (SheetRow(sample="..\\S1"), "UNSAFE_PATH"),
        (SheetRow(project="../P"), "UNSAFE_PATH"),
        (SheetRow(library="lib 1"), "UNSAFE_ID"),
        (SheetRow(sample="Anna_Schmidt"), "PHI_SUSPECTED"),
        (SheetRow(sample="Jane Doe"), "PHI_SUSPECTED"),
        (SheetRow(sample="19700131"), "PHI_SUSPECTED"),
        (SheetRow(library="MRN-0012345"), "PHI_SUSPECTED"),
        (SheetRow(project="Smith^John"), "PHI_SUSPECTED"),
    ],
)
def test_a_bad_name_refuses_its_sample_and_is_not_repeated(row: SheetRow, code: str) -> None:
    rejection = refused(sheet_v2(row))
    assert rejection.code == code
    assert rejection.where == "SampleSheet.csv, line 6"
    if code != "SHEET_COLUMN" and code != "SHEET_INDEX":
        for bad in (row.sample, row.library, row.project):
            assert bad == "" or bad in ("S1", "COHORT1") or bad not in str(rejection)


PERSONAL = {
    "a birth date": ["1970-01-31", "31.01.1970", "JS19700131", "P_31-1-1970", "01/31/1970", "S-2001_02_03"],
    "a record number": ["12345678", "123-45-6789", "943 476 5919", "010170-1234", "12345678Z", "RSSMRA85T10A562S",
                        "MRN0012345", "ssn_1234", "11010519491231002X", "kvnr-A123456789"],
    "a person's name": ["Maria-Lopez", "SMITH^JOHN", "Doe, J", "JohnSmith", "johannes_03", "Dr_Who", "Frau-Meyer"],
}  # fmt: skip
PSEUDONYMS = [
    "HG00100", "NA12878", "S1", "COHORT1", "1KG", "SAMN12081990", "SRR19700131", "P-0042", "BB2-000123", "HK7YWDSX5",
    "Sample_12", "NEG-CTRL", "2024-0001", "D01-LIB1", "WGS350", "lib_A", "123456",
]  # fmt: skip


@pytest.mark.parametrize(("rule", "value"), [(rule, value) for rule, values in PERSONAL.items() for value in values])
def test_ids_that_point_at_a_person_are_suspected(rule: str, value: str) -> None:
    assert suspicion(value) == rule


@pytest.mark.parametrize("value", PSEUDONYMS)
def test_pseudonyms_are_not_suspected(value: str) -> None:
    assert suspicion(value) is None
    check_id(value, what="id", where="here", person=True)
