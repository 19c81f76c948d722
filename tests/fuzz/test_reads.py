"""FASTQs: whatever the bytes, a count or a rejection; and what ingest lets in, align and archive can read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import Rejection
from chassis.tools.fastq import plain_name, read_fastq, read_pairs
from services.ingest.fastq import FastqFile
from services.ingest.gzipread import GzipFile
from services.ingest.pairs import CheckedPair, check_pair
from tests.fuzz.broken import broken
from tests.fuzz.judged import SECRET, fuzzed, judged
from tests.services.ingest.bench import fastq

R1, R2 = fastq(mate=1, name=f"{SECRET}:"), fastq(mate=2, name=f"{SECRET}:")
SAM_NAME = 254
"""Characters of a read's name (SAM specification, 1.4)."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("reads")
    return folder / f"{SECRET}_R1.fastq.gz", folder / f"{SECRET}_R2.fastq.gz"


def read_or_refused(first: Path, second: Path) -> None:
    checked = judged(lambda: check_pair(first, second, lane=1), withheld=(SECRET,))
    read = judged(lambda: list(read_pairs(first, second)))
    if isinstance(checked, CheckedPair):
        assert not isinstance(read, Rejection), f"ingest takes what align refuses: {read}"
        assert len(read) == checked.read_pairs
        assert all(0 < len(mate.name) <= SAM_NAME and mate.bases for mates in read for mate in mates)
    else:
        assert checked.code.startswith(("GZIP_", "FASTQ_", "FORMAT_", "EMPTY_", "PAIR_"))


@fuzzed
@given(broken(R1), broken(R2), st.booleans())
@example(b"@\xff\nA\n+\nF\n", b"@\xff\nC\n+\nF\n", False)
@example(b"@ r\nA\n+\nF\n", b"@ r\nC\n+\nF\n", False)
@example(b"@/1\nA\n+\nF\n", b"@/2\nC\n+\nF\n", False)
@example(b"@r\n\n+\n\n", b"@r\n\n+\n\n@q\nA\n+\nF", False)
@example(b"@r\nA\n+\xff\nF\n", b"@r\nC\n+\nF\n", False)
@example(b"@" + b"r" * 255 + b"\nA\n+\nF\n", b"@" + b"r" * 255 + b"\nC\n+\nF\n", False)
def test_reads_are_counted_or_refused(pair: tuple[Path, Path], one: bytes, other: bytes, alike: bool) -> None:
    pair[0].write_bytes(gzip.compress(one, 1))
    pair[1].write_bytes(gzip.compress(one.replace(b" 1:", b" 2:").replace(b"A", b"C") if alike else other, 1))
    read_or_refused(*pair)


@fuzzed
@given(broken(gzip.compress(R1, 1)), broken(gzip.compress(R1[:40]) + gzip.compress(R1[40:])))
def test_gzip_is_unpacked_or_refused(pair: tuple[Path, Path], one: bytes, other: bytes) -> None:
    for path, content in zip(pair, (one, other), strict=True):
        path.write_bytes(content)
        file = GzipFile(path=path, where="R1 of lane 1")
        unpacked = judged(lambda file=file: b"".join(file.blocks()), withheld=(SECRET,))  # type: ignore[misc]
        if isinstance(unpacked, bytes):
            assert unpacked == gzip.decompress(content)
            assert file.size == len(content)
        judged(lambda path=path: list(read_fastq(path)))  # type: ignore[misc]
    read_or_refused(*pair)


@fuzzed
@given(st.binary(max_size=600), st.integers(1, 5))
def test_a_body_in_many_members_is_the_same_body(pair: tuple[Path, Path], extra: bytes, step: int) -> None:
    body = R1 + extra
    found = []
    for packed in (
        gzip.compress(body, 1),
        b"".join(gzip.compress(body[at : at + step], 1) for at in range(0, len(body), step)),
    ):
        pair[0].write_bytes(packed)
        file = FastqFile(path=pair[0], where="R1 of lane 1")
        records = judged(lambda file=file: sum(len(batch.reads) for batch in file.batches()))  # type: ignore[misc]
        found.append(records)
    assert found[0] == found[1]


@fuzzed
@given(st.text(max_size=60))
def test_a_plain_name_has_no_blank(header: str) -> None:
    assert plain_name(header).split() in ([], [plain_name(header)])
