"""Record lines of a gVCF to columns, compiled. Reference blocks in their usual form take the short way; whatever is
unusual in a line, faults too, is left to `records.read_record`, which decides."""

from __future__ import annotations

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.compiled import unsigned as _at
from services.jointcall.columnar.reading.columns import (
    A_BLOCK,
    BEFORE,
    BLOCKS,
    COVERED,
    FOUND,
    HEAP_USED,
    HERE,
    KIND,
    LISTS_USED,
    NOTHING,
    PLACES,
    RECORDS,
    BlockColumns,
    RecordColumns,
)
from services.jointcall.columnar.reading.grounds import BEYOND, BLOCK, ELSEWHERE, FINISHED, Ground
from services.jointcall.columnar.reading.keys import (
    DP,
    FIRST_KEY,
    GQ,
    GT,
    KEYS,
    LENGTH,
    MIN_DP,
    PL,
    TEXT,
    format_row,
)
from services.jointcall.columnar.reading.placing import agrees
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
_MOST_DIGITS, _MOST_OF_POS = 9, 10
_UNUSUAL = -1
_ALT = tuple(b"<NON_REF>\t")


@compiled
def read_lines(
    text: Bytes,
    at: int,
    stop: int,
    ground: Ground,
    formats: Ints,
    keys: Bytes,
    end_declared: bool,
    counts: Longs,
    blocks: BlockColumns,
    records: RecordColumns,
    covered: Ints,
) -> int:
    """Reads the lines of `text[at:stop]` and says why it ended (`grounds`). The columns must have room for them.

    One function with everything in local names: a call with the tables costs as much as a line.
    """
    contig, first, last, bases, haploid = ground.contig, ground.first, ground.last, ground.bases, ground.haploid
    start, end, form, gq, min_dp = blocks.start, blocks.end, blocks.form, blocks.gq, blocks.min_dp
    dp, pl0, pl1, pl2 = blocks.dp, blocks.pl0, blocks.pl1, blocks.pl2
    figures, ranked, lists, heap = records.figures, records.ranked, records.lists, records.heap
    usual, width, used = 0, 0, 0  # FORMAT: its row, its length in bytes, and its number of keys
    if len(formats):
        width, used = formats[0, LENGTH], formats[0, KEYS]

    rows, kind, before, found = counts[BLOCKS], counts[KIND], counts[BEFORE], counts[FOUND]
    stretch = counts[COVERED] - 1
    reach = covered[stretch, 1] if stretch >= 0 else -1
    while at < stop:
        p = at
        for k in range(len(contig)):
            if text[_at(p)] != contig[_at(k)]:
                break
            p += 1
        outcome = _UNUSUAL
        if p - at < len(contig) or text[_at(p)] != _TAB:
            outcome = ELSEWHERE
        p += 1
        q = p
        position = 0
        while _ZERO <= text[_at(p)] <= _NINE:
            position = position * 10 + (int(text[_at(p)]) - _ZERO)
            p += 1
        numbered = text[_at(p)] == _TAB and 0 < p - q <= _MOST_OF_POS
        if outcome == _UNUSUAL and numbered and position > last:
            outcome = BEYOND
        placed = outcome == _UNUSUAL and numbered and position > before
        if placed:
            # a block before it ends here at the latest; in front of the interval nothing before it is left
            if position < first:
                rows = 0
                counts[RECORDS] = counts[LISTS_USED] = counts[HEAP_USED] = 0
            elif kind == A_BLOCK:
                if start[rows - 1] < first and position == first:
                    rows -= 1
                elif end[rows - 1] >= position:
                    end[rows - 1] = position - 1
            kind = NOTHING
        if (
            placed
            and text[_at(p + 1)] == _DOT
            and text[_at(p + 2)] == _TAB
            and text[_at(p + 4)] == _TAB
            and _non_ref(text, p + 5)
        ):
            base = int(text[_at(p + 3)])
            p += 15
            for _ in range(2):  # QUAL and FILTER
                while text[_at(p)] != _TAB and text[_at(p)] != _NEWLINE:
                    p += 1
                p += int(text[_at(p)] == _TAB)
            stops = position
            q = p
            if (
                end_declared
                and text[_at(p)] == 69
                and text[_at(p + 1)] == 78
                and text[_at(p + 2)] == 68
                and text[_at(p + 3)] == 61
            ):
                p += 4
                q = p
                stops = 0
                while _ZERO <= text[_at(p)] <= _NINE:
                    stops = stops * 10 + (int(text[_at(p)]) - _ZERO)
                    p += 1
            elif text[_at(p)] == _DOT:
                p += 1
            good = text[_at(p)] == _TAB and 0 < p - q <= _MOST_DIGITS and stops >= position
            p += 1

            q = p
            for k in range(width):
                if text[_at(q)] != formats[_at(usual), _at(TEXT + k)]:
                    break
                q += 1
            if good and (q - p < width or text[_at(q)] != _TAB):
                q = p
                while text[_at(q)] != _TAB and text[_at(q)] != _NEWLINE:
                    q += 1
                row = format_row(text, p, q, formats)
                good = text[_at(q)] == _TAB and row >= 0
                if good:
                    usual, width, used = row, formats[row, LENGTH], formats[row, KEYS]
            p = q + 1

            bits, likelihoods, genotyped = 0, 0, False
            first_pl, second_pl, third_pl, quality, depth, least = 0, 0, 0, 0, 0, 0
            k = 0
            while good:
                key = formats[_at(usual), _at(FIRST_KEY + k)]
                if key == GT:
                    allele = text[_at(p)]
                    genotyped = allele in (_ZERO, _DOT)
                    if text[_at(p + 1)] == _SLASH and text[_at(p + 2)] == allele:
                        p += 3
                    else:
                        genotyped = genotyped and haploid and allele == _ZERO
                        bits |= HAPLOID
                        p += 1
                    if allele == _DOT:
                        bits |= NO_CALL
                elif 0 < key <= PL and text[_at(p)] != _DOT:
                    while True:
                        q = p
                        value = 0
                        while _ZERO <= text[_at(p)] <= _NINE:
                            value = value * 10 + (int(text[_at(p)]) - _ZERO)
                            p += 1
                        good = good and 0 < p - q <= _MOST_DIGITS and value <= 65535
                        if key != PL:
                            break
                        first_pl, second_pl, third_pl = second_pl, third_pl, value
                        likelihoods += 1
                        if text[_at(p)] != _COMMA:
                            break
                        p += 1
                    if key == DP:
                        depth = value
                        bits |= HAS_DP
                    elif key == MIN_DP:
                        least = value
                        bits |= HAS_MIN_DP
                    elif key == GQ:
                        quality = value
                        bits |= HAS_GQ
                        good = good and value <= 255
                    else:
                        bits |= HAS_PL
                elif key == 0:
                    good = text[_at(p)] != _COLON
                    while text[_at(p)] != _COLON and text[_at(p)] != _NEWLINE and text[_at(p)] != _TAB:
                        p += 1
                else:
                    good = text[_at(p)] == _DOT
                    p += 1
                k += 1
                if text[_at(p)] != _COLON or k == used:
                    break
                p += 1
            good = good and text[_at(p)] == _NEWLINE and text[_at(p - 1)] != _COLON and genotyped
            if bits & HAPLOID:
                first_pl, second_pl, third_pl = second_pl, third_pl, 0
                good = good and (likelihoods == 0 or likelihoods == 2)
            else:
                good = good and (likelihoods == 0 or likelihoods == 3)
            if good and position >= first:
                good = agrees(base, int(bases[position - first]))

            if good:
                if position > reach + 1 or stretch < 0:
                    if stretch >= 0:
                        covered[stretch, 1] = reach
                    stretch += 1
                    covered[stretch, 0] = position
                    reach = stops
                elif stops > reach:
                    reach = stops
                before = position
                found += int(position >= first)
                kind = NOTHING
                if stops >= first:
                    start[_at(rows)] = position
                    end[_at(rows)] = stops
                    form[_at(rows)] = bits
                    gq[_at(rows)] = quality
                    min_dp[_at(rows)] = least
                    dp[_at(rows)] = depth
                    pl0[_at(rows)] = first_pl
                    pl1[_at(rows)] = second_pl
                    pl2[_at(rows)] = third_pl
                    rows += 1
                    kind = A_BLOCK
                at = p + 1
                continue

        counts[BLOCKS], counts[KIND], counts[BEFORE], counts[FOUND] = rows, kind, before, found
        counts[COVERED] = stretch + 1
        if stretch >= 0:
            covered[stretch, 1] = reach
        counts[HERE] = at
        if outcome == _UNUSUAL:
            outcome = read_record(
                *(text, at, first, haploid, bases, formats, keys),
                *(counts, figures, ranked, lists, heap, covered),
            )
        if outcome == BLOCK:
            start[rows], end[rows], form[rows] = counts[BEFORE], counts[PLACES], counts[PLACES + 1]
            gq[rows], min_dp[rows], dp[rows] = counts[PLACES + 2], counts[PLACES + 3], counts[PLACES + 4]
            pl0[rows], pl1[rows], pl2[rows] = counts[PLACES + 5], counts[PLACES + 6], counts[PLACES + 7]
            counts[BLOCKS] = rows + 1
            counts[KIND] = A_BLOCK
            outcome = FINISHED
        if outcome != FINISHED:
            return outcome
        at = counts[HERE]
        rows, kind, before, found = counts[BLOCKS], counts[KIND], counts[BEFORE], counts[FOUND]
        stretch = counts[COVERED] - 1
        reach = covered[stretch, 1] if stretch >= 0 else -1
    counts[BLOCKS], counts[KIND], counts[BEFORE], counts[FOUND] = rows, kind, before, found
    counts[COVERED] = stretch + 1
    if stretch >= 0:
        covered[stretch, 1] = reach
    counts[HERE] = at
    return FINISHED


@compiled
def _non_ref(text: Bytes, p: int) -> bool:
    """`<NON_REF>` and a tab stand at `p`."""
    for k in range(len(_ALT)):  # noqa: SIM110 (compiled code has no generators)
        if text[_at(p + k)] != _ALT[k]:
            return False
    return True


@compiled
def _end(text: Bytes, p: int) -> bool:
    """`END=` stands at `p`."""
    return bool((text[_at(p)] == 69 and text[_at(p + 1)] == 78) and (text[_at(p + 2)] == 68 and text[_at(p + 3)] == 61))


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
