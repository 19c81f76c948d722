"""bwa mem in this process says what the program says; and what is done when either fails."""

import gzip
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest
from pybwa import BwaIndex

from chassis.errors import Rejected, ToolFailed
from chassis.tools.bwa import Aligner, BwaProgram, Pybwa, batches
from chassis.tools.bwa_flags import pairing_in
from chassis.tools.fastq import Read, read_pairs
from tests.support.told import ATTRIBUTES, attributes_of, exit_codes, tools_told

pytestmark = pytest.mark.tools

GOLDEN = Path(__file__).parent / "bwa-0.7.17"
NEWER_TAGS = {"MQ"}
"""What the bwa within pybwa writes and 0.7.17 does not yet."""


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bwa") / "ref.fa"
    path.write_bytes((GOLDEN / "ref.fa").read_bytes())
    BwaIndex.index(path)
    return path


def _aligned(aligner: Aligner, fasta: Path, log: Path) -> list[list[pysam.AlignedSegment]]:
    log.touch()
    pairs = read_pairs(GOLDEN / "r1.fq.gz", GOLDEN / "r2.fq.gz")
    return list(aligner.align(pairs, fasta=fasta, threads=1, log=log))


def _without(line: str) -> list[str]:
    columns = line.rstrip("\n").split("\t")
    return columns[:11] + sorted(tag for tag in columns[11:] if tag[:2] not in NEWER_TAGS)


def test_pybwa_writes_what_bwa_0_7_17_writes(fasta: Path, tmp_path: Path) -> None:
    with tools_told() as told:
        [records] = _aligned(Pybwa(), fasta, tmp_path / "log")

    with gzip.open(GOLDEN / "expected.sam.gz", "rt") as stream:
        expected = [_without(line) for line in stream]
    assert [_without(record.to_string()) for record in records] == expected
    assert exit_codes(told) == [("tool bwa mem", 0)]
    [span] = told.get_finished_spans()
    assert set(attributes_of(span)) == ATTRIBUTES
    assert attributes_of(span)["cohortstream.cpu_seconds"] > 0


def test_threads_change_nothing(fasta: Path, tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    pairs = list(read_pairs(GOLDEN / "r1.fq.gz", GOLDEN / "r2.fq.gz"))

    one, two = (
        [
            record.to_string()
            for batch in Pybwa().align(pairs, fasta=fasta, threads=threads, log=tmp_path / "log")
            for record in batch
        ]
        for threads in (1, 2)
    )

    assert one == two


def test_batches_hold_whole_pairs_and_bound_what_lies_in_memory(fasta: Path, tmp_path: Path) -> None:
    aligned = _aligned(Pybwa(batch_bases=20_000), fasta, tmp_path / "log")

    assert [sum(not record.flag & 0x900 for record in batch) for batch in aligned] == [200, 200, 200, 200]
    read = Read("r", "ACGT", "FFFF")
    assert [len(batch) for batch in batches([(read, read)] * 7, 16)] == [2, 2, 2, 1]
    assert list(batches([], 16)) == []


def test_without_an_estimate_of_insert_sizes_nothing_is_flagged_in_silence() -> None:
    with pytest.raises(ToolFailed, match="insert sizes"):
        pairing_in("[M::something] said in other words\n")


def test_a_reference_without_index_is_refused(tmp_path: Path) -> None:
    bare = tmp_path / "bare.fa"
    bare.write_text(">one\nACGT\n")

    with pytest.raises(Rejected, match="REFERENCE_INCOMPLETE"):
        _aligned(Pybwa(), bare, tmp_path / "log")


# The program itself is not needed: a stand-in reads the pairs from stdin and does what each test says.


def _stand_in(folder: Path, body: str) -> Path:
    path = folder / "bwa"
    path.write_text(f"#!{sys.executable}\nimport gzip, sys\n{body}")
    path.chmod(0o755)
    return path


ANSWERS = f"""
reads = sys.stdin.read().splitlines()
print("@SQ\\tSN:one\\tLN:4000\\n@SQ\\tSN:two\\tLN:2300")
sys.stdout.write(gzip.open({str(GOLDEN / "expected.sam.gz")!r}, "rt").read())
print(len(reads), sys.argv[1:], file=sys.stderr)
"""


def test_the_program_gets_interleaved_pairs_and_its_records_are_streamed(fasta: Path, tmp_path: Path) -> None:
    program = BwaProgram(executable=str(_stand_in(tmp_path, ANSWERS)), batch_bases=20_000)

    with tools_told() as told:
        aligned = _aligned(program, fasta, tmp_path / "log")

    assert exit_codes(told) == [("tool bwa mem", 0)], "one span, however many batches"
    with gzip.open(GOLDEN / "expected.sam.gz", "rt") as stream:
        assert [record.query_name for batch in aligned for record in batch] == [line.split("\t")[0] for line in stream]
    assert len(aligned) > 3
    log = (tmp_path / "log").read_text()
    assert log.startswith("3200 ['mem', '-K', '20000', '-t', '1', '-p'")


@pytest.mark.parametrize(
    ("body", "out_of_memory", "status"),
    [
        ("print('[E::bwa_idx_load] fail to locate the index', file=sys.stderr); sys.exit(1)", False, 1),
        ("import os; print('@SQ\\tSN:one\\tLN:4000', flush=True); os.kill(os.getpid(), 9)", True, -9),
    ],
)
def test_a_program_that_fails_or_is_killed_is_a_tool_failure(
    fasta: Path, tmp_path: Path, body: str, out_of_memory: bool, status: int
) -> None:
    program = BwaProgram(executable=str(_stand_in(tmp_path, body)))

    with tools_told() as told, pytest.raises(ToolFailed) as failed:
        _aligned(program, fasta, tmp_path / "log")

    assert failed.value.out_of_memory is out_of_memory
    assert exit_codes(told) == [("tool bwa mem", status)]


def test_damaged_reads_are_told_through_the_program(fasta: Path, tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[Read, Read]]:
        yield Read("a", "ACGT", "FFFF"), Read("a", "ACGT", "FFFF")
        yield from read_pairs(tmp_path / "empty", tmp_path / "empty")

    with gzip.open(tmp_path / "empty", "wb"):
        pass
    program = BwaProgram(executable=str(_stand_in(tmp_path, ANSWERS)))
    (tmp_path / "log").touch()

    with pytest.raises(Rejected, match="EMPTY_INPUT"):
        list(program.align(broken(), fasta=fasta, threads=1, log=tmp_path / "log"))


def test_a_missing_program_is_a_matter_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))

    with pytest.raises(Rejected, match="CONFIG_TOOL"):
        BwaProgram()
