"""A region of a cohort, stretch by stretch: memory is bounded by the stretch, whatever the region's length.

Calling a site needs to know which deletions were emitted upstream of it (`*` stays only under one). So calling starts
in front of the region, at the last base that no record reaches over, and what lies in front is called and dropped: any
cut of a contig into regions gives the same records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.jointcall.columnar.genotype.stretch import Piece, Stretch, genotype
from services.jointcall.columnar.tables import Bytes, Ints, Window

REACH = 1000
"""Bases: longer than any deletion that HaplotypeCaller assembles (its regions have 300 bases and 100 of padding)."""
STRETCH_BYTES = 128 << 20
"""Of decoded records at a time."""
BYTES_PER_BASE = 2
"""And sample, at HaplotypeCaller's finest bands: a tenth of a record of some twenty bytes."""
ALL_SITES = 8
"""So many times more memory is taken by the columns of every base."""
LEAST_STRETCH_BP = 1024
MOST_STRETCH_BP = 32768


class Reader(Protocol):
    """A batch's windows, by position and without gaps."""

    def windows(self) -> list[tuple[int, int]]: ...

    def read(self, index: int, *, variants_only: bool = False) -> Window: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A batch of the cohort: `columns[i]` is the place of its sample i among the cohort's sorted names (any number
    where `masked[i]`)."""

    reader: Reader
    columns: Ints
    masked: Bytes


class _Open:
    """A member with the windows that it was last asked for."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self._windows = member.reader.windows()
        self._held: dict[int, Window] = {}

    def pieces(self, first: int, last: int) -> list[Piece]:
        wanted = [at for at, (begin, end) in enumerate(self._windows) if begin <= last and end >= first]
        held = {at: self._held[at] if at in self._held else self.member.reader.read(at) for at in wanted}
        self._held = held
        return [
            Piece(window=window, columns=self.member.columns, masked=self.member.masked) for window in held.values()
        ]

    @property
    def first(self) -> int:
        return self._windows[0][0]

    def spans(self, first: int, last: int) -> tuple[Ints, Ints]:
        """Starts and ends of the unmasked records with an ALT in the windows of `first` to `last`."""
        starts, ends = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        for at, (begin, end) in enumerate(self._windows):
            if begin > last or end < first:
                continue
            variants = self.member.reader.read(at, variants_only=True).variants
            out = np.repeat(self.member.masked, np.diff(variants.rows))
            counts = (out == 0) & (np.diff(variants.alt_rows) > 0)
            starts.append(variants.start[counts])
            ends.append(variants.end[counts])
        return np.concatenate(starts), np.concatenate(ends)


def stretches(
    members: Sequence[Member],
    *,
    first: int,
    last: int,
    samples: int,
    want_dense: bool = True,
    stretch_bp: int = 0,
    bases: Callable[[int, int], bytes] | None = None,
) -> Iterator[Stretch]:
    """Called stretches whose sites together are those from `first` to `last` (1-based, inclusive).

    `samples` is the number of columns. `stretch_bp` 0: by memory. With `bases`, which gives the reference of any first
    and last base, every base is a site."""
    opened = [_Open(member) for member in members]
    length = stretch_bp or fitting(samples * (ALL_SITES if bases else 1))
    open_until = 0
    begin = quiet_start(opened, first)
    while begin <= last:
        # edges at multiples: windows are, so that none is decoded twice
        end = min((begin - 1) // length * length + length, last)
        if begin < first:
            end = min(end, first - 1)
        pieces = [piece for one in opened for piece in one.pieces(begin, end)]
        called = genotype(
            pieces,
            first=begin,
            last=end,
            samples=samples,
            open_until=open_until,
            want_dense=want_dense,
            bases=bases(begin, end) if bases and begin >= first else b"",
        )
        open_until = called.open_until
        if begin >= first:
            yield called
        begin = end + 1


def fitting(samples: int) -> int:
    """Bases of a stretch whose decoded records take STRETCH_BYTES at most, a power of two."""
    bases = STRETCH_BYTES // (BYTES_PER_BASE * max(1, samples))
    length = LEAST_STRETCH_BP
    while 2 * length <= min(bases, MOST_STRETCH_BP):
        length *= 2
    return length


def quiet_start(opened: Sequence[_Open], first: int) -> int:
    """The last base up to `first` that no record with an ALT reaches over from upstream, or the first one there is."""
    quiet = first
    while True:
        found = [one.spans(quiet - REACH, quiet - 1) for one in opened]
        starts, ends = np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])
        over = (starts < quiet) & (ends >= quiet)
        if not over.any():
            return max(quiet, min(one.first for one in opened))
        quiet = int(starts[over].min())
