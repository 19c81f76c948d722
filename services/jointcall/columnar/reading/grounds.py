"""What lines are read against, and how reading them ends."""

from __future__ import annotations

from typing import NamedTuple

from services.jointcall.columnar.tables import Bytes

FINISHED, BEYOND, ELSEWHERE, NEW_FORMAT, FAULT, BLOCK = range(6)
"""All lines are used; a record lies behind the interval; a line is of another contig; a FORMAT column is new; a record
is refused; a record read at length is a block. The columns' `counts[HERE]` is where the line begins that ended it."""


class Ground(NamedTuple):
    """The interval, its bases, and whether a genotype of one allele is right there."""

    contig: Bytes
    first: int
    last: int
    bases: Bytes
    haploid: bool
