"""Any record line of a gVCF, compiled: every check, and the explicit records' columns."""

from __future__ import annotations

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.compiled import unsigned as _at
from services.jointcall.columnar.reading import columns as c
from services.jointcall.columnar.reading.cell import read_cell, read_info
from services.jointcall.columnar.reading.figures import LARGEST, whole
from services.jointcall.columnar.reading.grounds import BLOCK, FAULT, FINISHED, NEW_FORMAT
from services.jointcall.columnar.reading.keys import format_row
from services.jointcall.columnar.reading.placing import add_string, agrees, cover
from services.jointcall.columnar.tables import (
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    Bytes,
    Floats,
    Ints,
    Longs,
)

_TAB, _NEWLINE, _COMMA, _DOT, _LESS = 9, 10, 44, 46, 60
_MOST_TABS = 9
_NON_REF = np.frombuffer(b"<NON_REF>", np.uint8)


@compiled
def read_record(
    text: Bytes,
    at: int,
    first: int,
    haploid: bool,
    bases: Bytes,
    formats: Ints,
    keys: Bytes,
    counts: Longs,
    figures: Longs,
    ranked: Floats,
    lists: Ints,
    heap: Bytes,
    covered: Ints,
) -> int:
    """The line at `at`: FINISHED, or BLOCK with its columns from counts[PLACES] on, each with counts[HERE] behind it;
    NEW_FORMAT with nothing changed; or FAULT."""
    found = 0
    stop = at
    while text[_at(stop)] != _NEWLINE:
        if text[_at(stop)] == _TAB:
            if found < _MOST_TABS:
                counts[c.PLACES + found] = stop
            found += 1
        stop += 1
    if found != _MOST_TABS:
        return FAULT
    position = whole(text, counts[c.PLACES] + 1, counts[c.PLACES + 1])
    if position < 1 or position <= counts[c.BEFORE] or position > LARGEST:
        return FAULT
    # where columns begin
    name, ref, alt = counts[c.PLACES + 1] + 1, counts[c.PLACES + 2] + 1, counts[c.PLACES + 3] + 1
    quality, info, form = counts[c.PLACES + 4] + 1, counts[c.PLACES + 6] + 1, counts[c.PLACES + 7] + 1
    cell = counts[c.PLACES + 8] + 1
    alts = _alts(text, alt, quality - 1)
    length = alt - 1 - ref
    if alts < 0 or length < 1:
        return FAULT
    row_of_format = format_row(text, form, cell - 1, formats)
    if row_of_format < 0:
        return NEW_FORMAT
    row = counts[c.RECORDS]
    mine, ranks = figures[row], ranked[row]
    for k in range(c.FIGURES):
        mine[k] = -1
    for k in range(len(ranks)):
        ranks[k] = np.nan
    mine[c.START] = position
    mine[c.END] = position + length - 1
    mine[c.FLAGS] = mine[c.ADS] = mine[c.PLS] = 0
    mine[c.ALTS] = alts
    if not read_info(text, info, form - 1, keys, mine, ranks):
        return FAULT
    end = mine[c.END]
    if end < position or end > LARGEST:
        return FAULT
    if not read_cell(text, cell, stop, haploid, formats, row_of_format, mine, counts, lists):
        return FAULT
    if position >= first:
        for k in range(min(length, len(bases) - (position - first))):
            if not agrees(int(text[_at(ref + k)]), int(bases[position - first + k])):
                return FAULT
    if length > 1 and _plain_mnp(text, alt, quality - 1, length):
        return FAULT
    counts[c.HERE] = stop + 1
    if not cover(position, end, alts, first, counts, covered):
        return FINISHED

    nameless = ref - name == 2 and text[_at(name)] == _DOT
    phased_by_name = counts[c.PLACES + 1] >= 0 or counts[c.PLACES + 3] >= 0
    if alts == 0 and length == 1 and nameless and not phased_by_name and _fits(mine, ranks, lists, counts):
        used, likelihoods = counts[c.LISTS_USED], mine[c.PLS]
        counts[c.PLACES] = end
        counts[c.PLACES + 1] = _form(mine)
        counts[c.PLACES + 2] = max(mine[c.GQ], 0)
        counts[c.PLACES + 3] = max(mine[c.MIN_DP], 0)
        counts[c.PLACES + 4] = max(mine[c.DP], 0)
        for k in range(3):
            counts[c.PLACES + 5 + k] = lists[used + k] if k < likelihoods else 0
        return BLOCK

    before = counts[c.HEAP_USED]
    counts[c.LISTS_USED] += mine[c.ADS] + mine[c.PLS]
    add_string(text, ref, alt - 1, counts, lists, heap)
    p = alt
    for _ in range(alts):
        q = p
        while text[_at(q)] != _COMMA:
            q += 1
        add_string(text, p, q, counts, lists, heap)
        p = q + 1
    add_string(text, name, name - 1 if nameless else ref - 1, counts, lists, heap)
    for k in (0, 2):
        add_string(text, counts[c.PLACES + k], counts[c.PLACES + k + 1], counts, lists, heap)
    mine[c.BYTES] = counts[c.HEAP_USED] - before
    counts[c.RECORDS] = row + 1
    counts[c.KIND] = c.A_RECORD
    return FINISHED


