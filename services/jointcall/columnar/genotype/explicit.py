"""Explicit records as the calling code takes them: one table of small numbers and two lists.

Each array that a compiled function takes costs compilation time wherever it is handed on; `tables.Variants` has two
dozen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.jointcall.columnar.tables import Ints, Longs, Variants

# columns of Records.figures
START, PLOIDY, GQ, DP, MIN_DP, INFO_DP, ONE, TWO, FLAGS, PGT, PID, PS, SB, ALTS = (*range(13), 16)
COLUMNS = 17


class Records(NamedTuple):
    """`figures` (r, COLUMNS) int32: SB takes four columns, ONE and TWO are the alleles of GT, ALTS says how many there
    are, so that <NON_REF> is allele ALTS + 1. Lists as in tables.Variants."""

    figures: Ints
    pl_rows: Longs
    pl: Ints
    ad_rows: Longs
    ad: Ints


def records_of(variants: Variants) -> Records:
    figures = np.empty((len(variants.start), COLUMNS), np.int32)
    named = {
        START: variants.start,
        PLOIDY: variants.ploidy,
        GQ: variants.gq,
        DP: variants.dp,
        MIN_DP: variants.min_dp,
        INFO_DP: variants.info_dp,
        ONE: variants.gt[:, 0],
        TWO: variants.gt[:, 1],
        FLAGS: variants.flags,
        PGT: variants.pgt,
        PID: variants.pid,
        PS: variants.ps,
        ALTS: np.diff(variants.alt_rows),
    }
    for column, values in named.items():
        figures[:, column] = values
    figures[:, SB : SB + 4] = variants.sb
    return Records(figures, variants.pl_rows, variants.pl, variants.ad_rows, variants.ad)
