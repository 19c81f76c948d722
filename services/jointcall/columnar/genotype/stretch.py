"""A stretch of a contig, all samples: from the windows of the batches to called sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import walk as walking
from services.jointcall.columnar.genotype.cells import Alleles, Cells, alleles_of, sorted_cells
from services.jointcall.columnar.genotype.explicit import Records, records_of
from services.jointcall.columnar.genotype.ordering import by_start
from services.jointcall.columnar.genotype.powers import likelihoods
from services.jointcall.columnar.genotype.shapes import FIRST_STRINGS, Shapes, Sites, shapes_of, stars_of
from services.jointcall.columnar.genotype.sites import LEFT_OUT, NOT_WRITTEN, Called, Pooled, call
from services.jointcall.columnar.genotype.walk import Dense, Found, fill, walk
from services.jointcall.columnar.store.windows import picked
from services.jointcall.columnar.tables import (
    ABSENT,
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    Blocks,
    Bytes,
    Ints,
    Longs,
    Variants,
    Window,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A batch's window. `columns[i]` is the place of its sample i in the cohort, `masked[i]` whether it is out."""

    window: Window
    columns: Ints
    masked: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Called sites, by position, with all that is needed to write them. `strings` are what allele codes name; `written`
    are the places of the sites that are records, and the rows of `dense`."""

    positions: Ints
    strings: list[bytes]
    alleles: Alleles
    cells: Cells
    shape: Ints
    shapes: Shapes
    star: Ints
    variants: Variants
    records: Records
    called: Called
    written: Ints
    dense: Dense
    open_until: int


def genotype(
    pieces: Sequence[Piece],
    *,
    first: int,
    last: int,
    samples: int,
    open_until: int = 0,
    want_dense: bool = True,
    bases: bytes = b"",
) -> Stretch:
    """Sites from `first` to `last` (1-based, inclusive) of `samples` samples in cohort order.

    The windows cover the stretch, and records that reach into it from upstream are in them. `open_until` is what the
    stretch in front returned. With `bases`, the reference from `first` to `last`, every one of them is a
    site. With `want_dense` what stands in the columns of samples that a block covers is kept too."""
    for piece in pieces:
        # compiled code would write elsewhere
        if (piece.columns[piece.masked == 0] >= samples).any():
            raise ValueError(f"a batch's sample has a column beyond the {samples} of the cohort")
    strings = list(FIRST_STRINGS)
    pieces = [_counting(piece) for piece in pieces]
    variants, offsets = _together(pieces, strings)
    variants, place = by_start(variants)
    shape, shapes, sites = shapes_of(variants, strings)
    inside = (sites.position >= first) & (sites.position <= last)
    shapes, sites = _only(shapes, sites, inside)
    if bases:
        shapes, sites = _every(shapes, sites, bases, first, strings)
    m = len(sites.position)
    plain = np.zeros((m, 256), np.int32)
    depths, covered = np.zeros(m, np.int64), np.zeros(m, np.int64)
    found: list[Found] = []
    for piece, offset in zip(pieces, offsets, strict=True):
        found.append(_walked(piece, place[offset:], sites.position, plain, depths, covered))
    variants, singles = _with_blocks(variants, pieces, found)
    shape = np.concatenate([shape, np.full(len(singles[0]), ABSENT, np.int32)])
    cells = sorted_cells(
        m,
        samples,
        np.concatenate([*(one.cell_site for one in found), singles[0]]),
        np.concatenate([*(one.cell_sample for one in found), singles[1]]),
        np.concatenate([*(one.cell_row for one in found), singles[2]]),
    )
    records = records_of(variants)
    star = stars_of(records, shape, shapes)
    alleles = alleles_of(sites.reference, cells, shape, shapes, star)
    rows, key, count = _counted(
        m, np.concatenate([one.odd_site for one in found]), np.concatenate([one.odd_key for one in found])
    )
    pooled = Pooled(plain, rows, key, count, depths, covered, (covered > 0) | (np.diff(rows) > 0))
    lengths = np.array([len(text) for text in strings], np.int32)[alleles.code]
    called, still_open = call(
        sites.position,
        lengths,
        alleles,
        cells,
        shape,
        shapes,
        star,
        records,
        np.stack((variants.mq_sum, variants.mq_depth), axis=1),
        variants.ranked,
        pooled,
        likelihoods(),
        open_until,
        bool(bases),
    )
    written = np.flatnonzero((called.written != NOT_WRITTEN) & (called.written != LEFT_OUT)).astype(np.int32)
    return Stretch(
        positions=sites.position,
        strings=strings,
        alleles=alleles,
        cells=cells,
        shape=shape,
        shapes=shapes,
        star=star,
        variants=variants,
        records=records,
        called=called,
        written=written,
        dense=_dense(pieces, sites.position[written], samples) if want_dense else walking.dense(0, samples),
        open_until=int(still_open),
    )


def _counting(piece: Piece) -> Piece:
    """Without the records of samples that are out: they had a part in a site's REF and in how far a shape reaches."""
    if not piece.masked.any():
        return piece
    variants = piece.window.variants
    each = np.diff(variants.rows)
    rows = np.zeros(len(each) + 1, np.int64)
    np.cumsum(np.where(piece.masked, 0, each), out=rows[1:])
    kept = np.flatnonzero(np.repeat(piece.masked == 0, each))
    return replace(piece, window=piece.window._replace(variants=picked(variants, kept, rows)))


