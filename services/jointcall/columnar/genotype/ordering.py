"""Explicit records in the order in which calling goes through them: by start.

Batches hold them sample by sample, where they compress; a site's records then lie far apart in memory, and fetching
each of them from there takes longer than all that is computed with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.store.windows import LISTS, PER_ROW
from services.jointcall.columnar.tables import Ints, Longs, Variants

SHORT = 1 << 16
"""A range of starts below this is sorted by its two bytes."""


def by_start(variants: Variants) -> tuple[Variants, Ints]:
    """The records by start, those of one base as they were; and (r,) where each went. `rows` is lost."""
    starts = variants.start
    least = int(starts.min()) if len(starts) else 0
    near = len(starts) > 0 and int(starts.max()) - least < SHORT
    order = np.argsort((starts - least).astype(np.uint16) if near else starts, kind="stable").astype(np.int32)
    place = np.empty_like(order)
    place[order] = np.arange(len(order), dtype=np.int32)
    columns: dict[str, Any] = {name: getattr(variants, name)[order] for name in PER_ROW}
    for name, of in LISTS.items():
        columns[name], columns[of] = _lists(order, getattr(variants, of), getattr(variants, name))
    return Variants(rows=np.zeros(1, np.int64), **columns), place


@compiled
def _lists(order: Ints, rows: Longs, values: Ints) -> tuple[Ints, Longs]:
    out, out_rows = np.empty_like(values), np.empty_like(rows)
    n = 0
    for at in range(len(order)):
        out_rows[at] = n
        for one in range(rows[order[at]], rows[order[at] + 1]):
            out[n] = values[one]
            n += 1
    out_rows[len(order)] = n
    return out, out_rows
