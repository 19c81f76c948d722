"""Which samples of a generation's batch count, and where they stand in the cohort."""

from __future__ import annotations

import numpy as np

from services.jointcall.columnar.genotype.streaming import Member, Reader
from services.jointcall.columnar.store.generation import Batch, Generation


def member_of(generation: Generation, batch: Batch, reader: Reader) -> Member:
    """`batch`, one of the generation's, as calling takes it; `reader` gives its windows."""
    place = {name: at for at, name in enumerate(generation.samples)}
    counting = set(generation.counting(batch))
    masked = np.array([at not in counting for at in range(len(batch.names))], np.uint8)
    columns = np.array([place[name] if at in counting else 0 for at, name in enumerate(batch.names)], np.int32)
    return Member(reader=reader, columns=columns, masked=masked)