def _only(shapes: Shapes, sites: Sites, inside: NDArray[np.bool_]) -> tuple[Shapes, Sites]:
    """Sites outside of the stretch are left out; shapes stay, since they may reach in."""
    place = np.where(inside, np.cumsum(inside) - 1, ABSENT).astype(np.int32)
    site = np.where(shapes.site >= 0, place[np.maximum(shapes.site, 0)] if len(place) else ABSENT, ABSENT)
    return shapes._replace(site=site.astype(np.int32)), Sites(sites.position[inside], sites.reference[inside])


def _every(shapes: Shapes, sites: Sites, bases: bytes, first: int, strings: list[bytes]) -> tuple[Shapes, Sites]:
    """A site at each base; where none was, REF is the base alone."""
    codes = np.full(256, ABSENT, np.int32)
    for base in sorted(set(bases.upper())):
        codes[base] = len(strings)
        strings.append(bytes((base,)))
    reference = codes[np.frombuffer(bases.upper(), np.uint8)]
    own = sites.position - first
    reference[own] = sites.reference
    place = np.append(own, ABSENT).astype(np.int32)
    positions = np.arange(first, first + len(bases), dtype=np.int32)
    return shapes._replace(site=place[shapes.site]), Sites(positions, reference)


def _walked(piece: Piece, place: Ints, positions: Ints, plain: Ints, depths: Longs, covered: Longs) -> Found:
    """`place` of the window's explicit records in the stretch's table."""
    window = piece.window
    begin, end = np.searchsorted(positions, [window.first, window.last + 1])
    here = slice(begin, end)
    found = walk(window, positions[here], piece.masked, plain[here], depths[here], covered[here])
    return found._replace(
        cell_site=found.cell_site + np.int32(begin),
        cell_sample=piece.columns[found.cell_sample],
        cell_row=place[found.cell_row],
        odd_site=found.odd_site + np.int32(begin),
        block_site=found.block_site + np.int32(begin),
    )


def _dense(pieces: Sequence[Piece], positions: Ints, samples: int) -> Dense:
    """Of the sites that are written alone: most candidates are not, and these columns are the most of the memory."""
    out = walking.dense(len(positions), samples)
    for piece in pieces:
        window = piece.window
        begin, end = np.searchsorted(positions, [window.first, window.last + 1])
        here = Dense(*(column[begin:end] for column in out))
        fill(window.first, window.last, window.blocks, positions[begin:end], piece.columns, piece.masked, here)
    return out


@compiled
def _counted(m: int, site: Ints, key: Longs) -> tuple[Longs, Longs, Longs]:
    """Equal keys of a site counted together, by site, then key: where each site's begin, the keys, how many."""
    begins = np.zeros(m + 1, np.int64)
    for one in site:
        begins[one + 1] += 1
    for at in range(m):
        begins[at + 1] += begins[at]
    behind = begins[:-1].copy()
    by_site = np.empty(len(key), np.int64)
    for at in range(len(key)):
        by_site[behind[site[at]]] = key[at]
        behind[site[at]] += 1
    rows, keys, times = np.zeros(m + 1, np.int64), np.empty(len(key), np.int64), np.empty(len(key), np.int64)
    n = 0
    for at in range(m):
        mine = np.sort(by_site[begins[at] : begins[at + 1]])
        for place in range(len(mine)):
            if place and mine[place] == mine[place - 1]:
                times[n - 1] += 1
                continue
            keys[n], times[n] = mine[place], 1
            n += 1
        rows[at + 1] = n
    return rows, keys[:n], times[:n]


