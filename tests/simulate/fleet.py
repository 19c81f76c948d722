"""The lives of spot machines.

A fleet has a fixed number of places. The machine at a place lives for an exponential time with the fleet's mean (MTBF,
mean time between failures of one machine; 45 h and 4 h are asked of this simulator, a calm and a contended market),
whether it works or idles. What takes its place is up a fixed `boot_minutes` later (3 min; assumed, no source).

A share of the reclaims (`noticed`, one half; assumed, no source: clouds promise the notice as best effort) is announced
120 s ahead, the spot notice that the worker's drain is made for; the others come without a word. The lives at a place
are a random stream of its own: strategies that are compared lose the same machines at the same times, and two MTBFs
differ by a factor alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

NOTICE_SECONDS = 120.0
HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Times in seconds. `noticed` is when it hears of its end, None when it never does."""

    place: int
    host: str
    boots: float
    vanishes: float
    noticed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    workers: int
    mtbf_hours: float
    noticed: float = 0.5
    boot_minutes: float = 3.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1 or self.mtbf_hours <= 0 or not 0 <= self.noticed <= 1 or self.boot_minutes < 0:
            raise ValueError(f"no such fleet: {self}")

    def machines(self, place: int) -> Iterator[Machine]:
        """The machines that follow each other at `place`, without end."""
        drawn = random.Random(f"{self.seed}:machines:{place}")
        boots = 0.0
        number = 0
        while True:
            vanishes = boots + drawn.expovariate(1.0) * self.mtbf_hours * HOUR
            announced = drawn.random() < self.noticed
            yield Machine(
                place=place,
                host=f"spot-{place}-{number}",
                boots=boots,
                vanishes=vanishes,
                noticed=max(boots, vanishes - NOTICE_SECONDS) if announced else None,
            )
            boots = vanishes + self.boot_minutes * 60
            number += 1
