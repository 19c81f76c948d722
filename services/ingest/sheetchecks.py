"""Rows of a sample sheet that contradict one another: a sample twice in a lane, indexes that cannot be told apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

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
        for row, opposite in _alike(beside):
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


def _alike(beside: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Each row of a lane whose index agrees, as far as both go, with one of a different sample, with such a one.

    Indexes of a lane have one or two lengths. Rows of two lengths are compared by what both have, in a table: 10,000
    rows without any index are 50 million pairs, and one look at each row.
    """
    by_length: dict[tuple[int, int], list[Row]] = {}
    for row in beside:
        first, second = _parts(row)
        by_length.setdefault((len(first), len(second)), []).append(row)
    for one, other in combinations_with_replacement(by_length, 2):
        lengths = min(one[0], other[0]), min(one[1], other[1])
        yield from _met(by_length[one], by_length[other], lengths)
        if one != other:
            yield from _met(by_length[other], by_length[one], lengths)


def _met(rows: Sequence[Row], others: Sequence[Row], lengths: tuple[int, int]) -> Iterator[tuple[Row, Row]]:
    # two of different samples are enough: one of them is not the row's own
    standing: dict[tuple[str, str], list[Row]] = {}
    for other in others:
        there = standing.setdefault(_cut(other, lengths), [])
        if not there or (len(there) == 1 and _sample(there[0]) != _sample(other)):
            there.append(other)
    for row in rows:
        for other in standing.get(_cut(row, lengths), ()):
            if _sample(other) != _sample(row):
                yield row, other
                break


def _cut(row: Row, lengths: tuple[int, int]) -> tuple[str, str]:
    first, second = _parts(row)
    return first[: lengths[0]], second[: lengths[1]]


def _sample(row: Row) -> tuple[str, str]:
    return row.project, row.sample


def _parts(row: Row) -> tuple[str, str]:
    if row.index == "none":
        return "", ""
    first, _, second = row.index.partition("+")
    return first, second
