"""What a stretch of gVCF is in memory: reference blocks and explicit records, sample by sample, as flat columns.

A window is a stretch of one contig. It stands for itself: the record of each sample that reaches into it from upstream
is there too. Positions are 1-based and ends inclusive. Columns are numpy arrays and the tables are tuples of them, so
that compiled code takes them as they are.

A block is what nearly all records of a gVCF are: `<NON_REF>` alone, 0/0 or no-call, small numbers. Whatever does not
fit that (an alternate allele, a depth or likelihood of 65,536 or more, GQ above 255, a FORMAT that is none of the usual
ones) is an explicit record, which holds anything.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# numpy types a value of an array otherwise than the same value of a loop over it: compiled code is full of both, so the
# names tell the reader the width, and the compiler, not the type checker, holds to it
Bytes = NDArray[Any]  # uint8
Shorts = NDArray[Any]  # uint16
Ints = NDArray[Any]  # int32
Longs = NDArray[Any]  # int64
Floats = NDArray[Any]  # float32

ABSENT = -1
"""In signed columns: the field is not there, or is `.`."""

# bits of Blocks.form
CONTINUED = 1  # began before the window; its first base here is the window's first
HAPLOID = 2  # GT has one allele, PL two values (pl0, pl1)
NO_CALL = 4  # GT is ./. or .
HAS_PL = 8
HAS_GQ = 16
HAS_DP = 32
HAS_MIN_DP = 64
USUAL_FORM = HAS_PL | HAS_GQ | HAS_DP | HAS_MIN_DP

# bits of Variants.flags
PHASED = 1  # GT is written with |

RANKED = ("BaseQRankSum", "ClippingRankSum", "MQRankSum", "ReadPosRankSum", "MQ", "MQ0", "ExcessHet")
"""INFO fields that are combined by their upper median, in the order of Variants.ranked."""


class Blocks(NamedTuple):
    """Reference blocks of n samples in one window, r rows. The rows of sample i are `rows[i]:rows[i + 1]`, by position.

    A sample's first block starts `gap` bases behind the window's first base, each further one `gap` bases behind the
    end of the one before. A block ends where the sample's next record of any kind begins, whatever its END said.
    """

    rows: Longs  # (n + 1,)
    gap: Shorts  # (r,) bases
    length: Shorts  # (r,) bases, 1 or more, none behind the window's end
    form: Bytes  # (r,) bits above
    gq: Bytes  # (r,) phred; 0 without HAS_GQ, and so on
    min_dp: Shorts  # (r,) reads
    dp: Shorts  # (r,) reads
    pl0: Shorts  # (r,) phred, of 0/0 (haploid: 0)
    pl1: Shorts  # (r,) of 0/<NON_REF> (haploid: <NON_REF>)
    pl2: Shorts  # (r,) of <NON_REF>/<NON_REF>; 0 when haploid


class Variants(NamedTuple):
    """Explicit records of n samples, r rows; `rows` as in Blocks. A record reaches from `start` to `end`, also into
    neighbouring windows; it is here when it starts in the window, or reaches into it with no later record of the sample
    starting in between and before the window. `<NON_REF>` is every record's last allele and stands in no column.

    Lists lie flat: those of row i are `values[x_rows[i]:x_rows[i + 1]]`, empty where the field is absent. Strings are
    codes into a table of them that belongs to the window; ABSENT is none.
    """

    rows: Longs  # (n + 1,)
    start: Ints
    end: Ints  # start + len(REF) - 1, or INFO END
    ref: Ints  # code
    alt_rows: Longs
    alt: Ints  # codes, without <NON_REF>
    flags: Bytes  # bits above
    ploidy: Bytes  # 1 or 2
    gt: NDArray[Any]  # int8, (r, 2); ABSENT is a missing allele, the second one is ABSENT when haploid
    gq: Ints
    dp: Ints
    min_dp: Ints
    ad_rows: Longs
    ad: Ints  # with <NON_REF>'s
    pl_rows: Longs
    pl: Ints  # VCF order, with <NON_REF>
    sb: Ints  # (r, 4); all ABSENT where absent
    pgt: Ints  # code
    pid: Ints  # code
    ps: Ints
    id: Ints  # code, of the ID column
    info_dp: Ints
    mq_sum: Longs  # RAW_MQandDP's sum of squares
    mq_depth: Longs  # and its number of reads; ABSENT both where absent
    ranked: Floats  # (r, len(RANKED)); NaN where absent


class Window(NamedTuple):
    """Of one batch: `first` and `last` base, its tables, and the strings that `Variants` names by code."""

    first: int
    last: int
    blocks: Blocks
    variants: Variants
    strings: tuple[bytes, ...]


def empty_blocks(samples: int) -> Blocks:
    columns = (np.zeros(0, dtype) for dtype in BLOCK_TYPES.values())
    return Blocks(np.zeros(samples + 1, np.int64), *columns)


BLOCK_TYPES: dict[str, Any] = {
    "gap": np.uint16,
    "length": np.uint16,
    "form": np.uint8,
    "gq": np.uint8,
    "min_dp": np.uint16,
    "dp": np.uint16,
    "pl0": np.uint16,
    "pl1": np.uint16,
    "pl2": np.uint16,
}

VARIANT_TYPES: dict[str, Any] = {
    "start": np.int32,
    "end": np.int32,
    "ref": np.int32,
    "alt": np.int32,
    "flags": np.uint8,
    "ploidy": np.uint8,
    "gt": np.int8,
    "gq": np.int32,
    "dp": np.int32,
    "min_dp": np.int32,
    "ad": np.int32,
    "pl": np.int32,
    "sb": np.int32,
    "pgt": np.int32,
    "pid": np.int32,
    "ps": np.int32,
    "id": np.int32,
    "info_dp": np.int32,
    "mq_sum": np.int64,
    "mq_depth": np.int64,
    "ranked": np.float32,
}
