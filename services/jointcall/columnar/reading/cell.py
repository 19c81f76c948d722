"""INFO and the sample's column of an explicit record to its figures, compiled."""

from __future__ import annotations

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading import columns as c
from services.jointcall.columnar.reading.figures import decimal, values, whole
from services.jointcall.columnar.reading.keys import (
    AD,
    DP,
    END,
    FIRST_RANKED,
    GQ,
    GT,
    MIN_DP,
    PGT,
    PID,
    PL,
    RAW_MQ,
    SB,
    info_key,
    step,
)
from services.jointcall.columnar.tables import PHASED, Bytes, Floats, Ints, Longs

_DOT, _SLASH, _COLON, _SEMICOLON, _EQUALS, _BAR = 46, 47, 58, 59, 61, 124
_LARGEST = 2**31 - 1
_LARGEST_SUM = 10**17
_MOST_ALLELE = 127


@compiled
def read_info(
    text: Bytes,
    begin: int,
    end: int,
    slots: Ints,
    names: Bytes,
    names_at: Ints,
    taken_as: Bytes,
    mine: Longs,
    ranked: Floats,
) -> bool:
    """INFO into a record's figures; False where a key is not declared, one that is taken stands twice, or its value is
    no figure."""
    if end - begin == 1 and text[begin] == _DOT:
        return True
    met = 0
    p = begin
    while True:
        q = p
        value = 0
        while q < end and text[q] != _EQUALS and text[q] != _SEMICOLON:
            value = step(value, int(text[q]))
            q += 1
        key = info_key(text, p, q, value, slots, names, names_at, taken_as)
        if key < 0:
            return False
        p = q
        while q < end and text[q] != _SEMICOLON:
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
            elif key == RAW_MQ:
                if q - p != 1 or text[p] != _DOT:
                    found, put = values(text, p, q, mine, c.MQ_SUM, 2, _LARGEST_SUM)
                    if found != 2:
                        return False
                    if put == 0:
                        mine[c.MQ_SUM] = mine[c.MQ_DEPTH] = -1
            else:
                figure = whole(text, p, q, _LARGEST)
                if figure < -1:
                    return False
                if key != END:
                    mine[c.INFO_DP] = figure
                elif figure >= 0:
                    mine[c.END] = figure
        if q == end:
            return True
        p = q + 1


@compiled
def read_cell(
    text: Bytes,
    begin: int,
    stop: int,
    haploid: bool,
    key_of: Bytes,
    keys: int,
    mine: Longs,
    counts: Longs,
    ad: Ints,
    pl: Ints,
    spans: Longs,
) -> bool:
    """The sample's column into a record's figures, AD and PL behind the ends of theirs, where PGT and PID begin and end
    into `spans` (both ends -1: they are not there); False where it is wrong."""
    spans[0] = spans[2] = 0
    spans[1] = spans[3] = -1
    alleles, likelihoods = 0, 0
    alts = mine[c.ALTS]
    p = begin
    k = 0
    while True:
        q = p
        while q < stop and text[q] != _COLON:
            q += 1
        if k == keys or q == p:
            return False
        key = key_of[k]
        if key == 0 or (q - p == 1 and text[p] == _DOT):
            pass
        elif key == GT:
            alleles = _genotype(text, p, q, alts + 2, mine)
            if alleles < 1:
                return False
        elif key == AD:
            found, mine[c.ADS] = values(text, p, q, ad, counts[c.AD_USED], alts + 2, _LARGEST)
            if found != alts + 2:
                return False
        elif key == PL:
            likelihoods, mine[c.PLS] = values(text, p, q, pl, counts[c.PL_USED], _LARGEST, _LARGEST)
            if likelihoods < 0:
                return False
        elif key == SB:
            found, put = values(text, p, q, mine, c.SB, 4, _LARGEST)
            if found != 4:
                return False
            if put == 0:
                mine[c.SB : c.SB + 4] = -1
        elif key == PGT:
            spans[0], spans[1] = p, q
        elif key == PID:
            spans[2], spans[3] = p, q
        else:
            figure = whole(text, p, q, _LARGEST)
            if figure < 0:
                return False
            mine[c.GQ if key == GQ else c.DP if key == DP else c.MIN_DP if key == MIN_DP else c.PS] = figure
        if q == stop:
            break
        p = q + 1
        k += 1
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
        while q < end and text[q] != _SLASH and text[q] != _BAR:
            q += 1
        allele = whole(text, p, q, min(alleles - 1, _MOST_ALLELE))
        if allele < -1 or place == 2:
            return 0
        mine[c.ALLELE + place] = allele
        place += 1
        if q == end:
            return place
        if text[q] == _BAR:
            mine[c.FLAGS] |= PHASED
        p = q + 1
