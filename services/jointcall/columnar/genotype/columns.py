"""The samples' columns of a VCF record as text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import cells
from services.jointcall.columnar.genotype.cells import Cells
from services.jointcall.columnar.genotype.shapes import Shapes
from services.jointcall.columnar.genotype.sites import BARE, TURNED_OUT, UNPHASED, Called
from services.jointcall.columnar.genotype.walk import BARE as BLOCK_BARE
from services.jointcall.columnar.genotype.walk import (
    EMPTY,
    ONE_COPY,
    UNCALLED,
    WITH_DEPTH,
    WITH_GQ,
    WITH_PL,
    Dense,
)
from services.jointcall.columnar.tables import ABSENT, PHASED, Bytes, Ints, Longs, Variants

# FORMAT keys in the order in which they are written, GT in front
AD, DP, GQ, PGT, PID, PL, PS = 1, 2, 4, 8, 16, 32, 64
KEYS = ((AD, "AD"), (DP, "DP"), (GQ, "GQ"), (PGT, "PGT"), (PID, "PID"), (PL, "PL"), (PS, "PS"))

_ONE, _G, _T = (np.uint8(ord(sign)) for sign in "1GT")
_ZERO, _COLON, _COMMA, _TAB, _DOT, _SLASH, _BAR = (np.uint8(ord(sign)) for sign in "0:,\t./|")


@compiled
def layout(site: int, found: Cells, called: Called, variants: Variants, dense: Dense, kept: int) -> int:
    """Which FORMAT keys any sample of the site has a value for."""
    out = 0
    for sample in range(dense.form.shape[1]):
        form = dense.form[site, sample]
        if form == EMPTY or form & BLOCK_BARE:
            continue
        if form & WITH_DEPTH:
            out |= DP
            if dense.depth[site, sample] > 0:
                out |= AD
        if form & WITH_GQ:
            out |= GQ
        if form & WITH_PL:
            out |= PL
    for cell in range(found.rows[site], found.rows[site + 1]):
        if called.state[cell] & BARE:
            continue
        row = found.row[cell]
        depth = cells.depth_of(variants, row)
        if depth != ABSENT:
            out |= DP
        if depth > 0 or variants.ad_rows[row + 1] > variants.ad_rows[row]:
            out |= AD
        if called.gq[cell] != ABSENT:
            out |= GQ
        if variants.pl_rows[row + 1] > variants.pl_rows[row]:
            out |= PL
        if variants.pgt[row] != ABSENT:
            out |= PGT
        if variants.pid[row] != ABSENT:
            out |= PID
        if variants.ps[row] != ABSENT:
            out |= PS
    return out


@compiled
def longest(site: int, found: Cells, variants: Variants, samples: int, kept: int, text_rows: Longs) -> int:
    """Bytes that the columns take at most."""
    each = 40 + 12 * kept + 12 * kept * (kept + 1) // 2
    out = samples * each
    for cell in range(found.rows[site], found.rows[site + 1]):
        row = found.row[cell]
        for code in (variants.pgt[row], variants.pid[row]):
            if code != ABSENT:
                out += text_rows[code + 1] - text_rows[code]
    return out


@compiled
def write(
    out: Bytes,
    site: int,
    code: Ints,
    kept: Ints,
    keys: int,
    found: Cells,
    called: Called,
    shape: Ints,
    shapes: Shapes,
    star: Ints,
    variants: Variants,
    dense: Dense,
    text: Bytes,
    text_rows: Longs,
    at_sample: Ints,
) -> int:
    """The columns of one site into `out`, a tab in front of each; returns how many bytes.

    `code` of the site's alleles, `kept` the places of those that are written, REF first. `at_sample` (N,) is room,
    ABSENT everywhere, and left so."""
    n = 0
    begin, end = found.rows[site], found.rows[site + 1]
    for cell in range(begin, end):
        at_sample[found.sample[cell]] = cell
    local = np.empty(len(code), np.int16)
    phred = np.empty(len(kept) * (len(kept) + 1) // 2 + 1, np.int32)
    for sample in range(len(at_sample)):
        out[n] = _TAB
        n += 1
        cell = at_sample[sample]
        if cell == ABSENT:
            n = _block(out, n, site, sample, len(kept), keys, dense)
        else:
            at_sample[sample] = ABSENT
            row = found.row[cell]
            cells.local_alleles(local, code, site, shape[row], star[row], shapes, variants, row)
            n = _cell(out, n, cell, row, local, kept, keys, called, variants, phred, text, text_rows)
    return n


@compiled
def write_reference(
    out: Bytes, site: int, found: Cells, called: Called, variants: Variants, dense: Dense, at_sample: Ints
) -> int:
    """FORMAT and columns of a site without an ALT: GT, DP and RGQ. As `write` otherwise.

    DP is MIN_DP where there is one, but at sites that had an ALT: there it is the block's DP, as GATK writes it."""
    own = called.written[site] == TURNED_OUT
    begin, end = found.rows[site], found.rows[site + 1]
    for cell in range(begin, end):
        at_sample[found.sample[cell]] = cell
    n = 0
    if called.depth[site]:
        for sign in b"GT:DP:RGQ":
            out[n] = sign
            n += 1
    else:
        out[0], out[1] = _G, _T
        n = 2
    for sample in range(len(at_sample)):
        out[n] = _TAB
        n += 1
        cell = at_sample[sample]
        if cell == ABSENT:
            form = dense.form[site, sample]
            if form == EMPTY:
                out[n] = _DOT
                n += 1
                continue
            depth = np.int64(0)
            if form & WITH_DEPTH:
                depth = np.int64(dense.reads[site, sample] if own else dense.depth[site, sample])
            quality = np.int64(dense.said[site, sample]) if form & WITH_GQ else np.int64(ABSENT)
            n = _plain(out, n, form & ONE_COPY == 0, depth, quality)
        else:
            at_sample[sample] = ABSENT
            row = found.row[cell]
            depth = np.int64(variants.dp[row] if own else cells.depth_of(variants, row))
            n = _plain(out, n, variants.ploidy[row] == 2, depth, np.int64(variants.gq[row]))
    return n


