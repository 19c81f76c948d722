"""INFO of a site from the INFO and FORMAT of its samples."""

from __future__ import annotations

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import cells, measures
from services.jointcall.columnar.genotype.explicit import INFO_DP, SB, START, Records
from services.jointcall.columnar.tables import ABSENT, Bytes, Floats, Ints, Longs


@compiled
def depth_of_site(rows: Ints, records: Records, blocks: int) -> int:
    """INFO DP: of each record its own INFO DP, else its MIN_DP or DP. `blocks`: the reads of reference blocks."""
    depth = blocks
    for row in rows:
        if records.figures[row, INFO_DP] != ABSENT:
            depth += records.figures[row, INFO_DP]
        else:
            depth += max(0, cells.depth_of(records, row))
    return depth


@compiled
def strands(out: Ints, rows: Ints, records: Records, standing: Bytes) -> None:
    """Adds to `out` (8,) the reads by strand of REF and ALT: of cells with more than two reads, then of all."""
    for cell, row in enumerate(rows):
        if records.figures[row, SB] == ABSENT or standing[cell] & cells.NO_READS:
            continue
        total = np.int64(0)
        for at in range(4):
            total += records.figures[row, SB + at]
        for at in range(4):
            out[4 + at] += records.figures[row, SB + at]
            if total > 2:
                out[at] += records.figures[row, SB + at]


@compiled
def combine(
    squares: Longs, ranked: Floats, position: int, rows: Ints, records: Records, own_squares: Longs, own_ranked: Floats
) -> None:
    """Adds up RAW_MQandDP to `squares` (2,) and puts the upper medians of the other fields into `ranked` (7,), of the
    records that start at the site: what reaches over from upstream counts with reads and strands alone."""
    values = np.empty((7, len(rows)), np.float32)
    counts = np.zeros(7, np.int64)
    for row in rows:
        if records.figures[row, START] != position:
            continue
        if own_squares[row, 1] != ABSENT:
            squares[0] += own_squares[row, 0]
            squares[1] = max(0, squares[1]) + own_squares[row, 1]
        for field in range(7):
            if not np.isnan(own_ranked[row, field]):
                values[field, counts[field]] = own_ranked[row, field]
                counts[field] += 1
    for field in range(7):
        if counts[field]:
            ranked[field] = measures.upper_median(values[field, : counts[field]])
