"""However the intervals and the density lie, a plan covers each base once, in order, in pieces of bounded work."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.settings import JointcallSettings
from contracts.values import Interval
from services.jointcall.intervals import BASES_PER_VARIANT, Sizes, chunks, cover_alike, plan

LENGTH = 1_000_000


def on(contig: str, start: int, end: int) -> Interval:
    return Interval(contig=contig, start=start, end=end, contig_length=LENGTH)


@st.composite
def disjoint(draw: st.DrawFn) -> list[Interval]:
    found: list[Interval] = []
    for contig in ("c2", "c1"):
        at = 1
        for _ in range(draw(st.integers(0, 4))):
            start = at + draw(st.integers(0, 5000))
            end = start + draw(st.integers(0, 20_000))
            found.append(on(contig, start, end))
            at = end + 1
    return found


@given(
    intervals=disjoint(),
    measured=disjoint(),
    counts=st.lists(st.integers(0, 2000), min_size=8, max_size=8),
    max_bp=st.integers(1, 9000),
)
def test_each_base_is_planned_once_in_order(
    intervals: list[Interval], measured: list[Interval], counts: list[int], max_bp: int
) -> None:
    density = dict(zip(measured, counts, strict=False))
    planned = plan(reference_intervals=intervals, max_bp=max_bp, density=density)
    assert [one.index for one in planned] == list(range(len(planned)))
    assert all(1 <= one.interval.length <= max_bp for one in planned)
    glued: list[Interval] = []
    for piece in (one.interval for one in planned):
        if glued and glued[-1].contig == piece.contig and glued[-1].end + 1 == piece.start:
            glued[-1] = on(piece.contig, glued[-1].start, piece.end)
        else:
            glued.append(piece)
    assert sum(one.length for one in glued) == sum(one.length for one in intervals)
    assert all(
        any(one.contig == g.contig and g.start <= one.start and one.end <= g.end for g in glued) for one in intervals
    )


def test_without_density_work_is_length() -> None:
    planned = plan(reference_intervals=[on("c1", 1, 10_000), on("c2", 1, 2500)], max_bp=4000)
    assert [str(one.interval) for one in planned] == ["c1:1-3333", "c1:3334-6666", "c1:6667-10000", "c2:1-2500"]
    assert [one.predicted_work for one in planned] == [3333, 3333, 3334, 2500]


def test_contigs_stay_in_the_references_order_and_starts_are_sorted() -> None:
    planned = plan(reference_intervals=[on("c9", 500, 600), on("c10", 1, 100), on("c9", 1, 100)], max_bp=1000)
    assert [str(one.interval) for one in planned] == ["c9:1-100", "c9:500-600", "c10:1-100"]


def test_a_dense_stretch_is_cut_shorter_and_predicted_to_be_as_much_work() -> None:
    """Ten times the density on the second half: nearly all cuts fall there, and no piece is more than a mean one."""
    sparse, dense = on("c1", 1, 100_000), on("c1", 100_001, 200_000)
    density = {sparse: 1000, dense: 10_000}
    planned = plan(reference_intervals=[on("c1", 1, 200_000)], max_bp=50_000, density=density)
    in_sparse = [one for one in planned if one.interval.end <= 101_000]
    in_dense = [one for one in planned if one.interval.start > 99_000]
    assert max(one.interval.length for one in in_dense) < min(one.interval.length for one in in_sparse)
    mean = (200_000 + BASES_PER_VARIANT * 11_000) / 200_000
    assert all(one.predicted_work <= 50_000 * mean * 1.001 for one in planned)


def test_predicted_work_adds_up_whatever_the_cuts() -> None:
    density = {on("c1", 1, 5000): 40, on("c1", 7001, 9000): 400}
    works = {
        sum(one.predicted_work for one in plan(reference_intervals=[on("c1", 1, 10_000)], max_bp=size, density=density))
        for size in (10_000, 5000, 2500)
    }
    assert max(works) - min(works) <= 20  # each piece rounds down


def test_overlapping_intervals_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        plan(reference_intervals=[on("c1", 1, 100), on("c1", 100, 200)], max_bp=50)


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_are_positive(size: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        plan(reference_intervals=[on("c1", 1, 100)], max_bp=size)
    with pytest.raises(ValueError, match="positive"):
        chunks(on("c1", 1, 100), size)


@given(start=st.integers(1, 1000), length=st.integers(1, 5000), chunk_bp=st.integers(1, 6000))
def test_chunks_cover_the_interval_evenly(start: int, length: int, chunk_bp: int) -> None:
    whole = on("c1", start, start + length - 1)
    cut = chunks(whole, chunk_bp)
    assert cut[0].start == whole.start
    assert cut[-1].end == whole.end
    assert all(one.end + 1 == after.start for one, after in pairwise(cut))
    assert max(one.length for one in cut) <= chunk_bp
    assert max(one.length for one in cut) - min(one.length for one in cut) <= 1


def test_the_columnar_engine_takes_more_at_a_time() -> None:
    settings, many = JointcallSettings(), 11_238
    gatk, columnar = (Sizes.of(settings, samples=many, engine=engine) for engine in ("gatk", "columnar"))
    assert columnar == Sizes(interval_bp=1_000_000, chunk_bp=88_983)
    assert gatk == Sizes.of(settings, samples=many)
    assert Sizes.of(settings, samples=1, engine="columnar") == Sizes.of(settings, samples=1), "bases bound both"


def test_intervals_that_were_cut_otherwise_cover_the_same() -> None:
    whole = [on("c1", 1, 100), on("c2", 5, 50)]
    assert cover_alike([on("c2", 5, 50), on("c1", 41, 100), on("c1", 1, 40)], whole)
    assert not cover_alike([on("c1", 1, 40), on("c1", 42, 100), on("c2", 5, 50)], whole)
    assert not cover_alike(whole[:1], whole)


@pytest.mark.parametrize(
    ("samples", "interval_bp", "chunk_bp"),
    [(1, 1_000_000, 250_000), (800, 1_000_000, 250_000), (11_238, 222_459, 17_796), (10_000_000, 100_000, 5_000)],
)
def test_a_larger_cohort_is_cut_finer(samples: int, interval_bp: int, chunk_bp: int) -> None:
    assert Sizes.of(JointcallSettings(), samples=samples) == Sizes(interval_bp=interval_bp, chunk_bp=chunk_bp)
