"""A file that is open: what is inflated once serves everybody, and nobody is told anything else by it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

from chassis.errors import Rejected
from chassis.tools.index_content import BlocksOfFile, require_tabix_of
from contracts.values import Interval
from services.jointcall.columnar.reading import bgzf as reading
from services.jointcall.columnar.reading import parse, parse_stream, target_of
from services.jointcall.columnar.reading.bgzf import block_in
from services.jointcall.columnar.reading.opened import OpenGvcf
from services.jointcall.engines.gvcf import check
from services.jointcall.engines.protocol import GvcfInput
from tests.services.jointcall.columnar.reading.plain import bgzf, of_parsed
from tests.services.jointcall.engines.written import HEADER, block, sequence, write_reference

LENGTH = 60_000
BASES = sequence(LENGTH)


def write(folder: Path, *, size: int) -> GvcfInput:
    """A gVCF of blocks of 20 bases, its BGZF in blocks of `size` bytes."""
    columns = "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "ada"))
    records = (block(BASES, at, at + 19) for at in range(1, LENGTH, 20))
    text = HEADER + "\n".join((f"##contig=<ID=c1,length={LENGTH}>", columns, *records)) + "\n"
    path = folder / "ada.g.vcf.gz"
    path.write_bytes(bgzf(text.encode(), block=size))
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return GvcfInput(name="ada", path=path, index=path.with_name(path.name + ".tbi"))


def addresses(path: Path) -> list[int]:
    """Where the file's blocks begin."""
    content, found, at = path.read_bytes(), [], 0
    while at < len(content):
        found.append(at)
        at += int.from_bytes(content[at + 16 : at + 18], "little") + 1
    return found


@pytest.mark.parametrize("chunk", [200, 1 << 18])
@pytest.mark.parametrize("size", [150, 4000, 60_000])
def test_any_interval_by_index_is_that_of_the_stream(
    size: int, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", chunk)
    gvcf, reference = write(tmp_path, size=size), write_reference(tmp_path, BASES)
    for first, last in ((1, 10), (1, LENGTH), (15, 16_390), (16_385, 16_385), (32_769, 50_000), (59_990, LENGTH)):
        one = target_of(Interval(contig="c1", start=first, end=last, contig_length=LENGTH), reference)
        with gvcf.path.open("rb") as source:
            (streamed,) = parse_stream(source, name="ada", where="x", targets=[one])
        parsed = parse(gvcf, target=one)
        assert of_parsed(parsed) == of_parsed(streamed)
        assert (parsed.found, parsed.gaps) == (streamed.found, ())


def test_a_block_is_inflated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gvcf, reference = write(tmp_path, size=60_000), write_reference(tmp_path, BASES)
    target = target_of(Interval(contig="c1", start=1, end=LENGTH, contig_length=LENGTH), reference)
    inflated: list[int] = []
    inflate = reading._inflated

    def counted(raw: bytes, at: int, size: int, where: str) -> bytearray:
        inflated.append(size)
        return inflate(raw, at, size, where)

    monkeypatch.setattr(reading, "_inflated", counted)
    for chunk in (200, 1 << 18):
        monkeypatch.setattr(reading, "CHUNK", chunk)
        inflated.clear()
        gvcf.path.touch()  # its index is checked anew
        assert parse(gvcf, target=target).found == LENGTH / 20
        # the empty block that ends the file is met by the index's check too
        assert len(inflated) - len(addresses(gvcf.path)) in (0, 1)


def test_its_blocks_are_those_of_the_file(tmp_path: Path) -> None:
    gvcf = write(tmp_path, size=4000)
    rng = random.Random(5)
    starts = addresses(gvcf.path)
    with OpenGvcf(gvcf.path) as opened, gvcf.path.open("rb") as file:
        plain = BlocksOfFile(file)
        assert opened.size == plain.size
        for round in range(2):
            for at in (*starts, starts[3], *(rng.randrange(opened.size + 9) for _ in range(50))):
                assert opened.block(at) == plain.block(at)
            if not round:
                opened.lines.fill()


def test_a_block_with_a_wrong_checksum_is_told_by_who_reads_it(tmp_path: Path) -> None:
    """zlib inflates it all the same, so the index is of this file, and the file is damaged."""
    gvcf, reference = write(tmp_path, size=4000), write_reference(tmp_path, BASES)
    content = bytearray(gvcf.path.read_bytes())
    *_, last, end = addresses(gvcf.path)
    content[end - 8] ^= 1
    gvcf.path.write_bytes(content)
    assert block_in(bytes(content[last:]), last, where="x") is None
    require_tabix_of(gvcf.path, gvcf.index)
    with OpenGvcf(gvcf.path) as opened:
        require_tabix_of(gvcf.path, gvcf.index, blocks=opened)
        assert opened.block(last) is not None
    target = target_of(Interval(contig="c1", start=LENGTH - 9, end=LENGTH, contig_length=LENGTH), reference)
    with pytest.raises(Rejected) as found:
        parse(gvcf, target=target)
    assert found.value.rejection.code == "GZIP_CRC"


def with_junk(index: bytes) -> bytes:
    return index + b"junk"


def cut(index: bytes) -> bytes:
    return index[:-40]


def with_a_wrong_checksum(index: bytes) -> bytes:
    at = len(index) - 28 - 8
    return index[:at] + bytes([index[at] ^ 1]) + index[at + 1 :]


def of_nothing(index: bytes) -> bytes:
    return index[:0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_junk, "BadGzipFile"),
        (cut, "EOFError"),
        (with_a_wrong_checksum, "BadGzipFile"),
        (of_nothing, "error"),
    ],
)
def test_an_index_that_does_not_unpack_is_refused(change: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
    gvcf, reference = write(tmp_path, size=4000), write_reference(tmp_path, BASES)
    gvcf.index.write_bytes(change(gvcf.index.read_bytes()))
    interval = Interval(contig="c1", start=1, end=LENGTH, contig_length=LENGTH)
    with pytest.raises(Rejected) as theirs:
        check(gvcf, interval=interval, reference=reference)
    with pytest.raises(Rejected) as ours:
        parse(gvcf, target=target_of(interval, reference))
    assert ours.value.rejection == theirs.value.rejection
    assert ours.value.rejection.message == f"the index cannot be used ({said})"
