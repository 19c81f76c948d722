"""Do two FASTQs hold the two mates of the same fragments, in the same order?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chassis.errors import Rejected, reject
from services.ingest.fastq import Batch, FastqFile


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPair:
    """Sums and sizes are of the compressed files, as they lie in the run folder."""

    read_pairs: int
    r1_sha256: str
    r2_sha256: str
    r1_size: int
    r2_size: int


@dataclass(slots=True, kw_only=True)
class _Mates:
    """One file's records that wait for the other file's."""

    file: FastqFile
    mate: int
    batches: Iterator[Batch]
    names: list[bytes] = field(default_factory=list)
    reads: list[bytes] = field(default_factory=list)
    misplaced: int | None = None
    """The first record whose header says that it is the other mate."""

    @classmethod
    def of(cls, path: Path, *, mate: int, lane: int) -> _Mates:
        file = FastqFile(path=path, where=f"R{mate} of lane {lane}")
        return cls(file=file, mate=mate, batches=file.batches())

    def read_on(self) -> bool:
        batch = next(self.batches, None)
        if batch is None:
            return False
        names, misplaced = _names(batch, mate=self.mate)
        self.names += names
        self.reads += batch.reads
        if self.misplaced is None:
            self.misplaced = misplaced
        return True

    def drop(self, count: int) -> None:
        del self.names[:count]
        del self.reads[:count]


def check_pair(first: Path, second: Path, *, lane: int) -> CheckedPair:
    """Read both files to their ends. The paths must have been resolved and lie where they may.

    Raises Rejected: what FastqFile.batches raises, PAIR_DUPLICATE, PAIR_NAME, PAIR_COUNT; `where` says `R1 of lane 2,
    record 17`, never the file's name, which carries the laboratory's id.
    """
    if first.exists() and second.exists() and first.samefile(second):
        raise _duplicate(lane)
    one, other = _Mates.of(first, mate=1, lane=lane), _Mates.of(second, mate=2, lane=lane)
    pairs, alike = 0, True
    while True:
        behind = one if len(one.names) <= len(other.names) else other
        if not behind.read_on():
            break
        ready = min(len(one.names), len(other.names))
        if ready == 0:
            continue
        alike = alike and one.reads[:ready] == other.reads[:ready]
        _same_names(one, other, count=ready, after=pairs, lane=lane)
        if not alike:
            _right_mates(one, other)
        one.drop(ready)
        other.drop(ready)
        pairs += ready
    _same_counts(one, other, lane=lane)
    if alike:
        raise _duplicate(lane)
    return CheckedPair(
        read_pairs=pairs,
        r1_sha256=one.file.sha256,
        r2_sha256=other.file.sha256,
        r1_size=one.file.size,
        r2_size=other.file.size,
    )


def _names(batch: Batch, *, mate: int) -> tuple[list[bytes], int | None]:
    """The fragments' names without the mate, and the first record of the other mate.

    Casava 1.8 and later write `@name 1:N:0:INDEX`, older ones `@name/1`; archives may leave the mate out.
    """
    parts = [header.split(None, 1) for header in batch.headers]
    names = [part[0] for part in parts]
    other = b"2" if mate == 1 else b"1"
    misplaced = next(
        (batch.first + place for place, part in enumerate(parts) if len(part) == 2 and part[1][:2] == other + b":"),
        None,
    )
    own_suffix, other_suffix = b"/" + str(mate).encode(), b"/" + other
    if names[0][-2:] in (own_suffix, other_suffix):
        if misplaced is None:
            misplaced = next((batch.first + n for n, name in enumerate(names) if name.endswith(other_suffix)), None)
        names = [name[:-2] if name[-2:] in (own_suffix, other_suffix) else name for name in names]
    return names, misplaced


def _same_names(one: _Mates, other: _Mates, *, count: int, after: int, lane: int) -> None:
    if one.names[:count] == other.names[:count]:
        return
    place = next(n for n in range(count) if one.names[n] != other.names[n])
    raise reject(
        code="PAIR_NAME",
        message="R1 and R2 name different fragments",
        where=f"R1 and R2 of lane {lane}, record {after + place + 1}",
        rule="the n-th records of both files are the two mates of one fragment",
        fix="convert the lane again, or put the file that belongs to the other in its place",
    )


def _right_mates(one: _Mates, other: _Mates) -> None:
    for mates in (one, other):
        if mates.misplaced is not None:
            raise reject(
                code="PAIR_NAME",
                message=f"a read in the file of R{mates.mate} says that it is the other mate",
                where=f"{mates.file.where}, record {mates.misplaced}",
                rule="R1 holds first mates, R2 second ones",
                fix="put the right file in its place",
            )


def _same_counts(one: _Mates, other: _Mates, *, lane: int) -> None:
    """Read the longer file to its end, so that the numbers are right and its own faults are told first."""
    for mates in (one, other):
        while mates.read_on():
            mates.drop(len(mates.names))
    if one.file.records != other.file.records:
        shorter = one if one.file.records < other.file.records else other
        raise reject(
            code="PAIR_COUNT",
            message=f"R1 holds {one.file.records} reads, R2 {other.file.records}",
            where=f"R{shorter.mate} of lane {lane}, after record {shorter.file.records}",
            rule="both files of a pair hold as many reads",
            fix="copy the shorter file again; if it is short where it was made, convert the lane again",
        )


def _duplicate(lane: int) -> Rejected:
    return reject(
        code="PAIR_DUPLICATE",
        message="R1 and R2 hold the same reads: one file stands for both mates",
        where=f"R1 and R2 of lane {lane}",
        rule="R1 and R2 are two files with the two mates",
        fix="put the right file in the place of the wrong one",
    )
