"""Every way in which a pair of FASTQs can be bad, with files that are really broken."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.errors import Rejected
from services.ingest.fastq import FastqFile
from services.ingest.gzipread import READ_BYTES
from services.ingest.pairs import check_pair
from tests.services.ingest.bench import fastq

R1, R2 = fastq(mate=1), fastq(mate=2)


def write(folder: Path, first: bytes, second: bytes) -> tuple[Path, Path]:
    paths = folder / "S1_R1.fastq.gz", folder / "S1_R2.fastq.gz"
    for path, content in zip(paths, (first, second), strict=True):
        path.write_bytes(content)
    return paths


def damaged(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@dataclass(frozen=True, kw_only=True)
class Broken:
    code: str
    where: str
    first: bytes = gzip.compress(R1)
    second: bytes = gzip.compress(R2)


G2 = gzip.compress(R2)
BROKEN = {
    "no byte": Broken(code="EMPTY_INPUT", where="R2 of lane 3", second=b""),
    "no read": Broken(code="EMPTY_INPUT", where="R2 of lane 3", second=gzip.compress(b"")),
    "cut in the content": Broken(code="GZIP_TRUNCATED", where="R2 of lane 3", second=G2[:-20]),
    "cut in the trailer": Broken(code="GZIP_TRUNCATED", where="R2 of lane 3", second=G2[:-3]),
    "cut in the header": Broken(code="GZIP_TRUNCATED", where="R2 of lane 3", second=G2[:6]),
    "cut in the second member": Broken(code="GZIP_TRUNCATED", where="R2 of lane 3", second=G2 + G2[:-3]),
    "a wrong sum": Broken(code="GZIP_CRC", where="R2 of lane 3", second=damaged(G2, len(G2) - 6)),
    "a wrong length in the trailer": Broken(code="GZIP_CRC", where="R2 of lane 3", second=damaged(G2, len(G2) - 2)),
    "plain text": Broken(code="FORMAT_MISMATCH", where="R2 of lane 3", second=R2),
    "one byte of a header": Broken(code="FORMAT_MISMATCH", where="R2 of lane 3", second=b"\x1f"),
    "another compression": Broken(code="FORMAT_MISMATCH", where="R2 of lane 3", second=damaged(G2, 2)),
    "zip": Broken(code="FORMAT_MISMATCH", where="R2 of lane 3", second=b"PK\x03\x04" + G2),
    "bytes behind": Broken(code="GZIP_TRAILING", where="R2 of lane 3", second=G2 + b"junk"),
    "zeros behind": Broken(code="GZIP_TRAILING", where="R2 of lane 3", second=G2 + bytes(512)),
    "one magic byte behind": Broken(code="GZIP_TRAILING", where="R2 of lane 3", second=G2 + b"\x1f"),
    "a FASTA": Broken(code="FORMAT_MISMATCH", where="R2 of lane 3, record 1", second=gzip.compress(b">c\nACGT\n" * 4)),
    "no plus line": Broken(
        code="FORMAT_MISMATCH",
        where="R2 of lane 3, record 2",
        second=gzip.compress(R2.replace(b"+\nFFF:#\n@r2", b"-\nFFF:#\n@r2")),
    ),
    "Windows' line ends": Broken(
        code="FORMAT_MISMATCH", where="R2 of lane 3, record 1", second=gzip.compress(R2.replace(b"\n", b"\r\n"))
    ),
    "no letter of DNA": Broken(
        code="FORMAT_MISMATCH", where="R2 of lane 3, record 1", second=gzip.compress(R2.replace(b"NTGCA", b"NTGCE"))
    ),
    "a quality missing": Broken(
        code="FASTQ_LENGTH",
        where="R2 of lane 3, record 2",
        second=gzip.compress(R2.replace(b"FFF:#\n@r2", b"FFF:\n@r2")),
    ),
    "cut within a record": Broken(
        code="FASTQ_LENGTH", where="R2 of lane 3, record 3", second=gzip.compress(R2[: R2.rindex(b"\n+")])
    ),
    "Phred+64": Broken(
        code="FASTQ_QUAL", where="R2 of lane 3, record 1", second=gzip.compress(R2.replace(b"FFF:#", b"hhhfB"))
    ),
    "a blank quality": Broken(
        code="FASTQ_QUAL", where="R2 of lane 3, record 1", second=gzip.compress(R2.replace(b"FFF:#", b"FFF #"))
    ),
    "fewer second mates": Broken(
        code="PAIR_COUNT", where="R2 of lane 3, after record 2", second=gzip.compress(fastq(mate=2, records=2))
    ),
    "fewer first mates": Broken(
        code="PAIR_COUNT", where="R1 of lane 3, after record 1", first=gzip.compress(fastq(mate=1, records=1))
    ),
    "another fragment": Broken(
        code="PAIR_NAME", where="R1 and R2 of lane 3, record 2", second=gzip.compress(R2.replace(b"@r1 ", b"@q1 "))
    ),
    "first mates in both": Broken(
        code="PAIR_NAME", where="R2 of lane 3, record 1", second=gzip.compress(fastq(mate=1, bases="GGGGG"))
    ),
    "the same file": Broken(code="PAIR_DUPLICATE", where="R1 and R2 of lane 3", second=gzip.compress(R1)),
    "the same reads, packed anew": Broken(
        code="PAIR_DUPLICATE", where="R1 and R2 of lane 3", second=gzip.compress(R1.replace(b" 1:", b" 2:"), 1)
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_pairs_are_refused_with_their_code_and_place(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]
    with pytest.raises(Rejected) as caught:
        check_pair(*write(tmp_path, broken.first, broken.second), lane=3)
    rejection = caught.value.rejection
    assert (rejection.code, rejection.where) == (broken.code, broken.where)
    assert "S1" not in str(rejection)
    assert rejection.fix and rejection.rule


GOOD: dict[str, Callable[[bytes], bytes]] = {
    "one member": gzip.compress,
    "two files put together": lambda plain: gzip.compress(plain[:40]) + gzip.compress(plain[40:]),
    "many small members and an empty one, as bgzip": lambda plain: (
        b"".join(gzip.compress(plain[start : start + 7]) for start in range(0, len(plain), 7)) + gzip.compress(b"")
    ),
    "no line end at the end": lambda plain: gzip.compress(plain[:-1]),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_pairs_are_counted_and_summed(name: str, tmp_path: Path) -> None:
    import hashlib

    packed = GOOD[name](R1), GOOD[name](R2)
    checked = check_pair(*write(tmp_path, *packed), lane=1)
    assert checked.read_pairs == 3
    assert (checked.r1_sha256, checked.r2_sha256) == tuple(hashlib.sha256(one).hexdigest() for one in packed)
    assert (checked.r1_size, checked.r2_size) == tuple(map(len, packed))


@pytest.mark.parametrize(
    ("first", "second"), [(b"@r%d/1", b"@r%d/2"), (b"@r%d", b"@r%d"), (b"@r%d 1:Y:0:", b"@r%d 2:Y:0:")]
)
def test_mates_are_matched_in_every_naming(first: bytes, second: bytes, tmp_path: Path) -> None:
    one = b"".join(first % n + b"\nACGTN\n+\nFFFFF\n" for n in range(5))
    two = b"".join(second % n + b"\nTTTTN\n+\nFFFFF\n" for n in range(5))
    assert check_pair(*write(tmp_path, gzip.compress(one), gzip.compress(two)), lane=1).read_pairs == 5


def test_swapped_mates_of_the_old_naming_are_refused(tmp_path: Path) -> None:
    one, two = (b"@r0/%d\n" % mate + bases + b"\n+\nFF\n" for mate, bases in ((2, b"AC"), (1, b"GG")))
    with pytest.raises(Rejected) as caught:
        check_pair(*write(tmp_path, gzip.compress(one), gzip.compress(two)), lane=1)
    assert caught.value.rejection.code == "PAIR_NAME"


def test_files_larger_than_a_block_are_checked_to_their_ends(tmp_path: Path) -> None:
    """The fault lies in the last of many blocks, and the two files' blocks end at different records."""
    noise = os.urandom(4 * READ_BYTES).hex()
    pieces = [noise[start : start + 60] for start in range(0, len(noise), 60)]
    one = "".join(f"@{piece}\nACGTA\n+\nFFFFF\n" for piece in pieces).encode()
    two = "".join(f"@{piece}\nCCCCCCCCCC\n+\nFFFFFFFFFF\n" for piece in pieces).encode()
    count = len(pieces)
    assert len(gzip.compress(one)) > 3 * READ_BYTES
    assert check_pair(*write(tmp_path, gzip.compress(one, 1), gzip.compress(two, 9)), lane=1).read_pairs == count
    bad = two[:-3] + b" F\n"
    with pytest.raises(Rejected) as caught:
        check_pair(*write(tmp_path, gzip.compress(one, 1), gzip.compress(bad, 9)), lane=1)
    assert caught.value.rejection.where == f"R2 of lane 1, record {count}"


def test_one_path_for_both_mates_is_refused_unread(tmp_path: Path) -> None:
    first, _ = write(tmp_path, gzip.compress(R1), b"")
    linked = tmp_path / "linked"
    os.link(first, linked)
    with pytest.raises(Rejected) as caught:
        check_pair(first, linked, lane=1)
    assert caught.value.rejection.code == "PAIR_DUPLICATE"


@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero")])
def test_no_pipe_and_no_link_is_opened(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "R1.fastq.gz"
    make(path)
    with pytest.raises((Rejected, OSError)) as caught:
        list(FastqFile(path=path, where="R1").batches())
    assert isinstance(caught.value, Rejected)
    assert caught.value.rejection.code == "UNSAFE_PATH"
