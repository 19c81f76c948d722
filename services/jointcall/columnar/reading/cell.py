"""INFO and the sample's column of an explicit record to its figures, compiled."""

from __future__ import annotations

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.compiled import unsigned as _at
from services.jointcall.columnar.reading import columns as c
from services.jointcall.columnar.reading.figures import LARGEST, decimal, values, whole
from services.jointcall.columnar.reading.keys import (
    AD,
    DP,
    END,
    FIRST_KEY,
    FIRST_RANKED,
    GQ,
    GT,
    HASH,
    INFO_DP,
    KEYS,
    MIN_DP,
    PGT,
    PID,
    PL,
    RAW_MQ,
    SB,
    info_key,
)
from services.jointcall.columnar.tables import PHASED, Bytes, Floats, Ints, Longs

_COMMA, _DOT, _SLASH, _COLON, _SEMICOLON, _EQUALS, _BAR = 44, 46, 47, 58, 59, 61, 124
_SPANS = 10
_MOST_ALLELE = 127


@compiled
def read_info(text: Bytes, begin: int, end: int, keys: Bytes, mine: Longs, ranked: Floats) -> bool:
    """INFO into a record's figures; False where a key is not declared, one that is taken stands twice, or its value is
    no figure."""
    if end - begin == 1 and text[_at(begin)] == _DOT:
        return True
    met = 0
    p = begin
    while True:
        q = p
        value = 0
        while q < end and text[_at(q)] != _EQUALS and text[_at(q)] != _SEMICOLON:
            value = (value * 31 + int(text[_at(q)])) & HASH
            q += 1
        key = info_key(text, p, q, value, keys)
        if key < 0:
            return False
        p = q
        while q < end and text[_at(q)] != _SEMICOLON:
            q += 1
        if key > 0:
            if p == q or met & (1 << key):
                return False
            met |= 1 << key
            p += 1
            if key >= FIRST_RANKED:
                right, number = decimal(text, p, q)
                if not right:
                    return False
                ranked[key - FIRST_RANKED] = number
            else:
                comma = p
                while key == RAW_MQ and comma < q and text[_at(comma)] != _COMMA:
                    comma += 1
                figure = whole(text, comma + 1 if p < comma < q else p, q)
                if figure < -1 or (key != RAW_MQ and figure > LARGEST):
                    return False
                if key == INFO_DP:
                    mine[c.INFO_DP] = figure
                elif key == END:
                    mine[c.END] = figure if figure >= 0 else mine[c.END]
                elif p < comma < q:
                    mine[c.MQ_SUM], mine[c.MQ_DEPTH] = whole(text, p, comma), figure
                    if mine[c.MQ_SUM] < -1 or (mine[c.MQ_SUM] < 0) != (figure < 0):
                        return False
                elif figure != -1:
                    return False
        if q == end:
            return True
        p = q + 1


@compiled
def read_cell(
    text: Bytes,
    begin: int,
    stop: int,
    haploid: bool,
    formats: Ints,
    row: int,
    mine: Longs,
    counts: Longs,
    lists: Ints,
) -> bool:
    """The sample's column into a record's figures, AD and PL behind the end of `lists`, where PGT and PID begin and end
    into counts[PLACES] and behind (both ends -1: they are not there); False where it is wrong."""
    for k in range(_SPANS):
        counts[c.PLACES + k] = -(k & 1)
    alleles, likelihoods = 0, 0
    alts = mine[c.ALTS]
    p = begin
    k = 0
    while True:
        q = p
        while q < stop and text[_at(q)] != _COLON:
            q += 1
        if k == formats[row, KEYS] or q == p:
            return False
        key = formats[row, FIRST_KEY + k]
        if key == 0 or (q - p == 1 and text[_at(p)] == _DOT):
            pass
        elif key == GT:
            alleles = _genotype(text, p, q, alts + 2, mine)
            if alleles < 1:
                return False
        elif key in (AD, PL, SB, PGT, PID):
            place = c.PLACES + (0 if key == PGT else 2 if key == PID else 4 if key == AD else 6 if key == PL else 8)
            counts[place], counts[place + 1] = p, q
        else:
            figure = whole(text, p, q)
            if figure < 0 or figure > LARGEST:
                return False
            mine[c.GQ if key == GQ else c.DP if key == DP else c.MIN_DP if key == MIN_DP else c.PS] = figure
        if q == stop:
            break
        p = q + 1
        k += 1
    # AD in front of PL, however FORMAT has them; SB has four figures of its own
    used = counts[c.LISTS_USED]
    for k in (8, 4, 6):
        p, q = counts[c.PLACES + k], counts[c.PLACES + k + 1]
        if q >= 0:
            found = values(text, p, q, lists, used)
            there = lists[used] >= 0
            if k == 8:
                if found != 4:
                    return False
                for n in range(4):
                    mine[c.SB + n] = lists[used + n]
            elif k == 4:
                if found != alts + 2:
                    return False
                mine[c.ADS] = found if there else 0
                used += mine[c.ADS]
            else:
                if found < 0:
                    return False
                likelihoods = found
                mine[c.PLS] = found if there else 0
    genotypes = (alts + 2) * (alts + 3) // 2
    if alleles == 0:
        # GT is `.`: its likelihoods tell how many alleles it has
        alleles = 2 if likelihoods == genotypes else 1
    elif alleles == 1 and not haploid:
        return False
    mine[c.PLOIDY] = alleles
    return likelihoods == 0 or likelihoods == (genotypes if alleles == 2 else alts + 2)


@compiled
def _genotype(text: Bytes, begin: int, end: int, alleles: int, mine: Longs) -> int:
    """How many alleles GT has, 1 or 2; 0 where it is wrong."""
    place = 0
    p = begin
    while True:
        q = p
        while q < end and text[_at(q)] != _SLASH and text[_at(q)] != _BAR:
            q += 1
        allele = whole(text, p, q)
        if allele < -1 or allele > min(alleles - 1, _MOST_ALLELE) or place == 2:
            return 0
        mine[c.ALLELE + place] = allele
        place += 1
        if q == end:
            return place
        if text[_at(q)] == _BAR:
            mine[c.FLAGS] |= PHASED
        p = q + 1
