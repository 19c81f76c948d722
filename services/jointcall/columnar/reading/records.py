"""Any record line of a gVCF, compiled: every check, and the explicit records' columns."""

from __future__ import annotations

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.reading.columns import (
    A_RECORD,
    ADS,
    BEFORE,
    HEAP,
    HERE,
    KIND,
    PLS,
    RECORDS,
    BlockColumns,
    RecordColumns,
)
from services.jointcall.columnar.reading.figures import decimal, whole
from services.jointcall.columnar.reading.grounds import FAULT, FINISHED, NEW_FORMAT, Ground
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
    PS,
    RAW_MQ,
    SB,
    Formats,
    InfoKeys,
    format_row,
    info_key,
    step,
)
from services.jointcall.columnar.reading.placing import add_block, add_string, agrees, cover, displace
from services.jointcall.columnar.tables import (
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    PHASED,
    RANKED,
    Bytes,
    Floats,
    Ints,
    Longs,
)

_TAB, _NEWLINE, _COMMA, _DOT, _SLASH, _COLON, _SEMICOLON, _EQUALS, _LESS, _BAR = 9, 10, 44, 46, 47, 58, 59, 61, 60, 124
_LARGEST = 2**31 - 1
_LARGEST_SUM = 10**17
_MOST_ALLELE = 127
_RANKED = len(RANKED)
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
    tabs = np.empty(9, np.int64)
    found = 0
    stop = at
    while text[stop] != _NEWLINE:
        if text[stop] == _TAB:
            if found < 9:
                tabs[found] = stop
            found += 1
        stop += 1
    if found != 9:
        return FAULT
    position = whole(text, tabs[0] + 1, tabs[1], _LARGEST)
    if position < 1 or position < counts[BEFORE]:
        return FAULT
    alts = _alts(text, tabs[3] + 1, tabs[4])
    bases = tabs[3] - tabs[2] - 1
    if alts < 0 or bases < 1:
        return FAULT
    row_of_format = format_row(text, tabs[7] + 1, tabs[8], formats)
    if row_of_format < 0:
        return NEW_FORMAT
    displace(position, ground.first, counts, blocks, records)
    row = counts[RECORDS]

    numbers = np.full(_NUMBERS, -1, np.int64)
    if not _info(text, tabs[6] + 1, tabs[7], keys, numbers, records.ranked[row]):
        return FAULT
    end = position + bases - 1
    if numbers[_END] >= 0:
        end = numbers[_END]
    if end < position or end > _LARGEST:
        return FAULT
    if not _cell(text, tabs[8] + 1, stop, alts, ground.haploid, formats, row_of_format, numbers, counts, records):
        return FAULT
    if position >= ground.first:
        for k in range(min(bases, len(ground.bases) - (position - ground.first))):
            if not agrees(text[tabs[2] + 1 + k], ground.bases[position - ground.first + k]):
                return FAULT
    if alts > 0 and bases > 1 and _plain_mnp(text, tabs[3] + 1, tabs[4], bases):
        return FAULT
    counts[HERE] = stop + 1
    if not cover(position, end, alts, ground.first, counts, covered):
        return FINISHED

    nameless = tabs[2] - tabs[1] == 2 and text[tabs[1] + 1] == _DOT
    if alts == 0 and bases == 1 and nameless and _fits_a_block(numbers, records, row, counts):
        form = HAPLOID if numbers[_PLOIDY] == 1 else 0
        form |= NO_CALL if numbers[_ALLELE] < 0 else 0
        form |= HAS_GQ if numbers[_GQ] >= 0 else 0
        form |= HAS_DP if numbers[_DP] >= 0 else 0
        form |= HAS_MIN_DP if numbers[_MIN_DP] >= 0 else 0
        at = counts[PLS]
        pl0, pl1, pl2 = 0, 0, 0
        if numbers[_PLS] > 0:
            form |= HAS_PL
            pl0, pl1 = records.pl[at], records.pl[at + 1]
            pl2 = records.pl[at + 2] if numbers[_PLS] == 3 else 0
        gq, min_dp, dp = max(numbers[_GQ], 0), max(numbers[_MIN_DP], 0), max(numbers[_DP], 0)
        add_block(position, end, form, gq, min_dp, dp, pl0, pl1, pl2, counts, blocks)
        return FINISHED

    records.start[row] = position
    records.end[row] = end
    records.flags[row] = PHASED if numbers[_PHASED] > 0 else 0
    records.ploidy[row] = numbers[_PLOIDY]
    records.gt[row, 0] = numbers[_ALLELE]
    records.gt[row, 1] = numbers[_ALLELE + 1]
    records.gq[row] = numbers[_GQ]
    records.dp[row] = numbers[_DP]
    records.min_dp[row] = numbers[_MIN_DP]
    for k in range(4):
        records.sb[row, k] = numbers[_SB + k]
    records.ps[row] = numbers[_PS]
    records.info_dp[row] = numbers[_INFO_DP]
    records.mq_sum[row] = numbers[_MQ_SUM]
    records.mq_depth[row] = numbers[_MQ_SUM + 1]
    counts[ADS] += numbers[_ADS]
    counts[PLS] += numbers[_PLS]
    add_string(text, tabs[2] + 1, tabs[3], counts, records)
    p = tabs[3] + 1
    for _ in range(alts):
        q = p
        while text[q] != _COMMA:
            q += 1
        add_string(text, p, q, counts, records)
        p = q + 1
    add_string(text, tabs[1] + 1, tabs[1] if nameless else tabs[2], counts, records)
    for field in (_PGT, _PID):
        add_string(text, numbers[field], numbers[field + 1], counts, records)
    records.alt_rows[row + 1] = records.alt_rows[row] + alts
    records.ad_rows[row + 1] = counts[ADS]
    records.pl_rows[row + 1] = counts[PLS]
    records.heap_rows[row + 1] = counts[HEAP]
    counts[RECORDS] = row + 1
    counts[KIND] = A_RECORD
    return FINISHED


