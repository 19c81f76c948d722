"""Windows are cut, and put side by side, without a change of what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.jointcall.columnar.store.windows import beside, narrowed, spans
from services.jointcall.columnar.tables import CONTINUED, RANKED, Window
from tests.services.jointcall.columnar.store.made import made_window

Record = tuple[Any, ...]


def blocks_of(window: Window, sample: int) -> list[Record]:
    """(first, last, continued, other columns) of each block."""
    b = window.blocks
    starts, ends = spans(b, first=window.first)
    rows = range(b.rows[sample], b.rows[sample + 1])
    rest = [
        (int(b.form[i]) & ~CONTINUED, *(int(c[i]) for c in (b.gq, b.min_dp, b.dp, b.pl0, b.pl1, b.pl2))) for i in rows
    ]
    return [(int(starts[i]), int(ends[i]), bool(b.form[i] & CONTINUED), *of) for i, of in zip(rows, rest, strict=True)]


def explicit_of(window: Window, sample: int) -> list[Record]:
    """Records with their strings spelt out."""
    v = window.variants

    def spelt(code: int) -> bytes | None:
        return None if code == -1 else window.strings[code]

    return [
        (
            int(v.start[i]),
            int(v.end[i]),
            *(spelt(int(column[i])) for column in (v.ref, v.pgt, v.pid, v.id)),
            tuple(spelt(int(code)) for code in v.alt[v.alt_rows[i] : v.alt_rows[i + 1]]),
            tuple(v.ad[v.ad_rows[i] : v.ad_rows[i + 1]].tolist()),
            tuple(v.pl[v.pl_rows[i] : v.pl_rows[i + 1]].tolist()),
            *(int(column[i]) for column in (v.flags, v.ploidy, v.gq, v.dp, v.min_dp, v.ps, v.info_dp)),
            *(int(column[i]) for column in (v.mq_sum, v.mq_depth)),
            tuple(v.gt[i].tolist()),
            tuple(v.sb[i].tolist()),
            v.ranked[i].tobytes(),
        )
        for i in range(v.rows[sample], v.rows[sample + 1])
    ]


def said(window: Window, sample: int) -> tuple[list[Record], list[Record]]:
    return blocks_of(window, sample), explicit_of(window, sample)


@settings(max_examples=30, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**31), min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_samples_side_by_side_say_what_they_said_apart(seeds: list[int], order: Any) -> None:
    windows = [made_window(seed=seed, samples=1 + seed % 3) for seed in seeds]
    places = [(which, sample) for which, window in enumerate(windows) for sample in range(window.blocks.rows.size - 1)]
    order.shuffle(places)
    chosen = places[: max(1, len(places) - 1)]
    joined = beside(windows, chosen)
    for new, (which, sample) in enumerate(chosen):
        assert said(joined, new) == said(windows[which], sample)
    assert joined.blocks.rows.size == joined.variants.rows.size == len(chosen) + 1
    assert list(joined.strings) == sorted(set(joined.strings))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), edge=st.integers(1, 511))
def test_the_parts_of_a_window_hold_what_the_window_holds(seed: int, edge: int) -> None:
    window = made_window(seed=seed, samples=3, first=513, last=1024, records=60)
    left = narrowed(window, first=513, last=512 + edge)
    right = narrowed(window, first=513 + edge, last=1024)
    border = 513 + edge
    for sample in range(3):
        blocks, explicit = said(window, sample)
        expected_left = [(s, min(e, border - 1), *rest) for s, e, *rest in blocks if s < border]
        expected_right = [(max(s, border), e, c or s < border, *rest) for s, e, c, *rest in blocks if e >= border]
        assert blocks_of(left, sample) == expected_left
        assert blocks_of(right, sample) == expected_right
        assert explicit_of(left, sample) == [record for record in explicit if record[0] < border]
        # a record from upstream is there if it reaches in and nothing of the sample began behind it
        starts = sorted([s for s, *_ in blocks] + [record[0] for record in explicit])
        latest = max([s for s in starts if s < border], default=0)
        expected = [r for r in explicit if r[0] >= border or (r[0] == latest and r[1] >= border)]
        assert explicit_of(right, sample) == expected


def test_the_whole_of_a_window_is_itself_and_another_stretch_is_refused() -> None:
    window = made_window(seed=1, samples=2)
    assert narrowed(window, first=1, last=1024) is window
    with pytest.raises(ValueError, match="no part"):
        narrowed(window, first=1, last=1025)
    with pytest.raises(ValueError, match="one stretch"):
        beside([window, made_window(seed=1, samples=1, last=2048)], [(0, 0)])


def test_windows_without_rows_go_side_by_side() -> None:
    empty = made_window(seed=1, samples=2, records=0)
    joined = beside([empty, empty], [(1, 0), (0, 1)])
    assert joined.blocks.gap.size == 0
    assert joined.variants.ranked.shape == (joined.variants.start.size, len(RANKED))
    assert joined.variants.gt.dtype == np.int8
