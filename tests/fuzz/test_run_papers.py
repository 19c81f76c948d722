"""A run folder's papers: sample sheets, RunInfo.xml, RunParameters.xml; the names in them; completion profiles."""

from __future__ import annotations

import codecs

from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import Rejection
from services.ingest.ids import NAME, check_id
from services.ingest.personal import suspicion
from services.ingest.profiles import Profile, profile_named
from services.ingest.runfolder import Instrument, RunInfo, read_instrument, read_run_info, safe_run_name
from services.ingest.samplesheet import Sheet, parse_sheet
from services.ingest.sheettext import decode, sections
from tests.fuzz.broken import broken, junk
from tests.fuzz.judged import SECRET, fuzzed, good, judged
from tests.services.ingest.bench import SheetRow, run_info, sheet_v2

V1 = f"""[Header]
IEMFileVersion,5
Investigator Name,{SECRET}
[Data]
Lane,Sample_ID,Sample_Name,index,index2,Sample_Project,Description
1,{SECRET},S1n,ACGTACGT,TTGCATTG,P1,S1-LIB1
2,S1,S1n,ACGTACGT,TTGCATTG,P1,{SECRET}
1,S2,,ACGTACGA,TTGCATTG,{SECRET},
"""
V2 = sheet_v2(SheetRow(library=f"{SECRET}"), SheetRow(sample=SECRET, lane=2), further=(("S1", SECRET),))
PARAMETERS = f"""<?xml version="1.0"?>
<RunParameters><InstrumentType>NovaSeqXPlus</InstrumentType><Operator>{SECRET}</Operator>
<ExperimentName>{SECRET}</ExperimentName></RunParameters>
"""
LANES = st.one_of(st.none(), st.integers(1, 16))


def sheet_judged(content: bytes, lanes: int | None) -> Sheet | Rejection:
    read = judged(lambda: parse_sheet(content, lanes=lanes), withheld=(SECRET,))
    if isinstance(read, Sheet):
        for refused in read.refused:
            good(refused.rejection, withheld=(SECRET,))
            assert SECRET not in repr(refused)
        for sample in read.samples:
            assert all(NAME.fullmatch(name) for name in (sample.sample, sample.stem, sample.project))
            assert all(NAME.fullmatch(lane.library) for lane in sample.lanes)
            assert sample.lanes
            assert suspicion(sample.sample) is None
            assert suspicion(sample.stem) is None
    else:
        assert read.code in {"SHEET_ENCODING", "SHEET_COLUMN"}
    return read


@fuzzed
@given(st.one_of(broken(V1.encode()), broken(V2.encode())), LANES)
def test_a_sample_sheet_is_read_or_refused(content: bytes, lanes: int | None) -> None:
    sheet_judged(content, lanes)


@fuzzed
@given(broken(V2.encode(), most=2), st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"]))
def test_a_sheet_in_another_encoding_is_read_or_refused(content: bytes, encoding: str) -> None:
    sheet_judged(content.decode("utf-8", errors="replace").encode(encoding), 4)
    sheet_judged(codecs.BOM_UTF16_LE + content, 4)


CELL = st.one_of(
    st.sampled_from(["1", "2", "17", "", "S1", "S2", "P", "ACGT", "ACGA", "N", "-x", "a/b", SECRET]),
    st.text(max_size=6),
)


@fuzzed
@given(
    st.sampled_from(["[Data]", "[BCLConvert_Data]", "[Cloud_Data]", "[Cohortstream_Data]"]),
    st.lists(
        st.sampled_from(["Lane", "Sample_ID", "Sample_Project", "index", "index2", "Library", "NewLibrary", "X", ""]),
        max_size=7,
    ),
    st.lists(st.lists(CELL, max_size=7), max_size=6),
    LANES,
)
def test_a_sheet_of_other_columns_is_read_or_refused(
    section: str, columns: list[str], rows: list[list[str]], lanes: int | None
) -> None:
    text = "\n".join([section, *(",".join(cells) for cells in (columns, *rows))])
    sheet_judged(text.encode(), lanes)
    sheet_judged((V2 + text).encode(), lanes)


def test_a_sheet_of_many_samples_without_indexes_is_refused_quickly() -> None:
    rows = "".join(f"1,S{number},P\n" for number in range(5_000))
    read = sheet_judged(b"[BCLConvert_Data]\nLane,Sample_ID,Sample_Project\n" + rows.encode(), 1)
    assert isinstance(read, Sheet)
    assert {refused.rejection.code for refused in read.refused} == {"SHEET_INDEX"}
    assert len(read.refused) == 5_000


@fuzzed
@given(junk())
def test_a_sheet_as_text_has_sections_or_is_refused(content: bytes) -> None:
    judged(lambda: sections(decode(content, name="SampleSheet.csv"), name="SampleSheet.csv"))


@fuzzed
@given(broken(run_info().replace("A01417</", f"{SECRET}</").encode()))
@example(b'<?xml version="1.0" encoding="utf-7"?><RunInfo/>')
@example(b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><RunInfo>&e;</RunInfo>')
@example(b"<RunInfo>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</RunInfo>")
def test_run_info_is_read_or_refused(content: bytes) -> None:
    read = judged(lambda: read_run_info(content), withheld=(SECRET,))
    if isinstance(read, RunInfo):
        assert NAME.fullmatch(read.run)
        assert NAME.fullmatch(read.flowcell)


@fuzzed
@given(broken(PARAMETERS.encode()), st.text(max_size=20))
def test_run_parameters_are_read_or_refused(content: bytes, serial: str) -> None:
    read = judged(lambda: read_instrument(content, serial=serial), withheld=(SECRET,))
    assert isinstance(read, Instrument | Rejection)
    assert isinstance(read_instrument(None, serial=serial), Instrument)


@fuzzed
@given(st.one_of(st.text(max_size=40), st.text("0123456789-_./ MRNmrnabZ^,ü", max_size=40), st.just("mrn-" * 20_000)))
def test_an_id_is_taken_or_refused_without_its_value(value: str) -> None:
    taken = judged(lambda: check_id(value, what="sample id", where="here", person=True))
    if taken is None:
        assert NAME.fullmatch(value)
        assert suspicion(value) is None
    elif len(value) > 8:
        assert value not in str(taken)
    assert safe_run_name(value) in (None, value)


@fuzzed
@given(st.one_of(st.text(max_size=2000), st.sampled_from(["bcl-convert", "dragen"])))
def test_a_completion_profile_is_known_or_refused(name: str) -> None:
    assert isinstance(judged(lambda: profile_named(name)), Profile | Rejection)


@fuzzed
@given(st.from_regex(NAME, fullmatch=True), st.integers(1, 16), st.text(max_size=60))
def test_file_names_match_their_own_sample_alone(stem: str, lane: int, other: str) -> None:
    pattern = profile_named("bcl-convert").file_name(stem=stem, lane=lane, mate=1)
    assert pattern.fullmatch(f"{stem}_S7_L{lane:03d}_R1_001.fastq.gz")
    if not other.startswith(stem):
        assert not pattern.fullmatch(other)
