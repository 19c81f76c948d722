"""Simulated people whose deletions have SNPs and other deletions inside, on the other haplotype, and their reads.

Neutral simulations hardly contain these, and they are where a joint genotyper goes wrong.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

CONTIG = "chrX"  # where one allele and two are both in order
FOUNDERS = 10
MARGIN_BP = 400  # without variants at either end
READ_BP, INSERT_BP, INSERT_SD_BP = 150, 400, 60
SEGMENT_BP = 6000
"""After which a haplotype may go on with another founder's."""
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """`span` bases from `at` (0-based) become `new`, on the haplotypes of `founders`."""

    at: int
    span: int
    new: str
    founders: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    bases: str
    haplotypes: dict[str, tuple[str, ...]]
    depths: dict[str, float]
    uncovered: dict[str, tuple[int, int]]
    """Of some people: where a haplotype gives no fragments."""


def simulate(rng: Random, *, length: int, diploid: int, haploid: int) -> People:
    bases, edits = _variation(rng, length)
    haplotypes, depths, uncovered = {}, {}, {}
    for number in range(diploid + haploid):
        name = f"{rng.choice(('NA', 'HG', 'sim', 'Z'))}{number:02}"
        ploidy = 2 if number < diploid else 1
        haplotypes[name] = tuple(_haplotype(rng, bases, edits) for _ in range(ploidy))
        depths[name] = rng.choice((7.0, 14.0, 20.0, 22.0, 25.0))
        if number % 4 == 1:
            start = rng.randrange(MARGIN_BP, length - 1500)
            uncovered[name] = start, start + 700
    return People(bases=bases, haplotypes=haplotypes, depths=depths, uncovered=uncovered)


def _variation(rng: Random, length: int) -> tuple[str, list[Edit]]:
    reference = rng.choices("ACGT", k=length)
    edits: list[Edit] = []
    at = MARGIN_BP
    while at < length - MARGIN_BP:
        kind = rng.choices(("snp", "snps", "insertion", "nested", "repeat"), weights=(40, 6, 12, 30, 12))[0]
        if kind == "snp":
            edits.append(_snp(rng, reference, at, _founders(rng)))
        elif kind == "snps":
            first = _founders(rng)
            other = _snp(rng, reference, at, _founders(rng, without=first))
            edits += [_snp(rng, reference, at, first, besides=other.new), other]
        elif kind == "insertion":
            new = reference[at] + "".join(rng.choices("ACGT", k=rng.randrange(1, 20)))
            edits.append(Edit(at=at, span=1, new=new, founders=_founders(rng)))
        elif kind == "nested":
            at = _nested(rng, reference, at, edits)
        else:
            at = _repeat(rng, reference, at, edits)
        at += rng.randrange(25, 200)
    return "".join(reference), sorted(edits, key=lambda one: one.at)


def _founders(rng: Random, *, without: frozenset[int] = frozenset()) -> frozenset[int]:
    left = [one for one in range(FOUNDERS) if one not in without]
    return frozenset(rng.sample(left, k=min(len(left), rng.choice((1, 1, 2, 3, 5)))))


def _snp(rng: Random, reference: Sequence[str], at: int, founders: frozenset[int], *, besides: str = "") -> Edit:
    new = rng.choice([one for one in "ACGT" if one not in (reference[at], besides)])
    return Edit(at=at, span=1, new=new, founders=founders)


def _nested(rng: Random, reference: Sequence[str], at: int, edits: list[Edit]) -> int:
    """A deletion, and on other haplotypes what lies inside of it or overlaps its end."""
    span = 1 + rng.choice((2, 3, 6, 12, 20, 35, 60))
    deleted = _founders(rng)
    edits.append(Edit(at=at, span=span, new=reference[at], founders=deleted))
    if rng.random() < 0.3:
        edits.append(_snp(rng, reference, at, _founders(rng, without=deleted)))
    if rng.random() < 0.25:
        shorter = 1 + rng.randrange(1, span)
        edits.append(Edit(at=at, span=shorter, new=reference[at], founders=_founders(rng, without=deleted)))
    inner = sorted(rng.sample(range(1, span), k=min(span - 1, rng.choice((1, 2, 3)))))
    edits += [_snp(rng, reference, at + one, _founders(rng, without=deleted)) for one in inner]
    end = at + span
    if span > 6 and rng.random() < 0.4:
        start = at + rng.randrange(2, span - 1)
        reach = rng.randrange(3, span + 10)
        others = _founders(rng, without=deleted)
        edits.append(Edit(at=start, span=reach, new=reference[start], founders=others))
        end = max(end, start + reach)
    return end


