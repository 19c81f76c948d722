"""Whose samples pass in a soak: a few trios again and again, so that the same panel must come out each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from console.demo.runplan import RunPlan, SamplePlan
from tests.support.seeded import people

TRIO = 3
PAIRS = 30
"""Of one lane: with two lanes 2.6 times the reference."""
LANES = (1, 2)
FIRST, TOP_UP = "FC1", "FC2"
STRANGER = 900
"""Persons from here on are refused or leave: they are in no panel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """A run's read source. `edition` stands in each file's gzip header, so that files of the same reads are other
    files; `broken` are samples whose second mate is cut short."""

    reference: Path
    edition: int
    flowcell: str = FIRST
    broken: frozenset[str] = frozenset()

    def __call__(self, *, run: RunPlan, sample: SamplePlan) -> Mapping[int, tuple[bytes, bytes]]:
        del run
        found: dict[int, tuple[bytes, bytes]] = {}
        for lane in sample.lanes:
            r1, r2 = (
                self._stamped(one) for one in _pair(self.reference, person_of(sample.sample), self.flowcell, lane)
            )
            found[lane] = (r1, r2[: len(r2) // 2] if sample.sample in self.broken else r2)
        return found

    def _stamped(self, packed: bytes) -> bytes:
        return packed[:4] + self.edition.to_bytes(4, "little") + packed[8:]


def label_of(person: int) -> str:
    return f"PERSON{person:04d}"


def person_of(label: str) -> int:
    return int(label.removeprefix("PERSON"))


def trio(number: int) -> tuple[str, ...]:
    return tuple(label_of(TRIO * number + place) for place in range(1, TRIO + 1))


@cache
def _pair(reference: Path, person: int, flowcell: str, lane: int) -> tuple[bytes, bytes]:
    return people.fastq_pair(person=person, pairs=PAIRS, flowcell=flowcell, lane=lane, contigs=_contigs(reference))


@cache
def _contigs(reference: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in reference.read_text(encoding="ascii").split(">")[1:]:
        name, _, bases = part.partition("\n")
        found[name] = bases.replace("\n", "")
    return found