def _together(pieces: Sequence[Piece], strings: list[bytes]) -> tuple[Variants, list[int]]:
    """The explicit records of all windows in one table, with one table of strings; where each window's begin."""
    codes = {text: code for code, text in enumerate(strings)}
    tables, offsets, offset = [], [], 0
    for piece in pieces:
        mapped = np.empty(len(piece.window.strings) + 1, np.int32)
        mapped[-1] = ABSENT
        for place, text in enumerate(piece.window.strings):
            code = codes.get(text)
            if code is None:
                code = codes[text] = len(strings)
                strings.append(text)
            mapped[place] = code
        table = piece.window.variants
        tables.append(
            table._replace(
                ref=mapped[table.ref],
                alt=mapped[table.alt],
                pgt=mapped[table.pgt],
                pid=mapped[table.pid],
                id=mapped[table.id],
            )
        )
        offsets.append(offset)
        offset += len(table.start)
    return _joined(tables), offsets


def _joined(tables: Sequence[Variants]) -> Variants:
    if len(tables) == 1:
        return tables[0]
    columns = {}
    for name in Variants._fields:
        parts = [getattr(table, name) for table in tables]
        if name.endswith("rows"):
            behind = np.cumsum([0, *(part[-1] for part in parts)])
            shifted = [part[:-1] + at for part, at in zip(parts, behind, strict=False)]
            columns[name] = np.concatenate([*shifted, behind[-1:]]).astype(np.int64)
        else:
            columns[name] = np.concatenate(parts)
    return Variants(**columns)


def _with_blocks(
    variants: Variants, pieces: Sequence[Piece], found: Sequence[Found]
) -> tuple[Variants, tuple[Ints, Ints, Ints]]:
    """Blocks that are looked at one by one become explicit records without an ALT; their sites, samples and rows."""
    tables, sites, samples = [variants], [], []
    for piece, one in zip(pieces, found, strict=True):
        if len(one.block_row):
            tables.append(_explicit(piece.window.blocks, one.block_row))
            sites.append(one.block_site)
            samples.append(piece.columns[one.block_sample])
    if not sites:
        nothing = np.zeros(0, np.int32)
        return variants, (nothing, nothing, nothing)
    site = np.concatenate(sites)
    rows = (len(variants.start) + np.arange(len(site))).astype(np.int32)
    return _joined(tables), (site, np.concatenate(samples), rows)


def _explicit(blocks: Blocks, rows: Ints) -> Variants:
    form = blocks.form[rows]
    n = len(rows)
    haploid = (form & HAPLOID) != 0
    ploidy = np.where(haploid, 1, 2).astype(np.uint8)
    called = np.where(form & NO_CALL, ABSENT, 0).astype(np.int8)
    each = np.where(form & HAS_PL, np.where(haploid, 2, 3), 0)
    pl_rows = np.zeros(n + 1, np.int64)
    np.cumsum(each, out=pl_rows[1:])
    values = np.stack([blocks.pl0[rows], blocks.pl1[rows], blocks.pl2[rows]], axis=1).astype(np.int32)
    none = np.full(n, ABSENT, np.int32)
    return Variants(
        rows=np.zeros(1, np.int64),
        start=none,
        end=none,
        ref=none,
        alt_rows=np.zeros(n + 1, np.int64),
        alt=none[:0],
        flags=np.zeros(n, np.uint8),
        ploidy=ploidy,
        gt=np.stack([called, np.where(haploid, ABSENT, called)], axis=1).astype(np.int8),
        gq=_where(form, HAS_GQ, blocks.gq[rows]),
        dp=_where(form, HAS_DP, blocks.dp[rows]),
        min_dp=_where(form, HAS_MIN_DP, blocks.min_dp[rows]),
        ad_rows=np.zeros(n + 1, np.int64),
        ad=none[:0],
        pl_rows=pl_rows,
        pl=values[np.arange(3)[None, :] < each[:, None]],
        sb=np.full((n, 4), ABSENT, np.int32),
        pgt=none,
        pid=none,
        ps=none,
        id=none,
        info_dp=none,
        mq_sum=none.astype(np.int64),
        mq_depth=none.astype(np.int64),
        ranked=np.full((n, 7), np.nan, np.float32),
    )


def _where(form: Bytes, bit: int, values: NDArray[Any]) -> Ints:
    return np.where(form & bit, values.astype(np.int32), np.int32(ABSENT))