def _repeat(rng: Random, reference: list[str], at: int, edits: list[Edit]) -> int:
    """A microsatellite of many lengths, one or two for each founder."""
    unit = rng.choice(("A", "T", "AC", "AT", "CAG"))
    times = rng.randrange(8, 14)
    reference[at + 1 : at + 1 + len(unit) * times] = unit * times
    reference[at] = rng.choice([one for one in "ACGT" if one not in unit])
    taken: frozenset[int] = frozenset()
    for change in rng.sample((-4, -3, -2, -1, 1, 2, 3, 4), k=rng.randrange(1, 7)):
        founders = frozenset(rng.sample(range(FOUNDERS), k=2)) - taken
        taken |= founders
        span = 1 + len(unit) * max(0, -change)
        new = reference[at] + unit * max(0, change)
        edits.append(Edit(at=at, span=span, new=new, founders=founders))
    return at + 1 + len(unit) * times


def _haplotype(rng: Random, bases: str, edits: Sequence[Edit]) -> str:
    pieces, done = [], 0
    founder, until = rng.randrange(FOUNDERS), SEGMENT_BP
    for edit in edits:
        if edit.at >= until:
            founder, until = rng.randrange(FOUNDERS), until + SEGMENT_BP
        # what lies inside of the haplotype's own deletion is gone
        if founder in edit.founders and edit.at >= done:
            pieces += [bases[done : edit.at], edit.new]
            done = edit.at + edit.span
    return "".join([*pieces, bases[done:]])


def write_reads(rng: Random, people: People, name: str, folder: Path) -> tuple[Path, Path]:
    """Gzipped R1 and R2. The lower a base's quality, the likelier it is wrong."""
    r1, r2 = folder / f"{name}_R1.fastq.gz", folder / f"{name}_R2.fastq.gz"
    haplotypes = people.haplotypes[name]
    low, high = people.uncovered.get(name, (0, 0))
    with gzip.open(r1, "wt", compresslevel=1) as first, gzip.open(r2, "wt", compresslevel=1) as second:
        for number in range(round(people.depths[name] * len(people.bases) / (2 * READ_BP))):
            which = rng.randrange(len(haplotypes))
            insert = max(READ_BP, round(rng.gauss(INSERT_BP, INSERT_SD_BP)))
            start = rng.randrange(len(haplotypes[which]) - insert)
            if start < high and start + insert > low:
                continue
            fragment = haplotypes[which][start : start + insert]
            if rng.random() < 0.5:
                fragment = _reverse(fragment)
            for stream, strand in ((first, fragment), (second, _reverse(fragment))):
                bases, qualities = _sequenced(rng, strand[:READ_BP])
                place = f"{1101 + number % 50}:{2000 + number * 7 % 30000}:{2000 + number * 13}"
                stream.write(f"@M1:1:FC1:1:{place} 1:N:0:ACGT\n{bases}\n+\n{qualities}\n")
    return r1, r2


def _sequenced(rng: Random, bases: str) -> tuple[str, str]:
    called, qualities = list(bases), ["F"] * len(bases)
    for _ in range(sum(rng.random() < 0.5 for _ in range(10))):
        # towards the end of the read
        at = int(len(bases) * rng.random() ** 0.5)
        qualities[at] = rng.choice((",", ":"))
        if rng.random() < (0.07 if qualities[at] == "," else 0.01):
            called[at] = rng.choice("ACGT")
    if rng.random() < 0.04:
        called[rng.randrange(len(called))] = rng.choice("ACGT")
    return "".join(called), "".join(qualities)


def _reverse(bases: str) -> str:
    return bases.translate(_COMPLEMENT)[::-1]
