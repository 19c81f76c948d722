"""Where the records of an interval begin in an indexed file: tabix's linear index (doi:10.1093/bioinformatics/btq671).

Read by compiled code: a whole genome's index has 190,000 bins, and an interval's task reads one for each sample.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from chassis.tools.index_content import stale, unpacked
from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.tables import Bytes

_SHIFT = 14
"""The linear index has one entry for each 16 kb."""


def first_offset(index: Path, *, contig: str, start: int) -> int | None:
    """Virtual offset of the first record that may overlap `start` (1-based) or lie behind it; None when the contig has
    none. Raises Rejected INDEX_STALE."""
    try:
        text = unpacked(index)
        magic, _, preset, *_, length = struct.unpack_from("<4siiiiiiii", text)
        if magic != b"TBI\x01" or preset & 0xFFFF != 2:
            raise ValueError("no tabix index of a VCF")
        names = text[36 : 36 + length].split(b"\0")[:-1]
        if contig.encode() not in names:
            return None
        offset = _offset(
            np.frombuffer(text, np.uint8), 36 + length, names.index(contig.encode()), (start - 1) >> _SHIFT
        )
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise stale(index, f"the index cannot be used ({type(error).__name__})") from error
    if offset == _CUT:
        raise stale(index, "the index ends within a contig")
    return None if offset == _NONE else offset


_NONE, _CUT = -1, -2


@compiled
def _number(text: Bytes, at: int, size: int) -> int:
    value = 0
    for k in range(size):
        value |= int(text[at + k]) << (8 * k)
    return value


@compiled
def _offset(text: Bytes, at: int, contig: int, window: int) -> int:
    """Of `window` in the `contig`-th linear index, those of the contigs lying end to end from `at` on."""
    for passed in range(contig + 1):
        if at + 4 > len(text):
            return -2
        bins = _number(text, at, 4)
        at += 4
        for _ in range(bins):
            if at + 8 > len(text):
                return -2
            at += 8 + 16 * _number(text, at + 4, 4)
        if at + 4 > len(text):
            return -2
        windows = _number(text, at, 4)
        at += 4
        if passed < contig:
            at += 8 * windows
        elif at + 8 * windows > len(text):
            return -2
        elif window >= windows:
            return -1
        else:
            # windows in front of the contig's first record hold 0
            for one in range(window, windows):
                offset = _number(text, at + 8 * one, 8)
                if offset > 0:
                    return offset
    return -1
