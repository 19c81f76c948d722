"""Samples end to end are the samples."""

from __future__ import annotations

import io

import numpy as np
import pytest

from services.jointcall.columnar.reading import Parsed, parse_stream
from services.jointcall.columnar.reading.cutting import windows_in, windows_of
from services.jointcall.columnar.reading.gathering import Group
from tests.services.jointcall.columnar.reading import written
from tests.services.jointcall.columnar.reading.plain import bgzf
from tests.services.jointcall.columnar.reading.written import LENGTH, header, target


def parsed(seed: int, *, first: int = 1) -> Parsed:
    text = header(contigs=(("c1", LENGTH),)) + "".join(line + "\n" for line in written.lines(seed, contig="c1"))
    (one,) = parse_stream(io.BytesIO(bgzf(text.encode())), name="ada", where="x", targets=[target("c1", first)])
    return one


@pytest.mark.parametrize(("expected", "most"), [(1, 0), (40, 1 << 20), (40, 5000), (3, 1 << 20)])
def test_every_sample_is_where_it_is_said_to_be(expected: int, most: int) -> None:
    samples = [parsed(seed) for seed in range(40)]
    group = Group(samples=expected, most=most)
    for number, sample in enumerate(samples, start=1):
        group.add(sample)
        assert len(group) == number
    assert group.bytes == sum(one.nbytes for sample in samples for one in (*sample.blocks, *sample.records))
    assert group.block_rows == sum(len(sample.blocks.start) for sample in samples)
    gathered = group.gathered()
    assert (len(group), group.bytes, group.block_rows) == (0, 0, 0)
    for at, sample in enumerate(samples):
        own = slice(gathered.rows[at], gathered.rows[at + 1])
        for mine, theirs in zip(gathered.blocks, sample.blocks, strict=True):
            assert np.array_equal(mine[own], theirs)
        begin, end = gathered.record_rows[at], gathered.record_rows[at + 1]
        assert np.array_equal(gathered.records.figures[begin:end], sample.records.figures)
        assert np.array_equal(gathered.records.ranked[begin:end], sample.records.ranked, equal_nan=True)
        lists = slice(gathered.list_ends[begin], gathered.list_ends[end])
        assert np.array_equal(gathered.records.lists[lists], sample.records.lists)
        heap = slice(gathered.heap_ends[begin], gathered.heap_ends[end])
        assert np.array_equal(gathered.records.heap[heap], sample.records.heap)


def test_a_group_is_used_again() -> None:
    group = Group()
    group.add(parsed(1))
    first = group.gathered()
    kept = first.blocks.start.copy()
    group.add(parsed(2))
    assert np.array_equal(first.blocks.start, kept)
    assert np.array_equal(group.gathered().blocks.start, parsed(2).blocks.start)


def test_what_no_window_can_be_cut_from_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample"):
        Group().gathered()
    with pytest.raises(ValueError, match="over less than 1-300"):
        next(windows_of([parsed(1), parsed(2, first=50)], first=1, last=LENGTH, window_bp=100))
    group = Group()
    group.add(parsed(1))
    with pytest.raises(ValueError, match="65536"):
        next(windows_in(group.gathered(), first=1, last=LENGTH, window_bp=65_536))
