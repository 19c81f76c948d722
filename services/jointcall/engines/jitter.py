"""QD where GATK draws it by lot, made a function of the allele so that cutting a cohort otherwise changes no byte.

GATK replaces a raw QD of 35 or more by 30 + N(0, 3) from a generator that runs along with the traversal
(QualByDepth in 4.6.2.0), so the value depends on what was traversed before: on the chunks, on neighbours far away.
We draw from the same distribution with the allele as the seed. The raw value is QUAL over the summed AD of the
samples with a non-reference genotype: of those with more than one read that is not REF's, where there are any, else
of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist

HIGH_QD = 35.0
ROUNDING = 0.01  # QUAL is printed with two decimals, so the raw value is known to about 10^-4 of itself
DRAWN_FROM = NormalDist(30.0, 3.0)
_INFO, _FORMAT, _FIRST_SAMPLE = 7, 8, 9
_REFERENCE_CALLS = (b"0/0", b"0|0", b"./.", b".|.")


def settle(line: bytes) -> bytes:
    """The record with its drawn QD replaced; the same bytes where QD was computed, or is not there."""
    columns = line.split(b"\t")
    entries = columns[_INFO].split(b";")
    place = next((at for at, entry in enumerate(entries) if entry.startswith(b"QD=")), None)
    if place is None or columns[5] == b"." or len(columns) <= _FIRST_SAMPLE:
        return line
    depth = variant_depth(columns[_FORMAT], columns[_FIRST_SAMPLE:])
    if depth == 0 or float(columns[5]) / depth < HIGH_QD - ROUNDING:
        return line
    entries[place] = b"QD=%.2f" % drawn(b"\t".join((columns[0], columns[1], columns[3], columns[4])))
    columns[_INFO] = b";".join(entries)
    return b"\t".join(columns)


def variant_depth(layout: bytes, cells: Sequence[bytes]) -> int:
    """The depth that QD divides by, in reads; 0 when no sample has a non-reference genotype with reads."""
    keys = layout.split(b":")
    ad_at = keys.index(b"AD") if b"AD" in keys else None
    dp_at = keys.index(b"DP") if b"DP" in keys else None
    depth = supported = 0
    for cell in cells:
        if cell.startswith(_REFERENCE_CALLS):
            continue
        fields = cell.split(b":")
        alleles = set(fields[0].replace(b"|", b"/").split(b"/"))
        if b"." in alleles or alleles == {b"0"}:
            continue
        reads = _reads(fields, ad_at)
        if sum(reads):
            depth += sum(reads)
            supported += sum(reads) if sum(reads[1:]) > 1 else 0
        else:
            depth += sum(_reads(fields, dp_at))
    return supported or depth


def _reads(fields: Sequence[bytes], at: int | None) -> list[int]:
    if at is None or at >= len(fields):
        return [0]
    return [int(count) for count in fields[at].split(b",") if count != b"."] or [0]


def drawn(seed: bytes) -> float:
    """QD for an allele whose raw value is too high, of the distribution that GATK draws from."""
    number = int.from_bytes(hashlib.sha256(seed).digest()[:8], "big")
    return DRAWN_FROM.inv_cdf((number + 0.5) / 2**64)
