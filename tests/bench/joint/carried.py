"""Which explicit records a person's gVCF has: the sites that they carry, and candidates that are none.

HaplotypeCaller writes a record wherever it assembled a candidate allele, most of them in the end 0/0. Nearly all of
these stand at the same places in many people (repeats, systematic errors), some anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from tests.bench.joint.dice import State, below, uniform
from tests.bench.joint.sites import Sites

EXPLICIT_PER_BP = 3.2e-3
"""Of a real locus; candidates fill up what the people do not carry."""
LEAST_CANDIDATES_PER_BP = 1e-3
ANYWHERE_SHARE = 0.05
"""About 100 in a person's Mb: the assembler drops what one read shows, and two of 33 reads show the same error at one
base in 10,000 or so."""
RECURRING_PER_BP = 1.2e-2
STAR = 9
"""Stands for an allele: that haplotype's base lies in its own upstream deletion."""
CANDIDATE = -1
"""Stands for a site: a candidate that nobody carries; its allele follows from its position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """Places where candidates recur, 0-based, and how often a person has one there."""

    position: NDArray[np.int32]
    chance: NDArray[np.float64]
    anywhere: int  # other candidates of each person


def draw_recurring(rng: np.random.Generator, sites: Sites, bases: int) -> Recurring:
    carriers = (sites.haplotypes[0::2] > 0) | (sites.haplotypes[1::2] > 0)
    wanted = max(bases * EXPLICIT_PER_BP - carriers.sum(axis=1).mean(), bases * LEAST_CANDIDATES_PER_BP)
    position = np.unique(rng.integers(1, max(2, bases - 8), max(1, int(bases * RECURRING_PER_BP))).astype(np.int32))
    mean = wanted * (1 - ANYWHERE_SHARE) / len(position)
    chance = np.minimum(rng.gamma(0.5, 2 * mean, len(position)), 0.95)
    return Recurring(position=position, chance=chance, anywhere=int(wanted * ANYWHERE_SHARE + 0.5))


@compiled
def explicit(
    stream: State,
    position: NDArray[np.int32],
    rows: NDArray[np.int64],
    ref_bp: NDArray[np.int32],
    one: NDArray[np.int8],
    other: NDArray[np.int8],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Positions, sites and allele pairs of what a person with these two haplotypes carries, by position."""
    many = 0
    for site in range(len(position)):
        many += 1 if one[site] or other[site] else 0
    at, of = np.empty(many, np.int32), np.empty(many, np.int32)
    pair = np.empty((many, 2), np.int8)
    gone = np.full(2, -1, np.int64)  # the last base that a deletion took from each haplotype
    kept = 0
    for site in range(len(position)):
        if not (one[site] or other[site]):
            continue
        here = position[site]
        seen = False
        for haplotype in range(2):
            allele = one[site] if haplotype == 0 else other[site]
            if gone[haplotype] >= here:
                allele = STAR
            elif allele:
                seen = True
                gone[haplotype] = max(gone[haplotype], here + ref_bp[rows[site] + allele - 1] - 1)
            pair[kept, haplotype] = allele
        if seen:
            at[kept], of[kept] = here, site
            kept += 1
    return at[:kept], of[:kept], pair[:kept]


@compiled
def recurring_in(stream: State, position: NDArray[np.int32], chance: NDArray[np.float64]) -> NDArray[np.int32]:
    hit = np.zeros(len(position), np.bool_)
    for place in range(len(position)):
        hit[place] = uniform(stream) < chance[place]
    return position[hit]


@compiled
def anywhere_in(stream: State, many: int, bases: int) -> NDArray[np.int32]:
    at = np.empty(many, np.int32)
    for drawn in range(many):
        at[drawn] = 1 + below(stream, max(1, bases - 9))
    return at


def carried(
    stream: State, sites: Sites, recurring: Recurring, person: int, bases: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Of `person`: 0-based positions, sites (or CANDIDATE) and allele pairs (STAR among them), by position."""
    one, other = sites.haplotypes[2 * person], sites.haplotypes[2 * person + 1]
    at, of, pair = explicit(stream, sites.position, sites.rows, sites.ref_bp, one, other)
    candidates = np.concatenate(
        [
            recurring_in(stream, recurring.position, recurring.chance),
            anywhere_in(stream, recurring.anywhere, bases),
        ]
    )
    candidates = np.setdiff1d(candidates, at)
    all_at = np.concatenate([at, candidates])
    order = np.argsort(all_at, kind="stable")
    all_of = np.concatenate([of, np.full(len(candidates), CANDIDATE, np.int32)])
    all_pairs = np.concatenate([pair, np.zeros((len(candidates), 2), np.int8)])
    return all_at[order], all_of[order], all_pairs[order]
