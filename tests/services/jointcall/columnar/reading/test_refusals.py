"""What is refused: what every engine refuses, word for word, and what no column holds."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Rejected, Rejection
from chassis.tools.vcf import Declared
from contracts.values import Interval
from services.jointcall.columnar.reading import bgzf as reading
from services.jointcall.columnar.reading import parse, parse_stream, target_of
from services.jointcall.columnar.reading.bgzf import Lines
from services.jointcall.engines.gvcf import check
from services.jointcall.engines.records import Reading
from tests.faults.bad_input import broken
from tests.faults.bad_input.broken import BASES, GOOD
from tests.faults.bad_input.test_variants import ROWS
from tests.services.jointcall.columnar.reading import written
from tests.services.jointcall.columnar.reading.plain import EMPTY_BLOCK, bgzf
from tests.services.jointcall.columnar.reading.written import LENGTH, header, target
from tests.services.jointcall.engines.written import block, write_reference

HERE = written.BASES[99]
OTHERS = [base for base in "ACGT" if base != HERE]


@pytest.mark.parametrize("name", ROWS)
def test_what_every_engine_refuses_is_refused_in_its_words(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    gvcf = row.make(tmp_path)
    (tmp_path / "reference").mkdir()
    reference = write_reference(tmp_path / "reference", BASES, contig=row.contig)
    interval = Interval(contig=row.contig, start=401, end=1000, contig_length=broken.LENGTH)
    with pytest.raises(Rejected) as theirs:
        check(gvcf, interval=interval, reference=reference)
    with pytest.raises(Rejected) as ours:
        parse(gvcf, target=target_of(interval, reference))
    assert ours.value.rejection.code == row.code
    said, expected = ours.value.rejection.as_dict(), theirs.value.rejection.as_dict()
    if row.code == "GZIP_CRC":  # in the words of whatever decompresses
        del said["message"], expected["message"]
    assert said == expected


def refused(*records: str, contig: str = "c1") -> Rejection:
    text = header(contigs=((contig, LENGTH),)) + "".join(record + "\n" for record in records)
    with pytest.raises(Rejected) as found:
        list(parse_stream(io.BytesIO(bgzf(text.encode())), name="ada", where="x.gz", targets=[target(contig)]))
    return found.value.rejection


def record(**changed: str) -> str:
    columns = {
        "contig": "c1",
        "at": "100",
        "id": ".",
        "ref": HERE,
        "alt": f"{OTHERS[0]},<NON_REF>",
        "qual": ".",
        "filter": ".",
        "info": "DP=30",
        "format": "GT:AD:DP:GQ:PL:SB",
        "cell": "0/1:9,9,0:18:99:300,0,300,330,330,660:4,5,4,5",
    }
    return "\t".join((columns | changed).values())


def test_the_record_that_the_others_are_made_from_is_taken() -> None:
    text = header(contigs=(("c1", LENGTH),)) + record() + "\n"
    (parsed,) = parse_stream(io.BytesIO(bgzf(text.encode())), name="ada", where="x.gz", targets=[target("c1")])
    assert (parsed.found, parsed.variants) == (1, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"cell": "0/1:9,9,0:18:99:300,0,300,330,330,660:4,5,4,5:7"},
        {"cell": "0/1:9,9,0:x:99"},
        {"cell": "0/1:9,9,0:-1:99"},
        {"cell": "0/1:9,9,0:18:2147483648"},
        {"cell": "0/1:9,9:18:99"},
        {"cell": "0/1:9,.,0:18:99"},
        {"cell": "0/1:9,9,0::99"},
        {"cell": "0/3:9,9,0:18:99"},
        {"cell": "0/:9,9,0:18:99"},
        {"cell": "0/1:9,9,0:18:99:300,0,.,330,330,660"},
        {"cell": "0/1:9,9,0:18:99:.:4,5,4"},
        {"info": "DP=x"},
        {"info": "DP"},
        {"info": "DP=1;DP=2"},
        {"info": "END=99"},
        {"info": "END=x"},
        {"info": "RAW_MQandDP=7"},
        {"info": "MQ=1.2.3"},
        {"info": "MQ=1e"},
        {"ref": ""},
        {"alt": ",<NON_REF>"},
        {"at": "0"},
        {"at": "1x"},
        {"at": "99999999999"},
        {"format": "GT:DP\textra"},
        {"alt": "<NON_REF>", "info": "END=100", "format": "GT:DP", "cell": "0/0:9:"},
        {"alt": "<NON_REF>", "info": "END=100", "format": "GT:XX:DP", "cell": "0/0::9"},
        {"alt": "<NON_REF>", "info": "END=100", "format": "GT:DP", "cell": "0/0:9:9"},
        {"alt": "<NON_REF>", "info": "END=", "format": "GT:DP", "cell": "0/0:9"},
        {"format": ":".join(["GT"] + ["XX"] * 64), "cell": "0/1"},
    ],
)
def test_a_value_that_no_column_holds_is_refused(changed: dict[str, str]) -> None:
    said = refused(record(**changed))
    assert said.code == "FORMAT_MISMATCH"
    assert said.where.startswith("x.gz, record at c1:")


@pytest.mark.parametrize("alt", ["<NON_REF>,A,<NON_REF>", "A<NON_REF>"])
def test_non_ref_is_one_allele_the_last(alt: str) -> None:
    assert refused(record(alt=alt, cell="0/0")).code == "GVCF_NON_REF"


def test_likelihoods_tell_the_alleles_of_a_genotype_that_is_absent() -> None:
    """As GATK reads `.`: two alleles or one; their number must fit either."""
    assert refused(record(alt="<NON_REF>", info=".", format="GT:PL", cell=".:0,1,2,3")).code == "FORMAT_MISMATCH"


@pytest.mark.parametrize(
    ("alts", "is_mnp"),
    [
        ([], True),
        ([0], True),
        ([0, 1], True),
        ([0, "*"], False),
        ([0, "<DEL>"], False),
        ([0, "short"], False),
        ([0, "long"], False),
    ],
)
def test_plain_mnps_are_refused(alts: list[int | str], is_mnp: bool) -> None:
    """As GenomicsDBImport does, seen: by the alleles' lengths, however many bases differ."""
    ref = written.BASES[99:101]
    texts = {"short": ref[0], "long": ref + "A"}
    written_out = [texts.get(alt, alt) if isinstance(alt, str) else OTHERS[alt] + ref[1] for alt in alts]
    line = record(ref=ref, alt=",".join((*written_out, "<NON_REF>")), format="GT:DP", cell="0/0:9")
    text = header(contigs=(("c1", LENGTH),)) + line + "\n"
    if is_mnp:
        said = refused(line)
        assert (said.code, said.where) == ("GVCF_MNP", "x.gz, record at c1:100")
    else:
        (parsed,) = parse_stream(io.BytesIO(bgzf(text.encode())), name="ada", where="x", targets=[target("c1")])
        assert parsed.variants == 1