@compiled
def _alts(text: Bytes, begin: int, end: int) -> int:
    """How many alleles stand in front of `<NON_REF>`; -1 where it is not last, stands twice, or one is empty."""
    alts = 0
    p = begin
    while True:
        q = p
        while q < end and text[_at(q)] != _COMMA:
            q += 1
        non_ref = q - p == len(_NON_REF)
        if non_ref:
            for k in range(len(_NON_REF)):
                if text[_at(p + k)] != _NON_REF[k]:
                    non_ref = False
                    break
        if q == end:
            return alts if non_ref else -1
        if non_ref or q == p:
            return -1
        alts += 1
        p = q + 1


@compiled
def _plain_mnp(text: Bytes, begin: int, end: int, length: int) -> bool:
    """Every ALT in front of `<NON_REF>` is a sequence as long as REF."""
    p = begin
    while True:
        q = p
        while q < end and text[_at(q)] != _COMMA:
            q += 1
        if q == end:
            return True
        if q - p != length or text[_at(p)] == _LESS:
            return False
        p = q + 1


@compiled
def _form(mine: Longs) -> int:
    """Bits of a block."""
    form = HAPLOID if mine[c.PLOIDY] == 1 else 0
    form |= NO_CALL if mine[c.ALLELE] < 0 else 0
    form |= HAS_GQ if mine[c.GQ] >= 0 else 0
    form |= HAS_DP if mine[c.DP] >= 0 else 0
    form |= HAS_MIN_DP if mine[c.MIN_DP] >= 0 else 0
    form |= HAS_PL if mine[c.PLS] > 0 else 0
    return form


@compiled
def _fits(mine: Longs, ranks: Floats, lists: Ints, counts: Longs) -> bool:
    """A record with `<NON_REF>` alone has nothing that a block's columns do not hold."""
    if mine[c.INFO_DP] >= 0 or mine[c.MQ_SUM] >= 0 or mine[c.ADS] > 0 or mine[c.SB] >= 0 or mine[c.PS] >= 0:
        return False
    if mine[c.GQ] > 255 or mine[c.DP] > 65535 or mine[c.MIN_DP] > 65535 or mine[c.FLAGS] != 0:
        return False
    if mine[c.ALLELE] > 0 or (mine[c.PLOIDY] == 2 and mine[c.ALLELE + 1] != mine[c.ALLELE]):
        return False
    for k in range(len(ranks)):
        if not np.isnan(ranks[k]):
            return False
    for k in range(mine[c.PLS]):  # noqa: SIM110 (compiled code has no generators)
        if lists[counts[c.LISTS_USED] + k] > 65535:
            return False
    return True
