"""A person's gVCF body: blocks of bases whose GQ lies in one band, and explicit records between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from tests.bench.joint.dice import State
from tests.bench.joint.digits import Text, put, put_letter, put_number
from tests.bench.joint.explicit_lines import LONGEST_LINE, put_record, record_bp

LONGEST_BLOCK_LINE = 128
LEAST_READS = 2
"""Fewer, and HaplotypeCaller finds no candidate."""

_TO_REF = np.frombuffer(b"\t.\t", np.uint8)
_TO_END = np.frombuffer(b"\t<NON_REF>\t.\t.\tEND=", np.uint8)
_TO_CELL = np.frombuffer(b"\tGT:DP:GQ:MIN_DP:PL\t0/0:", np.uint8)
_COLON, _COMMA, _NEWLINE = 58, 44, 10

FINEST_BANDS = (*range(1, 61), 70, 80, 90, 99)
"""HaplotypeCaller's default: where a band of GQ begins, besides 0."""


def band_of_gq(begins: tuple[int, ...] = FINEST_BANDS) -> NDArray[np.uint8]:
    """(100,): each GQ's band."""
    return np.searchsorted(np.array(begins), np.arange(100), side="right").astype(np.uint8)


@compiled
def put_lines(
    out: Text,
    stream: State,
    contig: Text,
    origin: int,
    reference: Text,
    bands: NDArray[np.uint8],
    depth: NDArray[np.int16],
    pl1: NDArray[np.int16],
    pl2: NDArray[np.int16],
    at: NDArray[np.int32],
    of: NDArray[np.int32],
    pair: NDArray[np.int8],
    rows: NDArray[np.int64],
    ref_bp: NDArray[np.int32],
    alt_rows: NDArray[np.int64],
    alt: Text,
    counts: NDArray[np.int64],
) -> int:
    """Bytes written, or -1 when `out` was too small. `origin` is the 1-based position of the window's first base;
    `counts` becomes: blocks, explicit records, those with an allele called, then bases by their block's GQ, 0 to 99."""
    bases = len(depth)
    size, base, record, covered = 0, 0, 0, 0
    group = np.full(3, -1, np.int64)  # the phase set: its first record, where its last lies, that one's haplotype
    while base < bases or record < len(at):
        if size + LONGEST_LINE > len(out):
            return -1
        while record < len(at) and depth[at[record]] < LEAST_READS:
            record += 1
        begins = at[record] if record < len(at) else bases
        if base >= begins and record < len(at):
            counts[1] += 1
            size, called = put_record(
                out, size, stream, contig, origin, reference, depth, at, of, pair, rows, ref_bp, alt_rows, alt, record,
                group,
            )  # fmt: skip
            counts[2] += called
            covered = max(covered, begins + record_bp(record, at, of, pair, rows, ref_bp))
            record += 1
            base = max(base, min(covered, bases))
            continue
        if base >= bases:
            break
        # one block, up to the next explicit record
        gq = min(pl1[base], 99)
        band = bands[gq]
        last, least, low1, low2 = base, depth[base], pl1[base], pl2[base]
        while last + 1 < begins and bands[min(pl1[last + 1], 99)] == band:
            last += 1
            least, low1, low2 = min(least, depth[last]), min(low1, pl1[last]), min(low2, pl2[last])
        size = put(out, size, contig)
        size = put_number(out, size, origin + base)
        size = put(out, size, _TO_REF)
        size = put_letter(out, size, reference[base])
        size = put(out, size, _TO_END)
        size = put_number(out, size, origin + last)
        size = put(out, size, _TO_CELL)
        size = put_number(out, size, int(np.median(depth[base : last + 1])))
        size = put_letter(out, size, _COLON)
        size = put_number(out, size, min(low1, 99))
        size = put_letter(out, size, _COLON)
        size = put_number(out, size, least)
        size = put_letter(out, size, _COLON)
        size = put_number(out, size, 0)
        size = put_letter(out, size, _COMMA)
        size = put_number(out, size, low1)
        size = put_letter(out, size, _COMMA)
        size = put_number(out, size, max(low1, low2))
        size = put_letter(out, size, _NEWLINE)
        counts[0] += 1
        counts[3 + min(low1, 99)] += last + 1 - base
        base = last + 1
    return size