@compiled
def _plain(out: Bytes, n: int, diploid: bool, depth: int, quality: int) -> int:
    sure = depth > 0 and quality > 0
    allele = _ZERO if sure else _DOT
    out[n] = allele
    n += 1
    if diploid:
        out[n], out[n + 1] = _SLASH, allele
        n += 2
    if depth > 0 and quality != ABSENT:
        out[n] = _COLON
        n = _number(out, n + 1, depth)
        out[n] = _COLON
        n = _number(out, n + 1, quality)
    return n


@compiled
def _block(out: Bytes, n: int, site: int, sample: int, kept: int, keys: int, dense: Dense) -> int:
    form = dense.form[site, sample]
    if form == EMPTY:
        out[n] = _DOT
        return n + 1
    allele = _DOT if form & (UNCALLED | BLOCK_BARE) else _ZERO
    out[n] = allele
    n += 1
    if not form & ONE_COPY:
        out[n], out[n + 1] = _SLASH, allele
        n += 2
    if form & BLOCK_BARE:
        return n
    last = n
    depth = np.int64(dense.depth[site, sample])
    if keys & AD:
        out[n] = _COLON
        n += 1
        if form & WITH_DEPTH and depth > 0:
            n = _number(out, n, depth)
            for _ in range(1, kept):
                out[n], out[n + 1] = _COMMA, _ZERO
                n += 2
            last = n
        else:
            out[n] = _DOT
            n += 1
    if keys & DP:
        out[n] = _COLON
        n += 1
        if form & WITH_DEPTH:
            n = _number(out, n, depth)
            last = n
        else:
            out[n] = _DOT
            n += 1
    if keys & GQ:
        out[n] = _COLON
        n += 1
        if form & WITH_GQ:
            n = _number(out, n, np.int64(dense.gq[site, sample]))
            last = n
        else:
            out[n] = _DOT
            n += 1
    for key in (PGT, PID):
        if keys & key:
            out[n], out[n + 1] = _COLON, _DOT
            n += 2
    if keys & PL:
        out[n] = _COLON
        n += 1
        if form & WITH_PL:
            one, two = np.int64(dense.pl1[site, sample]), np.int64(dense.pl2[site, sample])
            out[n] = _ZERO
            n += 1
            for j in range(1, kept):
                out[n] = _COMMA
                n = _number(out, n + 1, one)
                if not form & ONE_COPY:
                    for _ in range(j):
                        out[n] = _COMMA
                        n = _number(out, n + 1, two)
            last = n
        else:
            out[n] = _DOT
            n += 1
    return last


