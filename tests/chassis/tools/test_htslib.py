"""BAM and CRAM: whole, sorted, of the right version."""

import random
from pathlib import Path

import pysam
import pytest

from chassis.errors import Rejected, ToolFailed
from chassis.tools import htslib
from tests.support.told import ATTRIBUTES, attributes_of, exit_codes, tools_told

HEADER = pysam.AlignmentHeader.from_dict(
    {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": "one", "LN": 1000}, {"SN": "two", "LN": 1000}],
        "RG": [{"ID": "g", "SM": "s"}],
    }
)


def _record(name: str, contig: int, start: int, flag: int = 0) -> pysam.AlignedSegment:
    record = pysam.AlignedSegment(HEADER)
    record.query_name, record.flag = name, flag
    record.reference_id, record.reference_start = contig, start
    record.query_sequence, record.query_qualities_str = "ACGT", "FFFF"
    record.cigarstring = None if flag & 4 else "4M"
    return record


@pytest.mark.parametrize("batch", [1000, 3])
def test_sorting_in_runs_equals_sorting_at_once(tmp_path: Path, batch: int) -> None:
    """Given more runs than a merge opens, ties stay in the order in which they came, unplaced records come last."""
    rng = random.Random(3)
    records = [_record(f"r{n}", rng.randrange(2), rng.randrange(5), rng.choice((0, 16, 0x800))) for n in range(260)]
    records += [_record(f"u{n}", -1, -1, 4) for n in range(5)]
    rng.shuffle(records)
    expected = sorted(records, key=lambda r: (r.reference_id % 3, r.reference_start, r.is_reverse))
    assert len(records) / 3 > htslib.MOST_RUNS

    primary = htslib.write_sorted(
        (records[at : at + batch] for at in range(0, len(records), batch)),
        header=HEADER,
        out_bam=tmp_path / "out.bam",
        scratch=tmp_path,
    )

    with pysam.AlignmentFile(str(tmp_path / "out.bam")) as bam:
        assert [record.query_name for record in bam] == [record.query_name for record in expected]
        assert bam.header.to_dict()["RG"] == [{"ID": "g", "SM": "s"}]
    assert primary == sum(not record.flag & 0x900 for record in records)
    assert [path.name for path in tmp_path.iterdir()] == ["out.bam"]


def test_no_records_make_a_whole_empty_file(tmp_path: Path) -> None:
    assert htslib.write_sorted([], header=HEADER, out_bam=tmp_path / "out.bam", scratch=tmp_path) == 0
    assert htslib.has_eof(tmp_path / "out.bam")


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "ref.fa"
    path.write_text(f">one\n{'ACGT' * 250}\n>two\n{'ACGT' * 250}\n")
    pysam.faidx(str(path))
    return path


@pytest.fixture
def cram(tmp_path: Path, fasta: Path) -> Path:
    bam, path = tmp_path / "x.bam", tmp_path / "x.cram"
    records = [_record(f"r{n}", 0, 4 * n) for n in range(50)]
    records += [_record("again", 0, 0, 0x400), _record("part", 0, 0, 0x800)]
    htslib.write_sorted([records], header=HEADER, out_bam=bam, scratch=tmp_path)
    assert htslib.to_cram(bam, fasta=fasta, out_cram=path, threads=1) == tmp_path / "x.cram.crai"
    return path


def test_a_cram_is_written_as_3_0_and_tells_no_folder(cram: Path, fasta: Path) -> None:
    assert htslib.cram_version(cram) == (3, 0)
    assert htslib.has_eof(cram)
    with pysam.AlignmentFile(str(cram), reference_filename=str(fasta)) as records:
        assert "UR" not in records.header.to_dict()["SQ"][0]
        assert sum(1 for _ in records.fetch("one", 0, 100)) == 27
    assert str(fasta.parent).encode() not in cram.read_bytes()


def test_depth_leaves_duplicates_out_and_primary_records_are_counted(cram: Path, fasta: Path, tmp_path: Path) -> None:
    bed = tmp_path / "x.bed"
    bed.write_text("one\t8\t208\none\t500\t700\n")

    # 192 of the first 200 bases are covered once, none of the others
    with tools_told() as told:
        assert htslib.mean_depth(cram, bed=bed, fasta=fasta, bases=400) == pytest.approx(192 / 400)
        assert htslib.count_primary(cram, fasta=fasta) == 51
    assert exit_codes(told) == [("tool samtools bedcov", 0), ("tool samtools view", 0)]
    assert all(set(attributes_of(span)) == ATTRIBUTES for span in told.get_finished_spans())


def test_what_breaks_off_is_refused(cram: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.cram"
    cut.write_bytes(cram.read_bytes()[:-38])
    with pytest.raises(Rejected, match="BAM_TRUNCATED"):
        htslib.require_whole(cut)

    (tmp_path / "none").write_bytes(b"")
    assert not htslib.has_eof(tmp_path / "none")
    with pytest.raises(Rejected, match="FORMAT_MISMATCH"):
        htslib.cram_version(tmp_path / "x.bam")


def test_an_index_of_unsorted_records_is_a_tool_failure(tmp_path: Path) -> None:
    path = tmp_path / "names.bam"
    with pysam.AlignmentFile(str(path), "wb", header=HEADER) as out:
        for start in (50, 3):
            out.write(_record("r", 0, start))

    with tools_told() as told, pytest.raises(ToolFailed, match="samtools index"):
        htslib.index(path)
    assert exit_codes(told) == [("tool samtools index", 1)]
