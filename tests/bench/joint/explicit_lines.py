"""A record with an allele, as HaplotypeCaller writes it: reads are drawn, and likelihoods, genotype and INFO follow.

A read costs a genotype nothing (in phred) when both of its alleles are the read's, 3.01 when one is, and some 34 when
none is: so the likelihoods in real gVCFs add up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from tests.bench.joint.carried import CANDIDATE, STAR
from tests.bench.joint.dice import State, below, binomial, hashed, uniform
from tests.bench.joint.digits import Text, put, put_decimal, put_letter, put_number

LONGEST_LINE = 1200
PHASED_BP = 40
"""Heterozygous records nearer than this are on common reads in one assembled region."""
HALF_PHRED = 3.01
CANDIDATE_INDEL_SHARE = 10  # in 100

_TO_ID = np.frombuffer(b"\t.\t", np.uint8)
_NON_REF = np.frombuffer(b",<NON_REF>\t", np.uint8)
_FILTER = np.frombuffer(b"\t.\t", np.uint8)
_BASE_Q = np.frombuffer(b"BaseQRankSum=", np.uint8)
_DP = np.frombuffer(b"DP=", np.uint8)
_EXCESS_HET = np.frombuffer(b";ExcessHet=0.0000;MLEAC=", np.uint8)
_MLEAF = np.frombuffer(b";MLEAF=", np.uint8)
_MQ_RANK = np.frombuffer(b";MQRankSum=", np.uint8)
_RAW_MQ = np.frombuffer(b";RAW_MQandDP=", np.uint8)
_READ_POS = np.frombuffer(b";ReadPosRankSum=", np.uint8)
_FORMAT = np.frombuffer(b"\tGT:AD:DP:GQ:PL:SB\t", np.uint8)
_PHASED_FORMAT = np.frombuffer(b"\tGT:AD:DP:GQ:PGT:PID:PL:PS:SB\t", np.uint8)
_AF_0, _AF_HALF, _AF_1 = (np.frombuffer(text, np.uint8) for text in (b"0.00", b"0.500", b"1.00"))
_ACGT = np.frombuffer(b"ACGT", np.uint8)
_TAB, _NEWLINE, _COLON, _COMMA, _SEMICOLON, _SLASH, _BAR, _STAR, _UNDERLINE, _0 = 9, 10, 58, 44, 59, 47, 124, 42, 95, 48


@compiled
def candidate_kind(position: int) -> int:
    """0: another base; 1 to 3: so many bases deleted; -1: one inserted."""
    drawn = hashed(position) % 100
    if drawn >= CANDIDATE_INDEL_SHARE:
        return 0
    return -1 if drawn < CANDIDATE_INDEL_SHARE // 2 else 1 + drawn % 3


@compiled
def record_bp(
    record: int,
    at: NDArray[np.int32],
    of: NDArray[np.int32],
    pair: NDArray[np.int8],
    rows: NDArray[np.int64],
    ref_bp: NDArray[np.int32],
) -> int:
    """Length of REF: the longest that the person's alleles need."""
    if of[record] == CANDIDATE:
        return 1 + max(0, candidate_kind(at[record]))
    long = 1
    for which in range(2):
        allele = pair[record, which]
        if allele and allele != STAR:
            long = max(long, ref_bp[rows[of[record]] + allele - 1])
    return long


@compiled
def put_alt(
    out: Text,
    size: int,
    record: int,
    allele: int,
    long: int,
    reference: Text,
    at: NDArray[np.int32],
    of: NDArray[np.int32],
    rows: NDArray[np.int64],
    ref_bp: NDArray[np.int32],
    alt_rows: NDArray[np.int64],
    alt: Text,
) -> int:
    """The allele over the record's whole REF of `long` bases."""
    begin = at[record]
    if allele == STAR:
        return put_letter(out, size, _STAR)
    if of[record] == CANDIDATE:
        kind = candidate_kind(begin)
        if kind == 0:
            step = 1 + hashed(begin + 7) % 3
            code = 0
            while _ACGT[code] != reference[begin]:
                code += 1
            return put_letter(out, size, _ACGT[(code + step) % 4])
        size = put_letter(out, size, reference[begin])
        return put_letter(out, size, reference[begin + 1]) if kind < 0 else size
    row = rows[of[record]] + allele - 1
    size = put(out, size, alt[alt_rows[row] : alt_rows[row + 1]])
    return put(out, size, reference[begin + ref_bp[row] : begin + long])


