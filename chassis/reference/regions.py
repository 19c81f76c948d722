"""Regions that calling is limited to (an exome's targets): BED, or Picard's interval list.

A BED counts from 0 and leaves its end out; an interval list counts from 1 and includes it. A file of one kind under the
other's name shifts every edge by a base and says nothing. What gives it away: a start of 0 in an interval list; in a
BED, an empty region (one base, counted from 1), a contig taken whole from its second base to its last, or regions that
follow one another with one base left out each time.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from chassis.errors import Rejected, reject

Stretch = tuple[int, int]
"""0-based, half-open."""
ABUTTING = 2
"""So many pairs that leave out one base each, and none that joins, are no accident."""


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    contig: str
    start: int
    end: int


def read_regions(path: Path, *, lengths: Mapping[str, int]) -> dict[str, tuple[Stretch, ...]]:
    """By contig: sorted, joined where they overlap or touch, 0-based and half-open.

    `lengths`: of the reference's contigs. Raises Rejected, naming the line: FORMAT_MISMATCH, BUILD_MISMATCH for a
    contig that the reference has not, INTERVAL_BOUNDS, BED_COORDINATES, EMPTY_INPUT.
    """
    name = path.name.removesuffix(".gz")
    if not name.endswith((".bed", ".interval_list")):
        raise _refused(
            path.name,
            code="FORMAT_MISMATCH",
            message="its name does not say what it is",
            rule="regions are a BED (.bed) or an interval list (.interval_list): the two count differently",
            fix="name the file by its format",
        )
    from_one = name.endswith(".interval_list")
    found = list(_lines(path, from_one=from_one))
    if not found:
        raise _refused(
            path.name,
            code="EMPTY_INPUT",
            message="it holds no region",
            rule="regions name at least one",
            fix="give the file with its regions, or none to call everywhere",
        )
    for line in found:
        _check(path, line, lengths, from_one=from_one)
    if not from_one:
        _check_tiling(path, found)
    return _joined(found, from_one=from_one)


def _lines(path: Path, *, from_one: bool) -> Iterator[_Line]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as text:
        for number, raw in enumerate(text, start=1):
            words = raw.rstrip("\r\n").split("\t")
            if raw.startswith(("@HD", "@SQ")) and not from_one:
                raise _counted(path, number, "it has an interval list's header")
            if not raw.strip() or raw.startswith(("#", "@", "track", "browser")):
                continue
            if len(words) < 3 or not (words[1].isdigit() and words[2].isdigit()):
                raise _refused(
                    f"{path.name}, line {number}",
                    code="FORMAT_MISMATCH",
                    message="a line is no region",
                    rule="contig, start and end, tab-separated; start and end are numbers",
                    fix="mend the line, or give a BED",
                )
            yield _Line(number, words[0], int(words[1]), int(words[2]))


def _check(path: Path, line: _Line, lengths: Mapping[str, int], *, from_one: bool) -> None:
    length = lengths.get(line.contig)
    if length is None:
        raise _refused(
            f"{path.name}, line {line.number}",
            code="BUILD_MISMATCH",
            message="its contig is not in the reference",
            rule="regions and reference are of one build and name contigs alike",
            fix="give the regions of this reference",
        )
    if from_one and line.start == 0:
        raise _counted(path, line.number, "it starts at 0, and an interval list counts from 1")
    if not from_one and line.start == line.end:
        raise _counted(path, line.number, "start and end are one: empty in a BED, a base where one counts from 1")
    if not from_one and line.start == 1 and line.end == length:
        raise _counted(path, line.number, "it takes the contig whole but for its first base")
    if line.start > line.end or line.end > length:
        raise _refused(
            f"{path.name}, line {line.number}",
            code="INTERVAL_BOUNDS",
            message=f"{line.start} to {line.end} does not lie in a contig of {length} bases",
            rule=f"start before end, and no end beyond {length}",
            fix="mend the line, or give the regions of this reference",
        )


def _check_tiling(path: Path, found: list[_Line]) -> None:
    apart = [
        after.number
        for before, after in pairwise(found)
        if before.contig == after.contig and after.start == before.end + 1
    ]
    joined = any(before.contig == after.contig and after.start == before.end for before, after in pairwise(found))
    if len(apart) >= ABUTTING and not joined:
        raise _counted(path, apart[0], "regions that follow one another leave one base out each time")


def _joined(found: list[_Line], *, from_one: bool) -> dict[str, tuple[Stretch, ...]]:
    by_contig: dict[str, list[Stretch]] = {}
    for line in sorted(found, key=lambda line: (line.contig, line.start, line.end)):
        start = line.start - 1 if from_one else line.start
        stretches = by_contig.setdefault(line.contig, [])
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = stretches[-1][0], max(stretches[-1][1], line.end)
        else:
            stretches.append((start, line.end))
    return {contig: tuple(stretches) for contig, stretches in by_contig.items()}


def _counted(path: Path, number: int, message: str) -> Rejected:
    return _refused(
        f"{path.name}, line {number}",
        code="BED_COORDINATES",
        message=message,
        rule="a BED counts from 0 and leaves its end out; an interval list counts from 1 and includes it",
        fix="name the file by how it counts (.bed or .interval_list), or subtract 1 from each start of a BED",
    )


def _refused(where: str, *, code: str, message: str, rule: str, fix: str) -> Rejected:
    return reject(code=code, message=message, where=where, rule=rule, fix=fix)