def test_contigs_out_of_order_are_refused() -> None:
    contigs = (("c1", LENGTH), ("c2", LENGTH), ("c3", LENGTH))
    lines = [record(contig="c2"), record(contig="c1")]
    text = header(contigs=contigs) + "\n".join(lines) + "\n"
    with pytest.raises(Rejected) as found:
        list(
            parse_stream(
                io.BytesIO(bgzf(text.encode())), name="ada", where="x.gz", targets=[target("c3", contigs=contigs)]
            )
        )
    assert found.value.rejection.code == "GVCF_ORDER"


def test_a_contig_that_the_header_does_not_have_is_refused() -> None:
    assert refused(record(contig="c9")).code == "FORMAT_MISMATCH"


def lines_of(content: bytes) -> list[bytes]:
    return list(Lines(io.BytesIO(content), where="x.gz").each())


TEXT = "\n".join(GOOD).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (bgzf(TEXT, end=False), "GZIP_TRUNCATED"),
        (bgzf(TEXT)[:-5], "GZIP_TRUNCATED"),
        (bgzf(TEXT, block=50)[:100], "GZIP_TRUNCATED"),
        (b"", "GZIP_TRUNCATED"),
        (bgzf(TEXT) + b"junk", "GZIP_TRAILING"),
        (TEXT, "FORMAT_MISMATCH"),
        (bytes.fromhex("1f8b0800000000000003") + bgzf(TEXT)[18:], "FORMAT_MISMATCH"),
        (bgzf(TEXT, block=50, end=False) + b"junk" + EMPTY_BLOCK, "GZIP_CRC"),
        (bgzf(TEXT)[:-36] + b"\0" + bgzf(TEXT)[-35:], "GZIP_CRC"),
    ],
)
def test_what_is_no_whole_bgzf_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(Rejected) as found:
        lines_of(content)
    assert found.value.rejection.code == code


