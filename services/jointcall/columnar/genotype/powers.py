"""10^(-phred/10) by table: the same bits wherever it is looked up."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
from numpy.typing import NDArray

LONGEST = 3200
"""Phred; beyond it a likelihood is below the smallest double."""


@cache
def likelihoods() -> NDArray[np.float64]:
    """(LONGEST,), entry p the double nearest to 10^(-p/10). Decimal arithmetic, since libraries differ in pow()."""
    with localcontext() as context:
        context.prec = 25
        tenths = [Decimal(10) ** (Decimal(-rest) / 10) for rest in range(10)]
        values = [float(tenths[phred % 10].scaleb(-(phred // 10))) for phred in range(LONGEST)]
    table = np.array(values, np.float64)
    table.setflags(write=False)
    return table