@compiled
def _cell(
    out: Bytes,
    n: int,
    cell: int,
    row: int,
    local: NDArray[np.int16],
    kept: Ints,
    keys: int,
    called: Called,
    variants: Variants,
    phred: Ints,
    text: Bytes,
    text_rows: Longs,
) -> int:
    one, two = called.gt[cell, 0], called.gt[cell, 1]
    n = _allele(out, n, one)
    if variants.ploidy[row] == 2:
        out[n] = _BAR if variants.flags[row] & PHASED and not called.state[cell] & (UNPHASED | BARE) else _SLASH
        n = _allele(out, n + 1, two)
    if called.state[cell] & BARE:
        return n
    last = n
    depth = cells.depth_of(variants, row)
    if keys & AD:
        out[n] = _COLON
        n += 1
        begin = variants.ad_rows[row]
        if variants.ad_rows[row + 1] > begin:
            for k in range(len(kept)):
                if k:
                    out[n] = _COMMA
                    n += 1
                n = _number(out, n, np.int64(variants.ad[begin + local[kept[k]]]))
            last = n
        elif depth > 0:
            n = _number(out, n, depth)
            for _ in range(1, len(kept)):
                out[n], out[n + 1] = _COMMA, _ZERO
                n += 2
            last = n
        else:
            out[n] = _DOT
            n += 1
    if keys & DP:
        out[n] = _COLON
        n, last = _optional(out, n + 1, depth, last)
    if keys & GQ:
        out[n] = _COLON
        n, last = _optional(out, n + 1, np.int64(called.gq[cell]), last)
    if keys & PGT:
        out[n] = _COLON
        n, last = _string(out, n + 1, variants.pgt[row], last, text, text_rows)
        if variants.pgt[row] != ABSENT and one > 0 and one == two and n == last:
            out[n - 3], out[n - 1] = _ONE, _ONE
    if keys & PID:
        out[n] = _COLON
        n, last = _string(out, n + 1, variants.pid[row], last, text, text_rows)
    if keys & PL:
        out[n] = _COLON
        n += 1
        genotypes = cells.phreds(phred, variants, row, local, kept)
        if genotypes:
            for g in range(genotypes):
                if g:
                    out[n] = _COMMA
                    n += 1
                n = _number(out, n, np.int64(phred[g]))
            last = n
        else:
            out[n] = _DOT
            n += 1
    if keys & PS:
        out[n] = _COLON
        n, last = _optional(out, n + 1, np.int64(variants.ps[row]), last)
    return last


@compiled
def _allele(out: Bytes, n: int, allele: int) -> int:
    if allele < 0:
        out[n] = _DOT
        return n + 1
    return _number(out, n, np.int64(allele))


@compiled
def _optional(out: Bytes, n: int, value: int, last: int) -> tuple[int, int]:
    if value == ABSENT:
        out[n] = _DOT
        return n + 1, last
    n = _number(out, n, np.int64(value))
    return n, n


@compiled
def _string(out: Bytes, n: int, code: int, last: int, text: Bytes, text_rows: Longs) -> tuple[int, int]:
    if code == ABSENT:
        out[n] = _DOT
        return n + 1, last
    for at in range(text_rows[code], text_rows[code + 1]):
        out[n] = text[at]
        n += 1
    return n, n


@compiled
def _number(out: Bytes, n: int, value: int) -> int:
    if value < 10:
        out[n] = _ZERO + value
        return n + 1
    digits = 1
    rest = value
    while rest >= 10:
        rest //= 10
        digits += 1
    for place in range(n + digits - 1, n - 1, -1):
        out[place] = _ZERO + value % 10
        value //= 10
    return n + digits