# what a record's numbers are, by their place; -1 is absent
_END, _INFO_DP, _MQ_SUM, _GQ, _DP, _MIN_DP, _PS, _ADS, _PLS, _PLOIDY, _PHASED = 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11
_ALLELE, _SB, _PGT, _PID, _NUMBERS = 12, 14, 18, 20, 22


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
def _plain_mnp(text: Bytes, begin: int, end: int, bases: int) -> bool:
    """Every ALT in front of `<NON_REF>` is a sequence as long as REF."""
    p = begin
    while True:
        q = p
        while q < end and text[q] != _COMMA:
            q += 1
        if q == end:
            return True
        if q - p != bases or text[p] == _LESS:
            return False
        p = q + 1


@compiled
def _info(text: Bytes, begin: int, end: int, keys: InfoKeys, numbers: Longs, ranked: Floats) -> bool:
    """INFO into `numbers` and `ranked`; False where a key is not declared or a value is no figure."""
    ranked[:] = np.nan
    if end - begin == 1 and text[begin] == _DOT:
        return True
    met = 0
    p = begin
    while True:
        q = p
        value = 0
        while q < end and text[q] != _EQUALS and text[q] != _SEMICOLON:
            value = step(value, text[q])
            q += 1
        key = info_key(text, p, q, value, keys)
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
                right, ranked[key - FIRST_RANKED] = decimal(text, p, q)
                if not right:
                    return False
            elif key == RAW_MQ:
                comma = p
                while comma < q and text[comma] != _COMMA:
                    comma += 1
                if comma < q:
                    numbers[_MQ_SUM] = whole(text, p, comma, _LARGEST_SUM)
                    numbers[_MQ_SUM + 1] = whole(text, comma + 1, q, _LARGEST_SUM)
                    if numbers[_MQ_SUM] < 0 or numbers[_MQ_SUM + 1] < 0:
                        return False
                elif whole(text, p, q, 0) != -1:
                    return False
            else:
                number = whole(text, p, q, _LARGEST)
                if number < -1:
                    return False
                numbers[_END if key == END else _INFO_DP] = number
        if q == end:
            return True
        p = q + 1


