"""Rows of a sample sheet that contradict one another: a sample twice in a lane, indexes that cannot be told apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from chassis.errors import Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row as the sheet has it. `lane` is text, "" for all lanes; `index` is `none` or joined with `+`."""

    line: int
    lane: str
    sample: str
    stem: str
    project: str
    library: str
    index: str

    def lane_numbers(self, lanes: int | None) -> tuple[int, ...]:
        """The lanes that the row is about; none when the cell holds no number."""
        if not self.lane:
            return tuple(range(1, (lanes or 1) + 1))
        return (int(self.lane),) if re.fullmatch(r"[0-9]{1,2}", self.lane) else ()


def duplicated(rows: Sequence[Row], *, name: str) -> Rejection | None:
    """SHEET_DUPLICATE when two of a sample's rows (with checked lanes) are about one lane: the converter writes one
    pair of files for both."""
    for one, other in combinations(rows, 2):
        if not one.lane or not other.lane or int(one.lane) == int(other.lane):
            return Rejection(
                code="SHEET_DUPLICATE",
                message=f"the sample is in this lane already, in line {one.line}",
                where=f"{name}, line {other.line}",
                rule="a sample stands once in a lane",
                fix="take one of the two rows out, or give the other sample its own id",
            )
    return None


def colliding(rows: Iterable[Row], *, lanes: int | None, name: str) -> dict[tuple[str, str], Rejection]:
    """SHEET_INDEX by (project, sample) for each sample whose reads cannot be told from another's in some lane.

    Two index pairs collide at Hamming distance 0 in both indexes, over the shorter one's length where lengths differ
    (the instrument reads on into the adapter); mixed lengths as such are fine. No index collides with every index.
    """
    by_lane: dict[int, list[Row]] = {}
    for row in rows:
        for lane in row.lane_numbers(lanes):
            by_lane.setdefault(lane, []).append(row)
    found: dict[tuple[str, str], Rejection] = {}
    for lane, beside in by_lane.items():
        for one, other in _pairs_alike(beside):
            for row, opposite in ((one, other), (other, one)):
                found.setdefault(
                    (row.project, row.sample),
                    Rejection(
                        code="SHEET_INDEX",
                        message=f"in lane {lane} the index cannot be told from that of line {opposite.line}",
                        where=f"{name}, line {row.line}",
                        rule="the indexes of a lane differ in at least one base",
                        fix="correct the index; if two libraries really share it, their reads cannot be separated",
                    ),
                )
    return found


def _pairs_alike(beside: Sequence[Row]) -> Iterable[tuple[Row, Row]]:
    """Pairs of different samples of a lane with indexes that agree as far as both go.

    Sorted by the first index, those that agree with a row's (one begins the other) follow it at once, so that a lane of
    10,000 rows needs no 50 million comparisons.
    """
    ordered = sorted(beside, key=lambda row: _parts(row)[0])
    for place, one in enumerate(ordered):
        first, second = _parts(one)
        for other in ordered[place + 1 :]:
            other_first, other_second = _parts(other)
            if not other_first.startswith(first):
                break
            alike = _begins(second, other_second)
            if alike and (one.project, one.sample) != (other.project, other.sample):
                yield one, other


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _parts(row: Row) -> tuple[str, str]:
    if row.index == "none":
        return "", ""
    first, _, second = row.index.partition("+")
    return first, second
