"""The samples' columns of a VCF record as text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import Whole, compiled
from services.jointcall.columnar.genotype import cells
from services.jointcall.columnar.genotype.assigning import BARE, UNPHASED
from services.jointcall.columnar.genotype.cells import Cells
from services.jointcall.columnar.genotype.explicit import DP, FLAGS, GQ, PGT, PID, PLOIDY, PS, Records
from services.jointcall.columnar.genotype.shapes import Shapes
from services.jointcall.columnar.genotype.sites import TURNED_OUT, Called
from services.jointcall.columnar.genotype.walk import BARE as BLOCK_BARE
from services.jointcall.columnar.genotype.walk import (
    EMPTY,
    ONE_COPY,
    UNCALLED,
    WITH_DEPTH,
    WITH_GQ,
    WITH_PL,
    WITH_SAID,
    Dense,
)
from services.jointcall.columnar.tables import ABSENT, PHASED, Bytes, Ints, Longs

# FORMAT keys in the order in which they are written, GT in front
KEY_AD, KEY_DP, KEY_GQ, KEY_PGT, KEY_PID, KEY_PL, KEY_PS = 1, 2, 4, 8, 16, 32, 64
KEYS = (
    (KEY_AD, "AD"),
    (KEY_DP, "DP"),
    (KEY_GQ, "GQ"),
    (KEY_PGT, "PGT"),
    (KEY_PID, "PID"),
    (KEY_PL, "PL"),
    (KEY_PS, "PS"),
)

_ONE = np.uint8(ord("1"))
_ZERO, _COLON, _COMMA, _TAB, _DOT, _SLASH, _BAR = (np.uint8(ord(sign)) for sign in "0:,\t./|")


@compiled
def layout(site: int, place: int, found: Cells, called: Called, records: Records, dense: Dense) -> int:
    """Which FORMAT keys any sample of the site has a value for."""
    out = 0
    for sample in range(dense.form.shape[1]):
        form = dense.form[place, sample]
        if form == EMPTY or form & BLOCK_BARE:
            continue
        if form & WITH_DEPTH:
            out |= KEY_DP
            if dense.depth[place, sample] > 0:
                out |= KEY_AD
        if form & WITH_GQ:
            out |= KEY_GQ
        if form & WITH_PL:
            out |= KEY_PL
    for cell in range(found.rows[site], found.rows[site + 1]):
        if called.state[cell] & BARE:
            continue
        row = found.row[cell]
        depth = cells.depth_of(records, row)
        if depth != ABSENT:
            out |= KEY_DP
        if depth > 0 or records.ad_rows[row + 1] > records.ad_rows[row]:
            out |= KEY_AD
        if called.gq[cell] != ABSENT:
            out |= KEY_GQ
        if records.pl_rows[row + 1] > records.pl_rows[row]:
            out |= KEY_PL
        if records.figures[row, PGT] != ABSENT:
            out |= KEY_PGT
        if records.figures[row, PID] != ABSENT:
            out |= KEY_PID
        if records.figures[row, PS] != ABSENT:
            out |= KEY_PS
    return out


@compiled
def longest(site: int, found: Cells, records: Records, samples: int, kept: int, text_rows: Longs) -> int:
    """Bytes that the columns take at most."""
    each = 40 + 12 * kept + 12 * kept * (kept + 1) // 2
    out = samples * each
    for cell in range(found.rows[site], found.rows[site + 1]):
        row = found.row[cell]
        for code in (records.figures[row, PGT], records.figures[row, PID]):
            if code != ABSENT:
                out += text_rows[code + 1] - text_rows[code]
    return out


@compiled
def write(
    out: Bytes,
    site: int,
    place: int,
    code: Ints,
    kept: Ints,
    keys: int,
    found: Cells,
    called: Called,
    shape: Ints,
    shapes: Shapes,
    star: Ints,
    records: Records,
    dense: Dense,
    text: Bytes,
    text_rows: Longs,
    at_sample: Ints,
) -> int:
    """The columns of one site into `out`, a tab in front of each; returns how many bytes. `place`: its row in `dense`.

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
            n = _block(out, n, place, sample, len(kept), keys, dense)
        else:
            at_sample[sample] = ABSENT
            row = found.row[cell]
            cells.local_alleles(local, code, site, shape[row], star[row], shapes, records, row)
            n = _cell(out, n, cell, row, local, kept, keys, called, records, phred, text, text_rows)
    return n


