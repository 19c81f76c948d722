"""What HaplotypeCaller would see of a person at each base: depth, and how sure the reads are of the reference.

Real gVCFs show two ways to a base's likelihoods. Of d reads, those that can tell an indel there (n of them: not those
that end inside the repeat around it) give 0, 3n, 45n; those that show the reference base give 0, about 3d, about 35d,
less what mismatching bases take. The one with the lower GQ is written. The same repeats are everyone's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from tests.bench.joint.dice import State, below, uniform

READ_BP = 150
DEPTH = 33.0
DEPTH_SD = 2.5  # between people
LEAST_MARGIN_BP = 8
"""A read tells nothing about an indel so near its end."""
MARGIN_PIECE_BP = 120
TYPICAL_MARGIN_BP = 3.0
ERROR_PER_BASE = 0.0005
HARD_SHARE = 0.04
"""Of stretches where mapping is hard: few reads, or none."""
STRETCH_BP = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all people share at each base (of the window and READ_BP in front of it): `ease`, the share of the mean
    depth that maps there, and `margin`, bases of a read's end that tell nothing about indels. `error` per read."""

    ease: NDArray[np.float32]
    margin: NDArray[np.int16]
    error: NDArray[np.float32]


def draw_ground(rng: np.random.Generator, bases: int) -> Ground:
    long = bases + READ_BP
    knots = long // STRETCH_BP + 2
    height = np.exp(rng.normal(0.0, 0.16, knots))
    height = np.where(rng.random(knots) < HARD_SHARE, height * rng.choice((0.0, 0.15, 0.4), knots), height)
    ease = np.interp(np.arange(long), np.arange(knots) * STRETCH_BP, height)
    pieces = rng.geometric(1 / MARGIN_PIECE_BP, long // 4 + 8)
    margin = LEAST_MARGIN_BP + rng.exponential(TYPICAL_MARGIN_BP, len(pieces)).astype(np.int16)
    error = ERROR_PER_BASE * rng.gamma(0.7, 1 / 0.7, long)
    return Ground(
        ease=ease.astype(np.float32),
        margin=np.repeat(np.minimum(margin, READ_BP - 1), pieces)[:long].astype(np.int16),
        error=error.astype(np.float32),
    )


@compiled
def per_base(
    stream: State,
    mean_depth: float,
    ease: NDArray[np.float32],
    margin: NDArray[np.int16],
    error: NDArray[np.float32],
    depth: NDArray[np.int16],
    pl1: NDArray[np.int16],
    pl2: NDArray[np.int16],
) -> None:
    """Fills the last three, (bases,): reads, and the likelihoods of 0/<NON_REF> and of <NON_REF>/<NON_REF> in phred."""
    long = len(ease)
    begun = np.zeros(long + 1, np.int32)  # reads that began in front of each base
    rate = mean_depth / READ_BP
    for base in range(long):
        # a Poisson number, by inversion; reads begin singly nearly always
        drawn, chance = uniform(stream), np.exp(-rate * ease[base])
        many, sum_ = 0, chance
        while drawn > sum_ and many < 9:
            many += 1
            chance *= rate * ease[base] / many
            sum_ += chance
        begun[base + 1] = begun[base] + many
    lead = long - len(depth)
    for at in range(len(depth)):
        base = lead + at
        reads = begun[base + 1] - begun[base + 1 - READ_BP]
        telling = begun[base + 1] - begun[min(base + 1, base + 1 - READ_BP + margin[base])]
        depth[at] = reads
        wrong = 0
        if reads > 0:
            drawn, each = uniform(stream), error[base]
            if drawn < reads * each:
                wrong = 1 if drawn > (reads * each) ** 2 / 2 else 2
        good = reads - wrong
        first = 3.01 * reads - wrong * (26 + below(stream, 13)) if wrong else 3.01 * reads
        second = 34.8 * good
        if uniform(stream) < 0.6:
            second -= 10 * (1 + below(stream, 3))
        sure = max(0, int(first + 0.5))
        if 3 * telling < sure:
            pl1[at], pl2[at] = 3 * telling, 45 * telling
        else:
            pl1[at], pl2[at] = sure, max(0, int(second))