@compiled
def put_rank(out: Text, size: int, stream: State) -> int:
    """About normal, three decimals."""
    sum_ = 0.0
    for _ in range(4):
        sum_ += uniform(stream) - 0.5
    return put_decimal(out, size, int(sum_ * 1732), 3)


@compiled
def put_record(
    out: Text,
    size: int,
    stream: State,
    contig: Text,
    origin: int,
    reference: Text,
    depth: NDArray[np.int16],
    at: NDArray[np.int32],
    of: NDArray[np.int32],
    pair: NDArray[np.int8],
    rows: NDArray[np.int64],
    ref_bp: NDArray[np.int32],
    alt_rows: NDArray[np.int64],
    alt: Text,
    record: int,
    group: NDArray[np.int64],
) -> tuple[int, int]:
    """The place behind the line, and 1 when an allele is called."""
    begin, reads = at[record], int(depth[at[record]])
    # the alleles of the line: REF, those that the person has in the site's order (`*` last), <NON_REF>
    listed = np.zeros(4, np.int64)
    first, second = min(pair[record, 0], pair[record, 1]), max(pair[record, 0], pair[record, 1])
    alts = 0
    if of[record] == CANDIDATE:
        alts, listed[1] = 1, 1
    else:
        if first:
            alts += 1
            listed[alts] = first
        if second != first:
            alts += 1
            listed[alts] = second
    own = np.zeros(2, np.int64)
    for which in range(2):
        for place in range(1, alts + 1):
            if of[record] != CANDIDATE and pair[record, which] == listed[place]:
                own[which] = place
    alleles = alts + 2
    # reads
    counts = np.zeros(4, np.int64)
    if of[record] == CANDIDATE:
        odd = 1 if uniform(stream) < 0.7 else 2
        counts[1] = min(odd, reads - 1)
        counts[0] = reads - counts[1]
    elif own[0] == own[1]:
        counts[0] = binomial(stream, reads, 0.004)
        counts[own[0]] = reads - counts[0]
    else:
        counts[own[0]] = binomial(stream, reads, 0.5)
        counts[own[1]] = reads - counts[own[0]]
    wrong = 34.0 - 6.0 * uniform(stream)
    # likelihoods, in VCF's order of genotypes
    costs = np.zeros(10)
    genotypes = alleles * (alleles + 1) // 2
    best, genotype = 1e18, 0
    called_one, called_two = 0, 0
    for two in range(alleles):
        for one in range(two + 1):
            cost = 0.0
            for allele in range(alleles - 1):
                hits = (1 if allele == one else 0) + (1 if allele == two else 0)
                cost += counts[allele] * (0.0 if hits == 2 else HALF_PHRED if hits == 1 else wrong)
            costs[genotype] = cost
            if cost < best:
                best, called_one, called_two = cost, one, two
            genotype += 1
    likelihoods = np.zeros(10, np.int64)
    gq = 1 << 40
    for genotype in range(genotypes):
        likelihoods[genotype] = np.int64(costs[genotype] - best + 0.5)
    zero_seen = False
    for genotype in range(genotypes):
        if likelihoods[genotype] == 0 and not zero_seen:
            zero_seen = True
        else:
            gq = min(gq, likelihoods[genotype])
    gq = min(gq, 99)
    called = 1 if called_two > 0 else 0
    # phase set: a heterozygous record of two alleles near the last such one, or the first of a pair
    phased, turned = False, False
    if alts == 1 and called_one == 0 and called_two == 1 and of[record] != CANDIDATE:
        haplotype = 0 if pair[record, 0] else 1
        if group[0] >= 0 and begin - group[1] <= PHASED_BP:
            phased, turned = True, haplotype != group[2]
        else:
            group[0], group[2] = record, haplotype
            follows = record + 1
            while follows < len(at) and at[follows] - begin <= PHASED_BP:
                if of[follows] != CANDIDATE and (pair[follows, 0] == 0) != (pair[follows, 1] == 0):
                    phased = True
                follows += 1
        group[1] = begin
    long = record_bp(record, at, of, pair, rows, ref_bp)

    size = put(out, size, contig)
    size = put_number(out, size, origin + begin)
    size = put(out, size, _TO_ID)
    size = put(out, size, reference[begin : begin + long])
    size = put_letter(out, size, _TAB)
    for place in range(1, alts + 1):
        if place > 1:
            size = put_letter(out, size, _COMMA)
        size = put_alt(out, size, record, listed[place], long, reference, at, of, rows, ref_bp, alt_rows, alt)
    size = put(out, size, _NON_REF)
    if called:
        size = put_decimal(out, size, max(1, likelihoods[0] - 8) * 100 + (60 if called_one == 0 else 6), 2)
    else:
        size = put_letter(out, size, _0)
    size = put(out, size, _FILTER)
    ranked = counts[0] > 0 and reads > counts[0]
    if ranked:
        size = put(out, size, _BASE_Q)
        size = put_rank(out, size, stream)
        size = put_letter(out, size, _SEMICOLON)
    size = put(out, size, _DP)
    seen = reads + max(0, below(stream, 6) - 3)
    size = put_number(out, size, seen)
    size = put(out, size, _EXCESS_HET)
    for place in range(1, alleles):
        if place > 1:
            size = put_letter(out, size, _COMMA)
        size = put_number(out, size, (1 if called_one == place else 0) + (1 if called_two == place else 0))
    size = put(out, size, _MLEAF)
    for place in range(1, alleles):
        if place > 1:
            size = put_letter(out, size, _COMMA)
        copies = (1 if called_one == place else 0) + (1 if called_two == place else 0)
        size = put(out, size, _AF_0 if copies == 0 else _AF_HALF if copies == 1 else _AF_1)
    if ranked:
        size = put(out, size, _MQ_RANK)
        size = put_rank(out, size, stream)
    size = put(out, size, _RAW_MQ)
    poor = binomial(stream, seen, 0.03)
    size = put_number(out, size, (seen - poor) * 3600 + poor * (400 + below(stream, 1200)))
    size = put_letter(out, size, _COMMA)
    size = put_number(out, size, seen)
    if ranked:
        size = put(out, size, _READ_POS)
        size = put_rank(out, size, stream)
    size = put(out, size, _PHASED_FORMAT if phased else _FORMAT)
    size = put_number(out, size, called_two if turned else called_one)
    size = put_letter(out, size, _BAR if phased else _SLASH)
    size = put_number(out, size, called_one if turned else called_two)
    size = put_letter(out, size, _COLON)
    for place in range(alleles):
        if place:
            size = put_letter(out, size, _COMMA)
        size = put_number(out, size, counts[place] if place <= alts else 0)
    size = put_letter(out, size, _COLON)
    size = put_number(out, size, reads)
    size = put_letter(out, size, _COLON)
    size = put_number(out, size, gq)
    size = put_letter(out, size, _COLON)
    if phased:
        size = put_number(out, size, 1 if turned else 0)
        size = put_letter(out, size, _BAR)
        size = put_number(out, size, 0 if turned else 1)
        size = put_letter(out, size, _COLON)
        lead = group[0]
        size = put_number(out, size, origin + at[lead])
        size = put_letter(out, size, _UNDERLINE)
        lead_bp = record_bp(lead, at, of, pair, rows, ref_bp)
        size = put(out, size, reference[at[lead] : at[lead] + lead_bp])
        size = put_letter(out, size, _UNDERLINE)
        size = put_alt(
            out, size, lead, max(pair[lead, 0], pair[lead, 1]), lead_bp, reference, at, of, rows, ref_bp, alt_rows, alt
        )
        size = put_letter(out, size, _COLON)
    for genotype in range(genotypes):
        if genotype:
            size = put_letter(out, size, _COMMA)
        size = put_number(out, size, likelihoods[genotype])
    size = put_letter(out, size, _COLON)
    if phased:
        size = put_number(out, size, origin + at[group[0]])
        size = put_letter(out, size, _COLON)
    forward = binomial(stream, counts[0], 0.5)
    size = put_number(out, size, forward)
    size = put_letter(out, size, _COMMA)
    size = put_number(out, size, counts[0] - forward)
    size = put_letter(out, size, _COMMA)
    forward = binomial(stream, reads - counts[0], 0.5)
    size = put_number(out, size, forward)
    size = put_letter(out, size, _COMMA)
    size = put_number(out, size, reads - counts[0] - forward)
    return put_letter(out, size, _NEWLINE), called
