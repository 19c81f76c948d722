"""Columns hold what the text says: compared with a slow reading of the same text."""

from __future__ import annotations

import gzip
import io
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.values import Interval
from services.jointcall.columnar.reading import bgzf as reading
from services.jointcall.columnar.reading import parse, parse_stream, target_of, windows_of
from tests.services.jointcall.columnar.reading import written
from tests.services.jointcall.columnar.reading.plain import bgzf, known, known_at, of_parsed, of_window, record_of
from tests.services.jointcall.columnar.reading.written import LENGTH, header, target
from tests.services.jointcall.cropped import CONTIG, crop
from tests.services.jointcall.engines.written import local_reference

CONTIGS = st.sampled_from(["c1", "chrX"])
SEEDS = st.integers(0, 2**32)


def stream(lines: list[str], contig: str, *, block: int = 60_000) -> io.BytesIO:
    text = header(contigs=((contig, LENGTH),)) + "".join(line + "\n" for line in lines)
    return io.BytesIO(bgzf(text.encode(), block=block))


@given(SEEDS, CONTIGS, st.integers(1, LENGTH), st.integers(0, LENGTH))
@settings(max_examples=60, deadline=None)
def test_columns_hold_what_the_text_says(seed: int, contig: str, first: int, length: int) -> None:
    last = min(first + length, LENGTH)
    lines = written.lines(seed, contig=contig)
    (parsed,) = parse_stream(stream(lines, contig), name="ada", where="x", targets=[target(contig, first, last)])
    assert of_parsed(parsed) == known(map(record_of, lines), first=first, last=last)
    starts = [int(line.split("\t")[1]) for line in lines]
    assert parsed.found == sum(first <= at <= last for at in starts)


@given(st.lists(SEEDS, min_size=1, max_size=3), CONTIGS, st.integers(1, LENGTH))
@settings(max_examples=20, deadline=None)
def test_windows_of_any_size_say_the_same_of_every_base(seeds: list[int], contig: str, window_bp: int) -> None:
    cohort = [written.lines(seed, contig=contig) for seed in seeds]
    samples = [
        parsed
        for lines in cohort
        for parsed in parse_stream(stream(lines, contig), name="ada", where="x", targets=[target(contig)])
    ]
    plain = [known(map(record_of, lines), first=1, last=LENGTH) for lines in cohort]
    behind = 1
    for window in windows_of(samples, first=1, last=LENGTH, window_bp=window_bp):
        assert window.first == behind
        behind = window.last + 1
        assert len(set(window.strings)) == len(window.strings)
        for sample, records in enumerate(plain):
            mine = of_window(window, sample)
            for at in range(window.first, behind):
                assert known_at(mine, at) == known_at(records, at)
            before = [one for one in records if one.start < window.first]
            assert [one for one in mine if one.start < window.first] in ([], before[-1:])
    assert behind == LENGTH + 1


@given(SEEDS, CONTIGS, st.lists(st.integers(2, LENGTH), unique=True, max_size=5).map(sorted))
@settings(max_examples=30, deadline=None)
def test_a_stream_read_in_stretches_is_each_stretch_read_alone(seed: int, contig: str, edges: list[int]) -> None:
    lines = written.lines(seed, contig=contig)
    targets = [target(contig, first, behind - 1) for first, behind in pairwise([1, *edges, LENGTH + 1])]
    together = list(parse_stream(stream(lines, contig), name="ada", where="x", targets=targets))
    for one, parsed in zip(targets, together, strict=True):
        (alone,) = parse_stream(stream(lines, contig), name="ada", where="x", targets=[one])
        assert of_parsed(parsed) == of_parsed(alone)
        assert (parsed.found, parsed.variants, parsed.gaps) == (alone.found, alone.variants, alone.gaps)


@pytest.mark.parametrize("block", [7, 100, 1000])
def test_lines_may_be_cut_by_blocks_and_by_chunks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        f"c1\t{at}\t.\t{written.BASES[at - 1]}\t<NON_REF>\t.\t.\tEND={at + 2}\tGT:GQ\t0/0:{at % 99}"
        for at in range(1, 290, 3)
    ]
    (whole,) = parse_stream(stream(lines, "c1"), name="ada", where="x", targets=[target("c1")])
    monkeypatch.setattr(reading, "CHUNK", 150)
    monkeypatch.setattr(reading, "_READ", 11)
    (cut,) = parse_stream(stream(lines, "c1", block=block), name="ada", where="x", targets=[target("c1")])
    assert len(cut.blocks.start) == len(lines)
    assert of_parsed(cut) == of_parsed(whole)


def test_contigs_that_are_not_asked_for_are_passed_over() -> None:
    contigs = (("c1", LENGTH), ("c2", LENGTH), ("c3", LENGTH), ("c4", LENGTH))
    block = "{}\t5\t.\t{}\t<NON_REF>\t.\t.\tEND={}\tGT:GQ\t0/0:9\n"
    text = "".join(block.format(contig, written.BASES[4], end) for contig, end in (("c1", 9), ("c2", 7), ("c3", 8)))
    source = io.BytesIO(bgzf((header(contigs=contigs) + text).encode()))
    targets = [target(contig, contigs=contigs) for contig in ("c2", "c4")]
    second, fourth = parse_stream(source, name="ada", where="x", targets=targets)
    assert second.blocks.end.tolist() == [7]
    assert second.gaps == ((1, 4), (8, LENGTH))
    assert fourth.found == 0 and fourth.gaps == ((1, LENGTH),)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


def test_real_gvcfs_by_index_and_as_streams(real: Path) -> None:
    cropped = crop(real, samples=24)
    reference = local_reference(cropped.fasta)
    stretches = [(1, 100_000), (100_001, 190_050), (190_051, 210_000)]
    targets = [
        target_of(Interval(contig=CONTIG, start=first, end=last, contig_length=210_000), reference)
        for first, last in stretches
    ]
    assert len(cropped.gvcfs) >= 10
    for gvcf in cropped.gvcfs:
        records = [record_of(line.decode()) for line in _records(gvcf.path)]
        with gvcf.path.open("rb") as source:
            streamed = list(parse_stream(source, name=gvcf.name, where=gvcf.path.name, targets=targets))
        for (first, last), one, beside in zip(stretches, targets, streamed, strict=True):
            parsed = parse(gvcf, target=one)
            assert of_parsed(parsed) == known(records, first=first, last=last)
            assert all((mine == theirs).all() for mine, theirs in zip(parsed.blocks, beside.blocks, strict=True))
            assert parsed.gaps == beside.gaps


def _records(path: Path) -> list[bytes]:
    with gzip.open(path) as stream:
        return [line.rstrip() for line in stream if not line.startswith(b"#")]