def test_a_last_line_without_its_end_and_empty_blocks_between_are_taken() -> None:
    assert lines_of(bgzf(b"a\nb", end=False) + EMPTY_BLOCK + bgzf(b"c\nd")) == [b"a", b"bc", b"d"]


def test_a_line_without_end_is_refused_before_it_fills_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 10_000)
    monkeypatch.setattr(reading, "CHUNK", 100)
    assert len(lines_of(bgzf(b"a" * 9_000 + b"\n" + b"b" * 500, block=1000))) == 2
    with pytest.raises(Rejected) as found:
        lines_of(bgzf(b"a" * 20_000, block=1000))
    assert found.value.rejection.code == "FORMAT_MISMATCH"


@given(st.integers(0, 2**32), st.sampled_from(["c1", "chrX"]))
@settings(max_examples=100, deadline=None)
def test_damaged_lines_are_refused_as_any_engine_refuses_them(seed: int, contig: str) -> None:
    """Nothing but a refusal comes of them, and never a silence where the plain checks speak."""
    rng = random.Random(seed)
    lines = written.lines(seed, contig=contig)
    at = rng.randrange(len(lines))
    place = rng.randrange(len(contig) + 1, len(lines[at]))
    damage = rng.choice(("", "\t", ":", ",", ";", "=", ".", "0", "9" * 12, "N", "/", "<", "\0", "é"))
    lines[at] = lines[at][:place] + damage + lines[at][place + rng.randint(0, 2) :]
    text = header(contigs=((contig, LENGTH),)) + "".join(line + "\n" for line in lines)
    one = target(contig)
    plain = Reading(
        file="x.gz",
        interval=one.interval,
        bases=written.BASES,
        declared=Declared(header(contigs=()).encode().split(b"\n")),
        regions=(),
    )
    positions = [(line.split("\t") * 2)[1] for line in lines]
    within = (line for line, at in zip(lines, positions, strict=True) if not at.isdigit() or int(at) <= LENGTH)
    expected = None
    try:
        plain.read(within)
    except Rejected as said:
        expected = said.rejection
    try:
        list(parse_stream(io.BytesIO(bgzf(text.encode())), name="ada", where="x.gz", targets=[one]))
    except Rejected as said:
        ours = said.rejection
        assert expected in (None, ours) or ours.code in ("FORMAT_MISMATCH", "GVCF_ORDER", "GVCF_NON_REF", "GVCF_MNP")
    else:
        assert expected is None


@pytest.mark.parametrize("second", [record(alt=f"{OTHERS[1]},<NON_REF>"), block(written.BASES, 100, 120)])
def test_two_records_of_one_base_are_refused(second: str) -> None:
    """So does GenomicsDB's import, seen: "a VCF file has two lines with the same genomic position"."""
    said = refused(record(), second)
    assert (said.code, said.where) == ("GVCF_ORDER", "x.gz, record at c1:100")


def test_overlapping_records_are_normal() -> None:
    """A deletion with a SNP inside, as HaplotypeCaller writes them."""
    deletion = record(at="90", ref=written.BASES[89:110], alt=f"{written.BASES[89]},<NON_REF>")
    lines = [block(written.BASES, 50, 120), deletion, record(), block(written.BASES, 101, LENGTH)]
    text = header(contigs=(("c1", LENGTH),)) + "".join(line + "\n" for line in lines)
    (parsed,) = parse_stream(io.BytesIO(bgzf(text.encode())), name="ada", where="x", targets=[target("c1")])
    assert parsed.blocks.end.tolist() == [89, LENGTH]
    assert parsed.records.figures[:, :2].tolist() == [[90, 110], [100, 100]]
    assert parsed.found == 4
    assert parsed.gaps == ((1, 49),)
