"""What a header says is found out once, and holds for headers that say the same and for no others."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from chassis.errors import Rejected
from chassis.tools import vcf
from services.jointcall.columnar.reading import layout as layouts
from services.jointcall.columnar.reading import parse_stream
from services.jointcall.columnar.reading.bgzf import Lines
from services.jointcall.columnar.reading.layout import Layout, layout_of
from services.jointcall.engines.gvcf import require_header
from tests.services.jointcall.columnar.reading.plain import bgzf
from tests.services.jointcall.columnar.reading.written import BASES, LENGTH, header, target

CONTIGS = (("c1", LENGTH),)
GOOD = header(contigs=CONTIGS)
RECORD = f"c1\t1\t.\t{BASES[0]}\t<NON_REF>\t.\t.\tEND={LENGTH}\tGT:DP\t0/0:30\n"


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    layouts._KEPT.clear()
    yield
    layouts._KEPT.clear()


def read(text: str | bytes, *, name: str = "ada", contigs: tuple[tuple[str, int], ...] = CONTIGS) -> Layout:
    packed = bgzf(text.encode() if isinstance(text, str) else text)
    lines = Lines(io.BytesIO(packed), where="x.gz")
    found = layout_of(lines, name=name, contigs=contigs, where="x.gz")
    assert not lines.fill() or lines.line() == RECORD.encode().rstrip()
    return found


COMMAND = '##GATKCommandLine=<ID=HaplotypeCaller,CommandLine="-I {}.cram">\n'


def test_samples_of_a_cohort_share_it() -> None:
    first = read(GOOD + RECORD)
    assert read(GOOD.replace("\tada\n", "\tbea\n") + RECORD, name="bea") is first
    for name in ("ada", "bea"):
        told = GOOD.replace("##contig", COMMAND.format(name) + "##contig", 1).replace("\tada\n", f"\t{name}\n")
        assert read(told + RECORD, name=name) is first


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ID=XX,", "ID=XY,"),
        ("##INFO=<ID=END,", "##INFO=<ID=ENDE,"),
        (f"length={LENGTH}>\n", f"length={LENGTH}>\n##INFO=<ID=NEW,Number=1,Type=String>\n"),
    ],
)
def test_one_that_declares_something_else_does_not(theirs: str, ours: str) -> None:
    first = read(GOOD + RECORD)
    other = read(GOOD.replace(theirs, ours, 1) + RECORD)
    assert other is not first
    assert other.declared.info | other.declared.format != first.declared.info | first.declared.format
    assert read(GOOD + RECORD) is first


BROKEN = {
    "another sample": GOOD.replace("\tada\n", "\tbea\n") + RECORD,
    "two samples": GOOD.replace("\tada\n", "\tada\tbea\n") + RECORD,
    "no sample": GOOD.replace("\tada\n", "\n") + RECORD,
    "a length that differs": GOOD.replace(f"length={LENGTH}", "length=301") + RECORD,
    "one contig more": GOOD.replace("##contig", "##contig=<ID=c0,length=9>\n##contig", 1) + RECORD,
    "no first line": GOOD.partition("\n")[2] + RECORD,
    "another first line": "##source=me\n" + GOOD + RECORD,
    "a line that is none": GOOD.replace("##contig", "contig\n##contig", 1) + RECORD,
    "an empty line": GOOD.replace("##contig", "\n##contig", 1) + RECORD,
    "a line behind the columns": GOOD + "##late\n" + RECORD,
    "columns twice": GOOD + GOOD.splitlines(keepends=True)[-1] + RECORD,
    "not UTF-8": GOOD.encode().replace(b"##contig", b"##by=\xff\n##contig", 1) + RECORD.encode(),
    "a name that is not UTF-8": GOOD.encode().replace(b"\tada\n", b"\t\xff\n") + RECORD.encode(),
    "nothing behind it": GOOD,
    "nothing": "",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_good_header_before_changes_nothing_of_what_is_said(name: str) -> None:
    text = BROKEN[name]
    lines = (text.encode() if isinstance(text, str) else text).split(b"\n")[:-1]
    expected = None
    try:
        require_header(vcf.header_in(lines, where="x.gz"), name="ada", contigs=CONTIGS, where="x.gz")
    except Rejected as said:
        expected = said.rejection
    for before in (False, True):
        if before:
            read(GOOD + RECORD)
        try:
            read(text)
        except Rejected as said:
            assert said.rejection == expected
        else:
            assert expected is None


def test_a_format_that_another_sample_used_is_known_and_checked() -> None:
    def streamed(text: str) -> int:
        packed = io.BytesIO(bgzf(text.encode()))
        (parsed,) = parse_stream(packed, name="ada", where="x.gz", targets=[target("c1")])
        return parsed.found

    assert streamed(GOOD + RECORD) == 1
    (kept,) = layouts._KEPT
    assert len(kept.formats) == 1
    assert streamed(GOOD + RECORD) == 1
    assert len(kept.formats) == 1
    without = "".join(line for line in GOOD.splitlines(keepends=True) if "ID=DP" not in line)
    for text, code in ((without + RECORD, "VCF_UNDECLARED"), (GOOD + RECORD.replace("0/0", "0"), "PLOIDY")):
        with pytest.raises(Rejected) as found:
            streamed(text)
        assert found.value.rejection.code == code


def test_formats_do_not_pile_up() -> None:
    first = read(GOOD + RECORD)
    for number in range(100):
        before = first.formats
        assert first.learn(before, b":".join([b"GT"] + [b"XX"] * (number % 60) + [b"DP"] * (number // 60))) is not None
    assert len(first.formats) == layouts._MOST_SHARED
    for number in range(20):
        read(GOOD.replace("ID=XX,", f"ID=X{number},") + RECORD)
    assert len(layouts._KEPT) == layouts._MOST_KEPT
