"""The comparison: equal files are equal, and each kind of damage is found where it was done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pysam
import pytest

from tests.oracle.cohorts import Cohort, Texts, shadow, write
from tests.oracle.compare import compare
from tests.oracle.predicates import Context, Mismatch, MleacTie
from tests.oracle.report import Report

HEAD = "##fileformat=VCFv4.2\n" + "\t".join(
    ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "ada", "ben", "eve")
)
INFO = (
    "AC=2,1;AF=0.333,0.167;AN=6;BaseQRankSum=-1.383e+00;DP=47;ExcessHet=0.4139;FS=3.010;InbreedingCoeff=-0.3333;"
    "MLEAC=2,1;MLEAF=0.333,0.167;MQ=59.87;MQRankSum=0.00;QD=17.21;ReadPosRankSum=0.524;SOR=1.179"
)
FORMAT = "GT:AD:DP:GQ:PGT:PID:PL:PS"
CELLS = (
    "0|1:9,8,0:17:99:0|1:90_A_C:210,0,250,240,280,520:90",
    "0/1:10,5,0:15:99:.:.:120,0,300,150,320,470",
    "0|2:8,0,7:15:99:1|0:90_A_C:180,204,450,0,240,220:90",
)
NONE = "c1\t40\t.\tG\t.\t.\t.\tDP=30\tGT:AD:DP:RGQ\t0/0:10:10:30\t0/0:10:10:27\t./.:10:10:0"
SITE = "\t".join(("c1", "100", "rs1;rs2", "AT", "GT,A", "516.25", ".", INFO, FORMAT, *CELLS))
DRAWN = "\t".join(
    ("c1", "200", ".", "C", "T", "400", ".", "AC=2;AN=2;DP=9;QD=28.31", "GT:AD:DP", "1/1:0,9:9", ".", ".")
)
WHOLE = (NONE, SITE, DRAWN)


@dataclass(frozen=True, slots=True)
class Files:
    folder: Path

    def write(self, name: str, lines: tuple[str, ...], *, head: str = HEAD) -> Path:
        path = self.folder / f"{name}.vcf.gz"
        with pysam.BGZFile(str(path), "w", None) as sink:
            sink.write("".join(f"{line}\n" for line in (head, *lines)).encode())
        return path

    def against(self, *lines: str) -> Report:
        return compare(self.write("theirs", WHOLE), self.write("ours", lines))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def changed(old: str, new: str, *, line: str = SITE) -> tuple[str, ...]:
    assert line.count(old) == 1, f"{old} is not there exactly once"
    return tuple(line.replace(old, new) if one == line else one for one in WHOLE)


def test_equal_files_are_equal(files: Files) -> None:
    report = files.against(*WHOLE)
    assert report.good
    assert (report.sites, report.cells, report.drawn_qds) == (3, 9, 1)
    assert not report.worst


@pytest.mark.parametrize(
    ("old", "new", "field", "sample"),
    [
        ("rs1;rs2", "rs1", "ID", ""),
        ("\tAT\t", "\tATT\t", "REF", ""),
        ("GT,A", "A,GT", "ALT", ""),
        ("516.25", "516.28", "QUAL", ""),
        ("516.25", ".", "QUAL", ""),
        ("516.25\t.", "516.25\tLowQual", "FILTER", ""),
        (".\tAC=2,1;", ".\tAC=1,2;", "AC", ""),
        (".\tAC=2,1;", ".\t", "AC", ""),
        ("AN=6;", "AN=4;", "AN", ""),
        ("AF=0.333,0.167;AN", "AF=0.333,0.170;AN", "AF", ""),
        ("AF=0.333,0.167;AN", "AF=0.333;AN", "AF", ""),
        ("DP=47", "DP=46", "DP", ""),
        ("MLEAC=2,1", "MLEAC=4,1", "MLEAC", ""),
        ("MLEAF=0.333", "MLEAF=0.5", "MLEAF", ""),
        ("QD=17.21", "QD=17.24", "QD", ""),
        ("QD=17.21;", "", "QD", ""),
        ("FS=3.010", "FS=3.013", "FS", ""),
        ("SOR=1.179", "SOR=1.182", "SOR", ""),
        ("MQ=59.87", "MQ=59.90", "MQ", ""),
        ("MQ=59.87", "MQ=NaN", "MQ", ""),
        ("=-1.383e+00", "=-1.386e+00", "BaseQRankSum", ""),
        ("MQRankSum=0.00;", "MQRankSum=0.02;", "MQRankSum", ""),
        ("ReadPosRankSum=0.524", "ReadPosRankSum=-0.524", "ReadPosRankSum", ""),
        ("ExcessHet=0.4139", "ExcessHet=0.4142", "ExcessHet", ""),
        ("=-0.3333", "=-0.3336", "InbreedingCoeff", ""),
        (";SOR=1.179", ";SOR=1.179;XX=1", "XX", ""),
        (INFO, ";".join(INFO.split(";")[::-1]), "INFO order", ""),
        ("0|1:9,8", "0/1:9,8", "GT", "ada"),
        ("0|1:9,8", "1|0:9,8", "GT", "ada"),
        ("9,8,0", "9,7,0", "AD", "ada"),
        ("0:17:99", "0:16:99", "DP", "ada"),
        ("0:17:99", "0:17:98", "GQ", "ada"),
        ("120,0,300", "120,0,301", "PL", "ben"),
        (":99:1|0", ":99:0|1", "PGT", "eve"),
        ("1|0:90_A_C", "1|0:91_A_C", "PID", "eve"),
        ("220:90", "220:91", "PS", "eve"),
        ("220:90", "220", "PS", "eve"),
    ],
)
def test_a_damaged_field_is_named(files: Files, old: str, new: str, field: str, sample: str) -> None:
    report = files.against(*changed(old, new))
    assert not report.good
    assert [(one.site, one.field, one.sample) for one in report.unexplained] == [("c1:100 AT>GT,A", field, sample)]


def test_rgq_is_exact(files: Files) -> None:
    (found,) = files.against(*changed("10:10:27", "10:10:28", line=NONE)).unexplained
    assert (found.field, found.sample, found.theirs, found.ours) == ("RGQ", "ben", "27", "28")


@pytest.mark.parametrize(
    ("old", "new", "field", "difference"),
    [
        ("516.25", "516.26", "QUAL", 0.01),
        ("AF=0.333,0.167;AN", "AF=0.333,0.166;AN", "AF", 0.001),
        ("FS=3.010", "FS=3.011", "FS", 0.001),
        ("=-1.383e+00", "=-1.384e+00", "BaseQRankSum", 0.001),
        ("ExcessHet=0.4139", "ExcessHet=0.4138", "ExcessHet", 0.0001),
    ],
)
def test_one_unit_of_the_last_place_is_tolerated_and_told(
    files: Files, old: str, new: str, field: str, difference: float
) -> None:
    report = files.against(*changed(old, new))
    assert report.good
    assert report.worst[field].difference == pytest.approx(difference)
    assert report.worst[field].where == "c1:100 AT>GT,A"
    assert field in report.table()


def test_what_is_empty_may_be_left_out(files: Files) -> None:
    assert files.against(*changed(".:.:120,0,300,150,320,470", ".:.:120,0,300,150,320,470:.")).good


def test_ids_have_no_order(files: Files) -> None:
    assert files.against(*changed("rs1;rs2", "rs2;rs1")).good


def test_a_drawn_qd_is_not_compared_but_must_be_there(files: Files) -> None:
    report = files.against(*changed("QD=28.31", "QD=33.07", line=DRAWN))
    assert report.good
    assert report.drawn_qds == 1
    (found,) = files.against(*changed(";QD=28.31", "", line=DRAWN)).unexplained
    assert found.field == "QD"


def test_our_own_ratio_decides_whether_qd_is_drawn(files: Files) -> None:
    """A depth that is wrong must not hide a wrong QD."""
    lines = changed("0,9:9", "0,90:90", line=DRAWN)
    fields = {one.field for one in files.against(*(one.replace("28.31", "4.44") for one in lines)).unexplained}
    assert fields == {"AD", "DP", "QD"}


@pytest.mark.parametrize("gone", [NONE, SITE, DRAWN])
def test_a_missing_site_is_found_on_either_side(files: Files, gone: str) -> None:
    rest = tuple(one for one in WHOLE if one != gone)
    (lost,) = files.against(*rest).unexplained
    assert (lost.field, lost.ours) == ("site", "-")
    (added,) = compare(files.write("few", rest), files.write("all", WHOLE)).unexplained
    assert (added.field, added.theirs) == ("site", "-")


def test_a_site_written_twice_is_found(files: Files) -> None:
    (found,) = files.against(NONE, SITE, SITE, DRAWN).unexplained
    assert (found.field, found.theirs) == ("site", "-")


def test_other_samples_are_not_compared(files: Files) -> None:
    ours = files.write("ours", WHOLE, head=HEAD.replace("ben\teve", "eve\tben"))
    (found,) = compare(files.write("theirs", WHOLE), ours).unexplained
    assert found.field == "samples"


def test_a_tie_of_mleac_is_a_named_predicate_with_a_cap(files: Files) -> None:
    lines = changed("MLEAC=2,1;MLEAF=0.333,0.167", "MLEAC=2,2;MLEAF=0.333,0.333")
    report = Report()
    for _ in range(2):
        report.add(files.against(*lines))
    assert report.good
    assert (report.explained, report.explained_sites) == ({"MLEAC tie": 4}, {"MLEAC tie": 2})
    report.add(files.against(*lines))
    assert not report.unexplained
    assert report.over_cap == ["MLEAC tie"], "three of nine sites are more than rounding"
    assert not report.good
    report.sites = 10_000
    assert report.good


@pytest.mark.parametrize(
    ("alt", "spanned", "explained"), [("*", 9, True), (".", 9, True), ("*", 8, False), ("C", 9, False)]
)
def test_all_sites_under_a_deletion(files: Files, alt: str, spanned: int, explained: bool) -> None:
    theirs = files.write("theirs", (f"c1\t9\t.\tA\t{alt}\t0\tLowQual\tAC=1;AN=7\tGT\t0/0\t0/0\t0/0",))
    ours = files.write("ours", ("c1\t9\t.\tA\t.\t.\t.\tDP=9\tGT\t0/0\t0/0\t0/0",))
    assert compare(theirs, ours, spanned=frozenset({spanned})).good == explained


@pytest.mark.parametrize(
    ("alt", "qual", "explained"),
    [(".", "Infinity", True), (".", "120.5", True), (".", "99", False), ("C", "Infinity", False)],
)
def test_near_certainty_of_a_reference_site(files: Files, alt: str, qual: str, explained: bool) -> None:
    rest = "DP=9\tGT\t0/0\t0/0\t0/0"
    theirs = files.write("theirs", (f"c1\t9\t.\tA\t{alt}\t122.8\t.\t{rest}",))
    ours = files.write("ours", (f"c1\t9\t.\tA\t{alt}\t{qual}\t.\t{rest}",))
    assert compare(theirs, ours).good == explained


def test_what_a_record_in_front_of_the_interval_leaves_open(files: Files) -> None:
    theirs, ours = files.write("theirs", WHOLE), files.write("ours", changed("0:17:99", "0:17:98"))
    assert compare(theirs, ours, shadow=100).explained == {"edge overlap": 1}
    assert not compare(theirs, ours, shadow=99).good
    spans = ((50, "A" * 60, "A"), (70, "A", "C"))
    for first, reach in ((60, 0), (70, 0), (71, 109), (109, 109), (110, 0)):
        assert shadow(overlapping(files.folder / f"{first}", spans, first)) == reach


def overlapping(folder: Path, spans: tuple[tuple[int, str, str], ...], first: int) -> Cohort:
    lines = tuple(f"c1\t{at}\t.\t{ref}\t{alt},<NON_REF>\t.\t.\t.\tGT\t0/1" for at, ref, alt in spans)
    return write(Texts(contig="c1", bases="A" * 200, first=first, last=200, records={"ada": lines}), folder)


def test_a_predicate_explains_what_it_names_and_no_more(files: Files) -> None:
    class Benched:
        name, reason, cap = "benched", "for this test", 10_000

        def explains(self, item: Mismatch, context: Context) -> bool:
            return item.field == "GQ" and context.ours is not None and "PGT" in context.ours.layout

    ours = files.write("ours", changed("0:17:99", "0:16:98"))
    report = compare(files.write("theirs", WHOLE), ours, predicates=(MleacTie(), Benched()))
    assert report.explained == {"benched": 1}
    assert [one.field for one in report.unexplained] == ["DP"]
    assert "benched" in report.table()


def test_reports_add_up(files: Files) -> None:
    total = Report()
    for lines in (WHOLE, changed("0:17:99", "0:17:98"), changed("516.25", "516.24"), changed("516.25", "516.26")):
        total.add(files.against(*lines))
    assert (total.sites, total.cells, total.drawn_qds) == (12, 36, 4)
    assert total.worst["QUAL"].differing == 2
    assert [one.field for one in total.unexplained] == ["GQ"]
    assert "c1:100 AT>GT,A  ada     GQ     99    98" in total.table()