@compiled
def write_reference(
    out: Bytes, site: int, place: int, found: Cells, called: Called, records: Records, dense: Dense, at_sample: Ints
) -> tuple[int, bool]:
    """The columns of a site without an ALT: GT, DP and RGQ. As `write`, and whether any sample has more than GT.

    DP is MIN_DP where there is one, but at sites that had an ALT: there it is the block's DP, as GATK writes it."""
    own = called.written[site] == TURNED_OUT
    begin, end = found.rows[site], found.rows[site + 1]
    for cell in range(begin, end):
        at_sample[found.sample[cell]] = cell
    n = 0
    fields = False
    for sample in range(len(at_sample)):
        out[n] = _TAB
        n += 1
        cell = at_sample[sample]
        if cell == ABSENT:
            form = dense.form[place, sample]
            if form == EMPTY:
                out[n] = _DOT
                n += 1
                continue
            depth = np.int64(0)
            if form & WITH_DEPTH:
                depth = np.int64(dense.reads[place, sample] if own else dense.depth[place, sample])
            quality = np.int64(dense.said[place, sample]) if form & WITH_SAID else np.int64(ABSENT)
            fields |= bool(depth > 0 and quality != ABSENT)
            n = _plain(out, n, form & ONE_COPY == 0, depth, quality)
        else:
            at_sample[sample] = ABSENT
            row = found.row[cell]
            depth = np.int64(records.figures[row, DP] if own else cells.depth_of(records, row))
            quality = np.int64(records.figures[row, GQ])
            fields |= bool(depth > 0 and quality != ABSENT)
            n = _plain(out, n, records.figures[row, PLOIDY] == 2, depth, quality)
    return n, fields


@compiled
def _plain(out: Bytes, n: int, diploid: bool, depth: Whole, quality: Whole) -> int:
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
def _block(out: Bytes, n: int, place: int, sample: int, kept: int, keys: int, dense: Dense) -> int:
    form = dense.form[place, sample]
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
    depth = np.int64(dense.depth[place, sample])
    if keys & KEY_AD:
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
    if keys & KEY_DP:
        out[n] = _COLON
        n += 1
        if form & WITH_DEPTH:
            n = _number(out, n, depth)
            last = n
        else:
            out[n] = _DOT
            n += 1
    if keys & KEY_GQ:
        out[n] = _COLON
        n += 1
        if form & WITH_GQ:
            n = _number(out, n, np.int64(dense.gq[place, sample]))
            last = n
        else:
            out[n] = _DOT
            n += 1
    for key in (KEY_PGT, KEY_PID):
        if keys & key:
            out[n], out[n + 1] = _COLON, _DOT
            n += 2
    if keys & KEY_PL:
        out[n] = _COLON
        n += 1
        if form & WITH_PL:
            one, two = np.int64(dense.pl1[place, sample]), np.int64(dense.pl2[place, sample])
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
    records: Records,
    phred: Ints,
    text: Bytes,
    text_rows: Longs,
) -> int:
    one, two = called.gt[cell, 0], called.gt[cell, 1]
    n = _allele(out, n, one)
    if records.figures[row, PLOIDY] == 2:
        out[n] = _BAR if records.figures[row, FLAGS] & PHASED and not called.state[cell] & UNPHASED else _SLASH
        n = _allele(out, n + 1, two)
    if called.state[cell] & BARE:
        return n
    last = n
    depth = cells.depth_of(records, row)
    if keys & KEY_AD:
        out[n] = _COLON
        n += 1
        begin = records.ad_rows[row]
        if records.ad_rows[row + 1] > begin:
            for k in range(len(kept)):
                if k:
                    out[n] = _COMMA
                    n += 1
                n = _number(out, n, np.int64(records.ad[begin + local[kept[k]]]))
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
    if keys & KEY_DP:
        out[n] = _COLON
        n, last = _optional(out, n + 1, depth, last)
    if keys & KEY_GQ:
        out[n] = _COLON
        n, last = _optional(out, n + 1, np.int64(called.gq[cell]), last)
    if keys & KEY_PGT:
        out[n] = _COLON
        n, last = _string(out, n + 1, records.figures[row, PGT], last, text, text_rows)
        if records.figures[row, PGT] != ABSENT and one > 0 and one == two and n == last:
            out[n - 3], out[n - 1] = _ONE, _ONE
    if keys & KEY_PID:
        out[n] = _COLON
        n, last = _string(out, n + 1, records.figures[row, PID], last, text, text_rows)
    if keys & KEY_PL:
        out[n] = _COLON
        n += 1
        genotypes = cells.phreds(phred, records, row, local, kept)
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
    if keys & KEY_PS:
        out[n] = _COLON
        n, last = _optional(out, n + 1, np.int64(records.figures[row, PS]), last)
    return last


@compiled
def _allele(out: Bytes, n: int, allele: int) -> int:
    if allele < 0:
        out[n] = _DOT
        return n + 1
    return _number(out, n, np.int64(allele))


@compiled
def _optional(out: Bytes, n: int, value: Whole, last: int) -> tuple[int, int]:
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


def _digits() -> tuple[Bytes, Bytes]:
    """Decimals of 0 to 9,999 from their first digit, and how many digits."""
    text, many = np.zeros((10_000, 4), np.uint8), np.zeros(10_000, np.uint8)
    for value in range(10_000):
        decimal = str(value).encode()
        text[value, : len(decimal)] = np.frombuffer(decimal, np.uint8)
        many[value] = len(decimal)
    return text, many


_DIGITS, _MANY = _digits()


@compiled
def _number(out: Bytes, n: int, value: Whole) -> int:
    if value < 10_000:
        # four bytes whatever there are: what is too much is written over
        for at in range(4):
            out[n + at] = _DIGITS[value, at]
        return n + int(_MANY[value])
    digits = 1
    rest = value
    while rest >= 10:
        rest //= 10
        digits += 1
    for place in range(n + digits - 1, n - 1, -1):
        out[place] = _ZERO + value % 10
        value //= 10
    return n + digits