@compiled
def _cell(
    text: Bytes,
    begin: int,
    stop: int,
    alts: int,
    haploid: bool,
    formats: Formats,
    row: int,
    numbers: Longs,
    counts: Longs,
    records: RecordColumns,
) -> bool:
    """The sample's column into `numbers`, AD and PL behind the ends of theirs; False where it is wrong."""
    numbers[_PHASED] = numbers[_ADS] = numbers[_PLS] = 0
    numbers[_PGT] = numbers[_PID] = 0  # with -1 behind it: no string
    alleles, likelihoods = 0, 0
    p = begin
    k = 0
    while True:
        q = p
        while q < stop and text[q] != _COLON:
            q += 1
        if k == formats.width[row] or q == p:
            return False
        key = formats.keys[row, k]
        if q - p == 1 and text[p] == _DOT:
            pass
        elif key == GT:
            alleles = _genotype(text, p, q, alts + 2, numbers)
            if alleles < 1:
                return False
        elif key in (GQ, DP, MIN_DP, PS):
            number = whole(text, p, q, _LARGEST)
            if number < 0:
                return False
            numbers[_GQ if key == GQ else _DP if key == DP else _MIN_DP if key == MIN_DP else _PS] = number
        elif key == AD:
            found, numbers[_ADS] = _list(text, p, q, records.ad, counts[ADS])
            if found != alts + 2:
                return False
        elif key == PL:
            likelihoods, numbers[_PLS] = _list(text, p, q, records.pl, counts[PLS])
            if likelihoods < 0:
                return False
        elif key == SB:
            four = np.empty((q - p) // 2 + 2, np.int32)
            found, held = _list(text, p, q, four, 0)
            if found != 4:
                return False
            for n in range(held):
                numbers[_SB + n] = four[n]
        elif key in (PGT, PID):
            numbers[_PGT if key == PGT else _PID] = p
            numbers[(_PGT if key == PGT else _PID) + 1] = q
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
    numbers[_PLOIDY] = alleles
    return likelihoods == 0 or likelihoods == (genotypes if alleles == 2 else alts + 2)


@compiled
def _genotype(text: Bytes, begin: int, end: int, alleles: int, numbers: Longs) -> int:
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
        numbers[_ALLELE + place] = allele
        place += 1
        if q == end:
            return place
        if text[q] == _BAR:
            numbers[_PHASED] = 1
        p = q + 1


@compiled
def _list(text: Bytes, begin: int, end: int, into: Ints, at: int) -> tuple[int, int]:
    """(values that stand there, values put `into`): none is put when each of them is `.`; -1 where only some are, or
    one is no figure."""
    found, missing = 0, 0
    p = begin
    while True:
        q = p
        while q < end and text[q] != _COMMA:
            q += 1
        value = whole(text, p, q, _LARGEST)
        if value < -1:
            return -1, 0
        missing += int(value < 0)
        into[at + found] = value
        found += 1
        if q == end:
            break
        p = q + 1
    if missing == found:
        return found, 0
    return (-1, 0) if missing else (found, found)


@compiled
def _fits_a_block(numbers: Longs, records: RecordColumns, row: int, counts: Longs) -> bool:
    """A record with `<NON_REF>` alone has nothing that a block's columns do not hold."""
    if numbers[_INFO_DP] >= 0 or numbers[_MQ_SUM] >= 0 or numbers[_ADS] > 0 or numbers[_SB] >= 0:
        return False
    if numbers[_PHASED] > 0 or numbers[_PS] >= 0 or numbers[_PGT + 1] >= 0 or numbers[_PID + 1] >= 0:
        return False
    if numbers[_GQ] > 255 or numbers[_DP] > 65535 or numbers[_MIN_DP] > 65535:
        return False
    if numbers[_ALLELE] > 0 or (numbers[_PLOIDY] == 2 and numbers[_ALLELE + 1] != numbers[_ALLELE]):
        return False
    for k in range(_RANKED):
        if not np.isnan(records.ranked[row, k]):
            return False
    for k in range(numbers[_PLS]):  # noqa: SIM110 (compiled code has no generators)
        if records.pl[counts[PLS] + k] > 65535:
            return False
    return True
