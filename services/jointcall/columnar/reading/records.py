"""Any record line of a gVCF, compiled: every check, and the explicit records' columns."""

from __future__ import annotations

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading import columns as c
from services.jointcall.columnar.reading.cell import read_cell, read_info
from services.jointcall.columnar.reading.columns import BlockColumns, RecordColumns
from services.jointcall.columnar.reading.figures import whole
from services.jointcall.columnar.reading.grounds import FAULT, FINISHED, NEW_FORMAT, Ground
from services.jointcall.columnar.reading.keys import Formats, InfoKeys, format_row
from services.jointcall.columnar.reading.placing import add_string, agrees, cover, displace
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
_LARGEST = 2**31 - 1
_MOST_TABS = 9
_NON_REF = np.frombuffer(b"<NON_REF>", np.uint8)


@compiled
def read_record(
    text: Bytes,
    at: int,
    ground: Ground,
    formats: Formats,
    keys: InfoKeys,
    counts: Longs,
    blocks: BlockColumns,
    records: RecordColumns,
    covered: Ints,
) -> int:
    """The line at `at`. FINISHED with counts[HERE] behind it, NEW_FORMAT with nothing changed, or FAULT."""
    figures, ad, pl, lengths, heap = records.figures, records.ad, records.pl, records.lengths, records.heap
    tabs = counts[c.TABS :]
    found = 0
    stop = at
    while text[stop] != _NEWLINE:
        if text[stop] == _TAB:
            if found < _MOST_TABS:
                tabs[found] = stop
            found += 1
        stop += 1
    if found != _MOST_TABS:
        return FAULT
    position = whole(text, tabs[0] + 1, tabs[1], _LARGEST)
    if position < 1 or position <= counts[c.BEFORE]:
        return FAULT
    name, ref, alt, alt_end = tabs[1] + 1, tabs[2] + 1, tabs[3] + 1, tabs[4]
    alts = _alts(text, alt, alt_end)
    length = alt - 1 - ref
    if alts < 0 or length < 1:
        return FAULT
    row_of_format = format_row(text, tabs[7] + 1, tabs[8], formats.text, formats.length)
    if row_of_format < 0:
        return NEW_FORMAT
    displace(position, ground.first, counts, blocks.start, blocks.end)
    row = counts[c.RECORDS]
    mine, ranked = figures[row], records.ranked[row]
    mine[:] = -1
    ranked[:] = np.nan
    mine[c.START] = position
    mine[c.END] = position + length - 1
    mine[c.FLAGS] = mine[c.ADS] = mine[c.PLS] = 0
    mine[c.ALTS] = alts
    if not read_info(text, tabs[6] + 1, tabs[7], keys.slots, keys.text, keys.at, keys.taken_as, mine, ranked):
        return FAULT
    end = mine[c.END]
    if end < position or end > _LARGEST:
        return FAULT
    cell = tabs[8] + 1
    spans = tabs[:4]  # the tabs are used up
    key_of, width = formats.keys[row_of_format], formats.width[row_of_format]
    if not read_cell(text, cell, stop, ground.haploid, key_of, width, mine, counts, ad, pl, spans):
        return FAULT
    if position >= ground.first:
        offset, bases = position - ground.first, ground.bases
        for k in range(min(length, len(bases) - offset)):
            if not agrees(int(text[ref + k]), int(bases[offset + k])):
                return FAULT
    if length > 1 and _plain_mnp(text, alt, alt_end, length):
        return FAULT
    counts[c.HERE] = stop + 1
    if not cover(position, end, alts, ground.first, counts, covered):
        return FINISHED

    nameless = ref - name == 2 and text[name] == _DOT
    if alts == 0 and length == 1 and nameless and spans[1] < 0 and spans[3] < 0 and _fits(mine, ranked, pl, counts):
        block = counts[c.BLOCKS]
        blocks.start[block] = position
        blocks.end[block] = end
        blocks.form[block] = _form(mine)
        blocks.gq[block] = max(mine[c.GQ], 0)
        blocks.min_dp[block] = max(mine[c.MIN_DP], 0)
        blocks.dp[block] = max(mine[c.DP], 0)
        used, likelihoods = counts[c.PL_USED], mine[c.PLS]
        blocks.pl0[block] = pl[used] if likelihoods > 0 else 0
        blocks.pl1[block] = pl[used + 1] if likelihoods > 0 else 0
        blocks.pl2[block] = pl[used + 2] if likelihoods > 2 else 0
        counts[c.BLOCKS] = block + 1
        counts[c.KIND] = c.A_BLOCK
        return FINISHED

    before = counts[c.HEAP_USED]
    add_string(text, ref, alt - 1, counts, lengths, heap)
    p = alt
    for _ in range(alts):
        q = p
        while text[q] != _COMMA:
            q += 1
        add_string(text, p, q, counts, lengths, heap)
        p = q + 1
    add_string(text, name, name - 1 if nameless else ref - 1, counts, lengths, heap)
    add_string(text, spans[0], spans[1], counts, lengths, heap)
    add_string(text, spans[2], spans[3], counts, lengths, heap)
    counts[c.AD_USED] += mine[c.ADS]
    counts[c.PL_USED] += mine[c.PLS]
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
        while q < end and text[q] != _COMMA:
            q += 1
        non_ref = q - p == len(_NON_REF)
        if non_ref:
            for k in range(len(_NON_REF)):
                if text[p + k] != _NON_REF[k]:
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
        while q < end and text[q] != _COMMA:
            q += 1
        if q == end:
            return True
        if q - p != length or text[p] == _LESS:
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
def _fits(mine: Longs, ranked: Floats, pl: Ints, counts: Longs) -> bool:
    """A record with `<NON_REF>` alone has nothing that a block's columns do not hold."""
    if mine[c.INFO_DP] >= 0 or mine[c.MQ_SUM] >= 0 or mine[c.ADS] > 0 or mine[c.SB] >= 0 or mine[c.PS] >= 0:
        return False
    if mine[c.GQ] > 255 or mine[c.DP] > 65535 or mine[c.MIN_DP] > 65535 or mine[c.FLAGS] != 0:
        return False
    if mine[c.ALLELE] > 0 or (mine[c.PLOIDY] == 2 and mine[c.ALLELE + 1] != mine[c.ALLELE]):
        return False
    for k in range(len(ranked)):
        if not np.isnan(ranked[k]):
            return False
    for k in range(mine[c.PLS]):  # noqa: SIM110 (compiled code has no generators)
        if pl[counts[c.PL_USED] + k] > 65535:
            return False
    return True
