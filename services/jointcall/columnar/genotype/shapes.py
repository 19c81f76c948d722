"""Which alleles stand at which site: the distinct (start, REF, ALTs) of a stretch, and what each means at its own site
and at sites that it spans.

At a site REF is the longest one that starts there, and shorter records' ALTs get the suffix that they miss. A deletion
that reaches over a later site is `*` there; a record's other ALTs say nothing about that site.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype.explicit import PLOIDY, Records
from services.jointcall.columnar.tables import ABSENT, Bytes, Ints, Longs, Variants

STAR = 0
"""The code of `*` in every stretch's strings."""
FIRST_STRINGS = (b"*",)


class Shapes(NamedTuple):
    """s distinct shapes, by start. Lists of shape i are at `rows[i]:rows[i + 1]`; entry j is its ALT j + 1."""

    start: Ints
    end: Ints  # of the longest record of this shape
    site: Ints  # its site's place in `Sites.position`; ABSENT when it has no ALT of its own
    rows: Longs
    extended: Ints  # code of the ALT as it is written at its own site
    deletion: Bytes  # whether that ALT is shorter than its REF: `*` at sites that it spans


class Sites(NamedTuple):
    """m positions where a record with an ALT starts."""

    position: Ints
    reference: Ints  # code of REF


def shapes_of(variants: Variants, strings: list[bytes]) -> tuple[Ints, Shapes, Sites]:
    """The shape of each record, the shapes and the sites. The records are by start. `strings` grows by the alleles that
    are new.

    A record's own `end` may be longer than its REF; the shape's is the longest."""
    shape, first = _distinct(variants.start, variants.ref, variants.alt_rows, variants.alt)
    return shape, *_described(variants, shape, first, strings)


@compiled
def _distinct(start: Ints, ref: Ints, alt_rows: Longs, alt: Ints) -> tuple[Ints, Ints]:
    """The shape of each record, and the first record of each shape."""
    shape, first = np.empty(len(start), np.int32), np.empty(len(start), np.int32)
    shapes = here = 0  # of them from `here` on are of the same start
    for row in range(len(start)):
        if row and start[row] != start[row - 1]:
            here = shapes
        mine = shapes
        for one in range(here, shapes):
            if _alike(ref, alt_rows, alt, row, first[one]):
                mine = one
                break
        if mine == shapes:
            first[shapes] = row
            shapes += 1
        shape[row] = mine
    return shape, first[:shapes]


@compiled
def _alike(ref: Ints, alt_rows: Longs, alt: Ints, row: int, other: int) -> bool:
    a, b = alt_rows[row], alt_rows[other]
    many = alt_rows[row + 1] - a
    same = bool(ref[row] == ref[other] and alt_rows[other + 1] - b == many)
    at = 0
    while same and at < many:
        same = bool(alt[a + at] == alt[b + at])
        at += 1
    return same


def _described(variants: Variants, shape: Ints, first: Ints, strings: list[bytes]) -> tuple[Shapes, Sites]:
    codes = {text: code for code, text in enumerate(strings)}
    refs = variants.ref[first].tolist()
    starts = variants.start[first].tolist()
    alts = [
        variants.alt[a:b].tolist()
        for a, b in zip(variants.alt_rows[first].tolist(), variants.alt_rows[first + 1].tolist(), strict=True)
    ]
    longest: dict[int, bytes] = {}
    for start, ref, mine in zip(starts, refs, alts, strict=True):
        if mine and len(strings[ref]) > len(longest.get(start, b"")):
            longest[start] = strings[ref]
    # a record without an ALT of its own can still have the longest REF of a site
    for start, ref, mine in zip(starts, refs, alts, strict=True):
        if not mine and start in longest and len(strings[ref]) > len(longest[start]):
            longest[start] = strings[ref]
    positions = {start: at for at, start in enumerate(longest)}
    rows, extended, deletion, site = [0], [], [], []
    for start, ref, mine in zip(starts, refs, alts, strict=True):
        site.append(positions.get(start, -1))
        suffix = longest[start][len(strings[ref]) :] if mine else b""
        deletion += _gone(strings[ref], [strings[code] for code in mine])
        extended += [_code(_lengthened(strings[code], suffix), codes, strings) if suffix else code for code in mine]
        rows.append(len(extended))
    ends = np.full(len(first), 0, np.int32)
    np.maximum.at(ends, shape, variants.end)
    shapes = Shapes(
        start=np.array(starts, np.int32),
        end=ends,
        site=np.array(site, np.int32),
        rows=np.array(rows, np.int64),
        extended=np.array(extended, np.int32),
        deletion=np.array(deletion, np.uint8),
    )
    reference = np.array([_code(text, codes, strings) for text in longest.values()], np.int32)
    return shapes, Sites(position=np.array(list(longest), np.int32), reference=reference)


def _lengthened(alt: bytes, suffix: bytes) -> bytes:
    return alt if alt == b"*" or alt.startswith(b"<") else alt + suffix


def _gone(ref: bytes, alts: list[bytes]) -> list[bool]:
    """Whether each ALT stands for missing bases downstream: shorter than REF, or, beside such an ALT, one of the same
    length that differs in more than one base."""
    shorter = [len(alt) < len(ref) and not alt.startswith(b"<") for alt in alts]
    if not any(shorter):
        return shorter
    return [
        short or (len(alt) == len(ref) and sum(a != b for a, b in zip(alt, ref, strict=True)) > 1)
        for alt, short in zip(alts, shorter, strict=True)
    ]


@compiled
def stars_of(records: Records, shape: Ints, shapes: Shapes) -> Ints:
    """Of each record, the local allele that is `*` at sites that it spans: the deletion that is likeliest when there is
    nothing else, the first of equals; ABSENT when it has none."""
    out = np.full(len(shape), np.int32(ABSENT), np.int32)
    for row in range(len(shape)):
        which = shape[row]
        if which < 0:
            continue
        begin = shapes.rows[which]
        pl, pl_end = records.pl_rows[row], records.pl_rows[row + 1]
        least = np.int32(0x7FFFFFFF)
        for at in range(begin, shapes.rows[which + 1]):
            if not shapes.deletion[at]:
                continue
            allele = at - begin + 1
            place = allele if records.figures[row, PLOIDY] == 1 else (allele + 1) * (allele + 2) // 2 - 1
            mine = records.pl[pl + place] if pl + place < pl_end else np.int32(0x7FFFFFFE)
            if mine < least:
                least = mine
                out[row] = allele
    return out


def _code(text: bytes, codes: dict[bytes, int], strings: list[bytes]) -> int:
    code = codes.get(text)
    if code is None:
        code = codes[text] = len(strings)
        strings.append(text)
    return code
