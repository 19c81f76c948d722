"""Cohorts made at random, dense with what is rare in real ones: specification, sections 1 and 4.

`draw(rng, ...)` is a function of its random source alone: a plain generator packs hundreds of sites into one cohort,
hypothesis's shrinks a handful of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.oracle.cells import block_cell, happens, variant_cell
from tests.oracle.cohorts import Cohort, Texts, write

CONTIG = "chrX"  # where one allele and two are both in order
TAIL_BP = 150  # behind the last site, so that the interval can end in front of the contig's end
LONGEST_DELETION_BP = 60
KINDS = {
    "snp": 40,
    "snps": 8,
    "insertion": 8,
    "deletion": 18,
    "deletions": 6,
    "snp and deletion": 6,
    "snp and insertion": 3,
    "mnv beside a deletion": 2,
    "seven": 5,
    "forty": 1,
}
"""Of a site, with odds. "seven" has 7 to 12 ALTs, "forty" 42 or 43 where the people suffice to carry them."""


MANY = 12
"""ALTs of a site, above which each person carries some of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An ALT with the REF that it needs, `span` bases from the site."""

    span: int
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Locus:
    position: int
    candidates: tuple[Candidate, ...]
    carriers: float
    depth: int

    @property
    def span(self) -> int:
        return max(one.span for one in self.candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    name: str
    number: int
    haploid_from: int | None
    """A base, as behind the pseudo-autosomal region of X in men; None: diploid all along."""
    style: str
    gappy: float
    overlapping: float

    def ploidy(self, at: int) -> int:
        return 1 if self.haploid_from is not None and at >= self.haploid_from else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    position: int
    span: int
    line: str


def cohort(seed: int, folder: Path, *, people: int = 12, sites: int = 400) -> Cohort:
    """The made cohort of `seed`, written to `folder`."""
    return write(draw(Random(seed), people=people, sites=sites), folder, name=f"made-{seed}")


def draw(rng: Random, *, people: int, sites: int) -> Texts:
    """A cohort of about `sites` sites. The interval's edges fall on, before and behind sites and inside deletions."""
    loci_drawn = list(_places(rng, sites))
    length = loci_drawn[-1] + LONGEST_DELETION_BP + TAIL_BP
    bases = _sequence(rng.randrange(1 << 30), length)
    loci = [_locus(rng, bases, position, people) for position in loci_drawn]
    haploids = rng.choice((0.0, 0.0, 0.0, 0.3, 1.0))
    cohort_style = rng.choice(("fine", "fine", "reblocked", "mixed"))
    persons = [_person(rng, number, haploids, cohort_style, middle=length // 2) for number in range(people)]
    few = 1 + len(loci) // 10
    first = max(1, loci[rng.randrange(few)].position + rng.choice((0, 0, 1, 2, 10, -5, -20)))
    last = loci[-1 - rng.randrange(few)].position + rng.choice((0, 0, 1, -1, 3, 50))
    return Texts(
        contig=CONTIG,
        bases=bases,
        first=first,
        last=max(first, last),
        records={person.name: tuple(_records(rng, bases, person, loci)) for person in persons},
    )


def _sequence(seed: int, length: int) -> str:
    # a source of its own: hypothesis need not shrink bases
    return "".join(Random(seed).choices("ACGT", k=length))


def _places(rng: Random, sites: int) -> Iterator[int]:
    position = rng.choice((1, 2, 30, 30, 30))
    for _ in range(sites):
        yield position
        position += rng.choice((1, 2, 3, 5, 9, 20, 40, 80))


def _locus(rng: Random, bases: str, position: int, people: int) -> Locus:
    (kind,) = rng.choices(list(KINDS), weights=list(KINDS.values()))
    candidates = _candidates(rng, bases, position, kind, people)
    carriers = rng.choice((0.05, 0.1, 0.3, 0.6, 1.0))
    if len(candidates) > 6:
        carriers = 1.0
    depth = rng.choice((2, 4, 8, 20, 30, 30, 30, 60, 250))
    return Locus(position=position, candidates=tuple(candidates), carriers=carriers, depth=depth)


def _candidates(rng: Random, bases: str, position: int, kind: str, people: int) -> list[Candidate]:
    ref = bases[position - 1]
    others = [one for one in "ACGT" if one != ref]
    rng.shuffle(others)
    if kind == "snp":
        return [_snp(others[0])]
    if kind == "snps":
        return [_snp(one) for one in others[: rng.choice((2, 3))]]
    if kind == "insertion":
        return _insertions(rng, ref, rng.choice((1, 1, 2)))
    if kind == "deletion":
        return [_deletion(rng, ref)]
    if kind == "deletions":
        return _distinct([_deletion(rng, ref) for _ in range(rng.choice((2, 3)))])
    if kind == "snp and deletion":
        return [_snp(others[0]), *_distinct([_deletion(rng, ref) for _ in range(rng.choice((1, 2)))])]
    if kind == "snp and insertion":
        return [_snp(others[0]), *_insertions(rng, ref, 1)]
    if kind == "mnv beside a deletion":
        span = rng.choice((3, 4, 6))
        changed = others[0] + bases[position : position + span - 2] + rng.choice("ACGT")
        return _distinct([Candidate(span=span, alt=ref), Candidate(span=span, alt=changed)])
    wanted = rng.randrange(7, 13) if kind == "seven" else rng.choice((41, 42, 43, 44))
    wanted = min(wanted, 4 * people)
    drawn = [_snp(one) for one in others] + [_deletion(rng, ref) for _ in range(3)]
    drawn += _insertions(rng, ref, wanted)
    rng.shuffle(drawn)
    return _distinct(drawn)[:wanted]


def _snp(base: str) -> Candidate:
    return Candidate(span=1, alt=base)


def _deletion(rng: Random, ref: str) -> Candidate:
    return Candidate(span=1 + rng.choice((1, 2, 3, 5, 9, 20, 40, LONGEST_DELETION_BP)), alt=ref)


def _insertions(rng: Random, ref: str, count: int) -> list[Candidate]:
    alts: list[str] = []
    while len(alts) < count:
        alt = ref + "".join(rng.choice("ACGT") for _ in range(1 + len(alts) % 7))
        # a source that always draws the same (hypothesis does) must come to an end too
        alts.append(alt if alt not in alts else ref + "ACGT"[len(alts) % 4] * (8 + len(alts)))
    return [Candidate(span=1, alt=one) for one in alts]


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    return list({(one.span, one.alt): one for one in candidates}.values())


def _person(rng: Random, number: int, haploids: float, cohort_style: str, *, middle: int) -> Person:
    style = cohort_style if cohort_style != "mixed" else rng.choice(("fine", "reblocked", "bare"))
    # names that sort in another order than they were drawn, capitals before small letters
    prefix = rng.choice(("S", "s", "NA", "HG", "a-", "Z"))
    return Person(
        name=f"{prefix}{number}",
        number=number,
        haploid_from=rng.choice((1, middle)) if happens(rng, haploids) else None,
        style=style,
        gappy=rng.choice((0.0, 0.02, 0.2)),
        overlapping=rng.choice((0.0, 0.1, 0.5)),
    )


def _records(rng: Random, bases: str, person: Person, loci: Sequence[Locus]) -> Iterator[str]:
    """Variants where the person carries or a caller doubts; blocks between them, with gaps and overlaps."""
    covered = 0  # the last base that a record reached
    deleted = 0  # the last base of a deletion that the person carries
    for locus in loci:
        if locus.position <= covered - 1 and locus.position > deleted:
            continue
        inside = locus.position <= deleted
        if inside and happens(rng, 0.3):
            continue
        if not happens(rng, locus.carriers) and not happens(rng, 0.04):
            continue
        yield from _blocks(rng, bases, person, covered + 1, locus.position - 1)
        record = _variant(rng, bases, person, locus, inside=inside)
        yield record.line
        end = record.position + record.span - 1
        # some callers go on with blocks inside of the deletion, some behind it
        covered = record.position if happens(rng, person.overlapping) else max(end, covered)
        deleted = max(deleted, end) if record.span > 1 else deleted
    yield from _blocks(rng, bases, person, covered + 1, len(bases))


def _blocks(rng: Random, bases: str, person: Person, first: int, last: int) -> Iterator[str]:
    while first <= last:
        length = rng.choice((100, 30, 10, 3, 1, 1)) if last - first < 400 else last - first + 1
        end = min(last, first + length - 1)
        written = min(len(bases), end + rng.choice((1, 5))) if happens(rng, 0.02) else end
        quality = rng.choice((0, 1, 3, 9, 20, 30, 45, 60, 90, 99, 130, 300))
        cell = block_cell(rng, ploidy=person.ploidy(first), style=person.style, quality_of_reference=quality)
        if not happens(rng, person.gappy):
            keys, values = ":".join(cell), ":".join(cell.values())
            yield f"{CONTIG}\t{first}\t.\t{bases[first - 1]}\t<NON_REF>\t.\t.\tEND={written}\t{keys}\t{values}"
        first = end + 1


def _variant(rng: Random, bases: str, person: Person, locus: Locus, *, inside: bool) -> Record:
    if len(locus.candidates) > MANY:
        # dealt out, so that a dozen people carry all of them
        dealt = locus.candidates[4 * person.number % len(locus.candidates) :] + locus.candidates
        local = list(dict.fromkeys(dealt[: rng.choice((4, 5))]))
    else:
        local = list(dict.fromkeys(rng.choice(locus.candidates) for _ in range(1 if rng.random() < 0.75 else 2)))
    if len({len(one.alt) for one in local if one.span == len(one.alt) > 1}) and all(
        one.span == len(one.alt) for one in local
    ):
        local.append(next(one for one in locus.candidates if one.span != len(one.alt)))
    span = max(one.span for one in local)
    ref = bases[locus.position - 1 : locus.position - 1 + span]
    alts = [one.alt + ref[one.span :] for one in local]
    if inside and happens(rng, 0.4):
        alts.insert(rng.choice((0, len(alts))), "*")
    carried = _carried(rng, person.ploidy(locus.position), len(alts))
    tag = f"{locus.position}_{ref}_{alts[0]}"
    cell = variant_cell(rng, alleles=len(alts) + 2, carried=carried, depth=locus.depth, at=locus.position, tag=tag)
    about = _about(rng, cell.depth)
    named = rng.choice(("rs1", "rs2", "x7")) if happens(rng, 0.03) else "."
    columns = [CONTIG, str(locus.position), named, ref, ",".join([*alts, "<NON_REF>"])]
    columns += [rng.choice((".", "0", "50.1")), ".", ";".join(about) or "."]
    columns += [":".join(cell.values), ":".join(cell.values.values())]
    return Record(position=locus.position, span=span, line="\t".join(columns))


def _carried(rng: Random, ploidy: int, alts: int) -> list[int]:
    if ploidy == 1:
        return [rng.choice((0, 1, 1, alts))]
    return rng.choice(([0, 1], [0, 1], [0, alts], [1, 1], [1, alts], [0, 0]))


def _about(rng: Random, depth: int) -> list[str]:
    """INFO: of one sample's reads."""
    about = [
        f"{key}={max(-20.0, min(20.0, rng.gauss(0, 1.5))):.3f}"
        for key in ("BaseQRankSum", "ClippingRankSum", "MQRankSum", "ReadPosRankSum")
        if happens(rng, 0.1 if key == "ClippingRankSum" else 0.6)
    ]
    if happens(rng, 0.93):
        about.append(f"DP={depth + rng.choice((0, 0, 0, 1, 4))}")
    if happens(rng, 0.5):
        about.append(f"ExcessHet={rng.choice(('0.0000', '3.0103', '1.5'))}")
    if happens(rng, 0.05):
        about.append(f"MQ={rng.uniform(20, 60):.2f}")
        about.append("MQ0=0")
    if happens(rng, 0.9):
        reads = rng.choice((0, depth, depth + 2))
        poor = rng.randrange(reads + 1) if happens(rng, 0.5) else 0
        about.append(f"RAW_MQandDP={3600 * (reads - poor) + 400 * poor},{reads}")
    return about


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.made", description="Write a made cohort to a folder.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--sites", type=int, default=400)
    args = parser.parse_args(argv)
    made = cohort(args.seed, args.out, people=args.people, sites=args.sites)
    print(f"--fasta {made.fasta} --region {made.contig}:{made.first}-{made.last}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
