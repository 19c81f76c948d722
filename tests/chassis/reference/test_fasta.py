from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Rejected
from chassis.reference.fasta import Sequence, digest_of, normalise
from chassis.reference.intervals import calling_intervals
from tests.chassis.reference.conftest import bases, write_fasta

_PACKED = gzip.compress(b">a\nACGT\n", mtime=0)


def refused(path: Path, out: Path) -> tuple[str, str]:
    with pytest.raises(Rejected) as error:
        normalise(path, out)
    return error.value.rejection.code, error.value.rejection.where


def test_identity_depends_on_the_sequences_alone(tmp_path: Path) -> None:
    one, two = bases(333, 1), bases(200, 2)
    plain = write_fasta(tmp_path / "a.fa", {"chr1": one, "chr2": two})
    wide = write_fasta(tmp_path / "other-name.fasta", {"chr1": one.lower(), "chr2": two}, width=17)
    wide.write_bytes(wide.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    packed = tmp_path / "packed.fa.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    swapped = write_fasta(tmp_path / "swapped.fa", {"chr2": two, "chr1": one})
    renamed = write_fasta(tmp_path / "renamed.fa", {"1": one, "2": two})
    first = normalise(plain, tmp_path / "out1")
    for same in (wide, packed):
        assert normalise(same, tmp_path / "out2") == first
        assert (tmp_path / "out2").read_bytes() == (tmp_path / "out1").read_bytes()
    for also in (swapped, renamed):
        assert digest_of(normalise(also, tmp_path / "out3")) == digest_of(first)
    other = write_fasta(tmp_path / "b.fa", {"chr1": one, "chr2": two[:-1]})
    assert digest_of(normalise(other, tmp_path / "out4")) != digest_of(first)


def test_the_sums_are_those_of_sam(tmp_path: Path) -> None:
    (sequence,) = normalise(write_fasta(tmp_path / "a.fa", {"x": "acgtNN"}), tmp_path / "out")
    md5 = hashlib.md5(b"ACGTNN").hexdigest()
    assert sequence == Sequence(name="x", length=6, md5=md5, n_runs=((4, 6),))
    assert digest_of((sequence,)) == hashlib.md5(md5.encode()).hexdigest()


@settings(max_examples=60)
@given(
    contigs=st.lists(st.text("ACGTNacgtn", min_size=1, max_size=150), min_size=1, max_size=4),
    width=st.integers(1, 70),
    longest=st.integers(1, 80),
    gap=st.integers(1, 6),
)
def test_intervals_cover_all_but_long_gaps(
    tmp_path_factory: pytest.TempPathFactory, contigs: list[str], width: int, longest: int, gap: int
) -> None:
    folder = tmp_path_factory.mktemp("fasta")
    named = {f"c{number}": sequence for number, sequence in enumerate(contigs)}
    sequences = normalise(write_fasta(folder / "a.fa", named, width=width), folder / "out")
    intervals = calling_intervals(sequences, max_interval_bp=longest, n_run_bp=gap)
    assert all(interval.length <= longest for interval in intervals)
    for name, sequence in named.items():
        upper = sequence.upper()
        assert next(s for s in sequences if s.name == name).md5 == hashlib.md5(upper.encode()).hexdigest()
        covered = ["-"] * len(upper)
        for interval in intervals:
            if interval.contig == name:
                for at in range(interval.start - 1, interval.end):
                    assert covered[at] == "-"
                    covered[at] = upper[at]
        left = [at for at, base in enumerate(covered) if base == "-"]
        # what is left is N, and in runs that are long enough
        assert all(upper[at] == "N" for at in left)
        assert "".join("N" if at in set(left) else "x" for at in range(len(upper))) == "".join(
            "x" if base != "N" else mark for base, mark in zip(upper, _long_runs(upper, gap), strict=True)
        )


def _long_runs(sequence: str, gap: int) -> str:
    """N where a run of at least `gap` stands, x elsewhere."""
    marks, at = [], 0
    while at < len(sequence):
        end = at
        while end < len(sequence) and sequence[end] == "N":
            end += 1
        if end > at:
            marks.append(("N" if end - at >= gap else "x") * (end - at))
            at = end
        else:
            marks.append("x")
            at += 1
    return "".join(marks)


def test_a_long_stretch_is_cut_evenly() -> None:
    sequence = Sequence(name="c", length=2100, md5="0" * 32, n_runs=((0, 100), (1100, 1149)))
    intervals = calling_intervals([sequence], max_interval_bp=900)
    # 49 N do not separate, 100 do
    assert [str(interval) for interval in intervals] == ["c:101-766", "c:767-1433", "c:1434-2100"]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "EMPTY_INPUT", ""),
        (b"\n\n", "EMPTY_INPUT", ""),
        (b"ACGT\n", "FASTA_FORMAT", "line 1"),
        (b">a\nACGT\n>\nAC\n", "FASTA_FORMAT", "line 3"),
        (b"> a\nACGT\n", "FASTA_FORMAT", "line 1"),
        (b">a\nAC\n>a\nAC\n", "FASTA_FORMAT", "line 3"),
        (b">a\nAC-GT\n", "FASTA_FORMAT", "line 2"),
        (b">a\nAC GT\n", "FASTA_FORMAT", "line 2"),
        (b">a\n>b\nAC\n", "FASTA_FORMAT", "line 1"),
        (b">a\nAC\n>b", "FASTA_FORMAT", "line 3"),
        (b">=a\nAC\n", "FASTA_FORMAT", "line 1"),
        (b">\xc3\xa9\nAC\n", "FASTA_FORMAT", "line 1"),
        (_PACKED[:-8] + bytes([_PACKED[-8] ^ 1]) + _PACKED[-7:], "GZIP_CRC", ""),
        (_PACKED + b"junk", "GZIP_CRC", ""),
        (_PACKED[:-5], "GZIP_TRUNCATED", ""),
    ],
)
def test_what_is_no_fasta_is_refused_by_line(tmp_path: Path, content: bytes, code: str, line: str) -> None:
    path = tmp_path / "bad.fa"
    path.write_bytes(content)
    found, where = refused(path, tmp_path / "out")
    assert found == code
    assert where == ("bad.fa, " + line if line else "bad.fa")
