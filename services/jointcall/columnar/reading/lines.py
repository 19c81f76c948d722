"""Record lines of a gVCF to columns, compiled. Reference blocks in their usual form take the short way; whatever is
unusual in a line, faults too, is left to `records.read_record`, which decides."""

from __future__ import annotations

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading.columns import BEFORE, HERE, LATEST_FORMAT, BlockColumns, RecordColumns
from services.jointcall.columnar.reading.grounds import BEYOND, ELSEWHERE, FINISHED, Ground
from services.jointcall.columnar.reading.keys import DP, GQ, GT, MIN_DP, PL, Formats, InfoKeys, format_row
from services.jointcall.columnar.reading.placing import add_block, agrees, cover, displace
from services.jointcall.columnar.reading.records import read_record
from services.jointcall.columnar.tables import (
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    Bytes,
    Ints,
    Longs,
)

_TAB, _NEWLINE, _DOT, _SLASH, _ZERO, _NINE, _COLON, _COMMA = 9, 10, 46, 47, 48, 57, 58, 44
_MOST_DIGITS = 9
_LARGEST = 2**31 - 1


@compiled
def read_lines(
    text: Bytes,
    at: int,
    stop: int,
    ground: Ground,
    formats: Formats,
    keys: InfoKeys,
    counts: Longs,
    blocks: BlockColumns,
    records: RecordColumns,
    covered: Ints,
) -> int:
    """Reads the lines of `text[at:stop]` and says why it ended (`grounds`). The columns must have room for them."""
    while at < stop:
        p = at
        for k in range(len(ground.contig)):
            if text[p] != ground.contig[k]:
                break
            p += 1
        if p - at < len(ground.contig) or text[p] != _TAB:
            counts[HERE] = at
            return ELSEWHERE
        p += 1
        digits = p
        position = 0
        while _ZERO <= text[p] <= _NINE and p - digits <= _MOST_DIGITS:
            position = position * 10 + (int(text[p]) - _ZERO)
            p += 1
        if text[p] == _TAB and position > ground.last:
            counts[HERE] = at
            return BEYOND
        if text[p] == _TAB and position > 0 and position >= counts[BEFORE]:
            following = _read_block(text, p + 1, position, ground, formats, keys, counts, blocks, records, covered)
            if following > 0:
                at = following
                continue
        outcome = read_record(text, at, ground, formats, keys, counts, blocks, records, covered)
        if outcome != FINISHED:
            counts[HERE] = at
            return outcome
        at = counts[HERE]
    counts[HERE] = at
    return FINISHED


@compiled
def _read_block(
    text: Bytes,
    p: int,
    position: int,
    ground: Ground,
    formats: Formats,
    keys: InfoKeys,
    counts: Longs,
    blocks: BlockColumns,
    records: RecordColumns,
    covered: Ints,
) -> int:
    """`p` is where the ID begins. Where the next line begins, or 0 when this one is no usual block."""
    if text[p] != _DOT or text[p + 1] != _TAB or text[p + 3] != _TAB:
        return 0
    base = text[p + 2]
    p += 4
    if not (
        (text[p] == 60 and text[p + 1] == 78 and text[p + 2] == 79 and text[p + 3] == 78 and text[p + 4] == 95)
        and (text[p + 5] == 82 and text[p + 6] == 69 and text[p + 7] == 70 and text[p + 8] == 62)
        and text[p + 9] == _TAB
    ):
        return 0
    p += 10
    for _ in range(2):  # QUAL and FILTER
        while text[p] != _TAB:
            if text[p] == _NEWLINE:
                return 0
            p += 1
        p += 1
    end = position
    if keys.end_declared and text[p] == 69 and text[p + 1] == 78 and text[p + 2] == 68 and text[p + 3] == 61:
        p += 4
        digits = p
        end = 0
        while _ZERO <= text[p] <= _NINE and p - digits <= _MOST_DIGITS:
            end = end * 10 + (int(text[p]) - _ZERO)
            p += 1
        if p == digits:
            return 0
    elif text[p] == _DOT:
        p += 1
    else:
        return 0
    if text[p] != _TAB or end < position or end > _LARGEST:
        return 0
    p += 1

    row = counts[LATEST_FORMAT]
    if row < len(formats.length):
        q = p
        for k in range(formats.length[row]):
            if text[q] != formats.text[row, k]:
                break
            q += 1
        if q - p < formats.length[row] or text[q] != _TAB:
            row = len(formats.length)
    if row == len(formats.length):
        q = p
        while text[q] != _TAB:
            if text[q] == _NEWLINE:
                return 0
            q += 1
        row = format_row(text, p, q, formats)
        if row < 0:
            return 0
        counts[LATEST_FORMAT] = row
    p = q + 1

    form, likelihoods = 0, 0
    genotyped = False
    gq, dp, min_dp, pl0, pl1, pl2 = 0, 0, 0, 0, 0, 0
    for k in range(formats.width[row]):
        key = formats.keys[row, k]
        if key == GT:
            allele = text[p]
            if allele != _ZERO and allele != _DOT:
                return 0
            if text[p + 1] == _SLASH and text[p + 2] == allele:
                p += 3
            elif allele == _ZERO and ground.haploid:
                form |= HAPLOID
                p += 1
            else:
                return 0
            if allele == _DOT:
                form |= NO_CALL
            genotyped = True
        elif key in (GQ, DP, MIN_DP, PL):
            if text[p] == _DOT:
                p += 1
            else:
                while True:
                    digits = p
                    value = 0
                    while _ZERO <= text[p] <= _NINE and p - digits <= _MOST_DIGITS:
                        value = value * 10 + (int(text[p]) - _ZERO)
                        p += 1
                    if p == digits or value > (255 if key == GQ else 65535):
                        return 0
                    if key != PL:
                        break
                    pl0, pl1, pl2 = pl1, pl2, value
                    likelihoods += 1
                    if text[p] != _COMMA:
                        break
                    p += 1
                if key == GQ:
                    gq = value
                    form |= HAS_GQ
                elif key == DP:
                    dp = value
                    form |= HAS_DP
                elif key == MIN_DP:
                    min_dp = value
                    form |= HAS_MIN_DP
                else:
                    form |= HAS_PL
        elif key == 0:
            if text[p] == _COLON:
                return 0
            while text[p] != _COLON and text[p] != _NEWLINE and text[p] != _TAB:
                p += 1
        elif text[p] == _DOT:
            p += 1
        else:
            return 0
        if text[p] != _COLON:
            break
        p += 1
    # a colon behind the last value leaves p behind it: a value without a key, or an empty one
    if text[p] != _NEWLINE or text[p - 1] == _COLON or not genotyped:
        return 0
    if form & HAPLOID:
        pl0, pl1, pl2 = pl1, pl2, 0
    if likelihoods > 0 and likelihoods != (2 if form & HAPLOID else 3):
        return 0
    if position >= ground.first and not agrees(base, ground.bases[position - ground.first]):
        return 0

    displace(position, ground.first, counts, blocks, records)
    if cover(position, end, 0, ground.first, counts, covered):
        add_block(position, end, form, gq, min_dp, dp, pl0, pl1, pl2, counts, blocks)
    return p + 1


@compiled
def skip_lines(text: Bytes, at: int, stop: int, contig: Bytes) -> int:
    """Where the first line begins that is not of this contig; `stop` when all are."""
    while at < stop:
        for k in range(len(contig)):
            if text[at + k] != contig[k]:
                return at
        if text[at + len(contig)] != _TAB:
            return at
        while text[at] != _NEWLINE:
            at += 1
        at += 1
    return at
