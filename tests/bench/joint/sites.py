"""Where the people of a simulated cohort differ: neutral mutations on genealogies with human-like history.

One population with the bottleneck and the two growths that were fitted to exomes of Europeans (Tennessen et al.,
Science 2012): without the recent one a cohort has far too few rare sites. The two oldest sizes are larger than fitted,
so that a person is heterozygous at about 0.8 sites in 1,000 bases. 20,000 people have about 41,000 sites in 1 Mb, as
published cohorts have. Genealogies and mutations come from msprime
(Baumdicker et al., Genetics 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MUTATION_PER_BP = 1.9e-8  # per generation, indels included
RECOMBINATION_PER_BP = 1e-8
HISTORY = (
    (0.0, 512_000, 0.0195),
    (204.6, 9_475, 0.00307),
    (920.0, 1_032, 0.0),
    (920.1, 1_861, 0.0),
    (2_040.0, 24_000, 0.0),
    (5_920.0, 14_000, 0.0),
)
"""From so many generations ago backwards: diploid size, and its growth in a generation."""
INDEL_SHARE = 0.10
DELETION_SHARE = 0.6
SECOND_INDEL_SHARE = 0.25
"""Of indel sites that a second indel has struck too: sites of repeats are like that."""
LONGEST_INDEL_BP = 20
LETTERS = np.frombuffer(b"ACGT", np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """`position` is 0-based in the window. Allele a >= 1 of site s is row `rows[s] + a - 1`: it takes `ref_bp` bases
    from the reference and puts `alt[alt_rows[row]:alt_rows[row + 1]]` in their place. `haplotypes` (2 x people,
    sites): each haplotype's allele."""

    position: NDArray[np.int32]
    rows: NDArray[np.int64]
    ref_bp: NDArray[np.int32]
    alt_rows: NDArray[np.int64]
    alt: NDArray[np.uint8]
    haplotypes: NDArray[np.int8]


def random_reference(rng: np.random.Generator, bases: int) -> NDArray[np.uint8]:
    """Letters with more runs than chance would make: a base in eight repeats the one before it."""
    codes = rng.integers(0, 4, bases)
    again = rng.random(bases) < 0.12
    again[0] = False
    last_new = np.maximum.accumulate(np.where(again, 0, np.arange(bases)))
    return LETTERS[codes[last_new]]


def draw_sites(rng: np.random.Generator, *, people: int, reference: NDArray[np.uint8]) -> Sites:
    import msprime

    bases = len(reference)
    demography = msprime.Demography()
    demography.add_population(name="people", initial_size=HISTORY[0][1], growth_rate=HISTORY[0][2])
    for generations, size, growth in HISTORY[1:]:
        demography.add_population_parameters_change(
            time=generations, initial_size=size, growth_rate=growth, population="people"
        )
    ancestry = msprime.sim_ancestry(
        samples={"people": people},
        demography=demography,
        recombination_rate=RECOMBINATION_PER_BP,
        sequence_length=bases,
        random_seed=_seed(rng),
    )
    mutated = msprime.sim_mutations(ancestry, rate=MUTATION_PER_BP, model=msprime.JC69(), random_seed=_seed(rng))
    return _with_alleles(rng, mutated, reference)


def _with_alleles(rng: np.random.Generator, mutated: Any, reference: NDArray[np.uint8]) -> Sites:
    columns: list[NDArray[np.int8]] = []
    positions: list[int] = []
    alleles: list[list[tuple[int, bytes]]] = []
    wanting: int | None = None  # an indel site that waits for its second allele
    for variant in mutated.variants():
        genotypes = variant.genotypes.astype(np.int8)
        if not genotypes.any():
            continue
        position = int(variant.site.position)
        if wanting is not None:
            free = (columns[wanting] == 0) & (genotypes > 0)
            if free.any() and len(alleles[wanting]) < 3:
                columns[wanting][free] = len(alleles[wanting]) + 1
                _add_indel(rng, reference, positions[wanting], alleles[wanting])
            wanting = None
            continue
        kinds = range(1, len(variant.alleles))
        if rng.random() < INDEL_SHARE and position + LONGEST_INDEL_BP + 2 < len(reference):
            drawn: list[tuple[int, bytes]] = []
            for _ in kinds:
                _add_indel(rng, reference, position, drawn)
            if rng.random() < SECOND_INDEL_SHARE:
                wanting = len(columns)
        else:
            others = [letter for letter in b"ACGT" if letter != reference[position]]
            rng.shuffle(others)
            drawn = [(1, bytes([others[kind - 1]])) for kind in kinds]
        positions.append(position)
        columns.append(genotypes)
        alleles.append(drawn)
    flat = [allele for drawn in alleles for allele in drawn]
    people = mutated.num_samples
    return Sites(
        position=np.array(positions, np.int32),
        rows=_offsets([len(drawn) for drawn in alleles]),
        ref_bp=np.array([ref_bp for ref_bp, _ in flat], np.int32),
        alt_rows=_offsets([len(alt) for _, alt in flat]),
        alt=np.frombuffer(b"".join(alt for _, alt in flat), np.uint8),
        haplotypes=np.ascontiguousarray(np.array(columns, np.int8).reshape(-1, people).T),
    )


def _add_indel(
    rng: np.random.Generator, reference: NDArray[np.uint8], position: int, alleles: list[tuple[int, bytes]]
) -> None:
    new = _indel(rng, reference, position)
    while new in alleles:
        new = _indel(rng, reference, position)
    alleles.append(new)


def _indel(rng: np.random.Generator, reference: NDArray[np.uint8], position: int) -> tuple[int, bytes]:
    """Short ones are commoner: odds fall with length^-1.5."""
    sizes = np.arange(1, LONGEST_INDEL_BP + 1)
    odds = sizes**-1.5
    size = int(rng.choice(sizes, p=odds / odds.sum()))
    anchor = bytes([reference[position]])
    if rng.random() < DELETION_SHARE:
        return 1 + size, anchor
    return 1, anchor + bytes(LETTERS[rng.integers(0, 4, size)])


def _offsets(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(lengths, np.int64), dtype=np.int64)])


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 2**31 - 1))
