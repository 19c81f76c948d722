"""Random lives of a joint store, each step compared with a store made from scratch of the samples that count then.

`python -m tests.services.jointcall.columnar.library.algebra` runs many; the suite runs a few.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic

from chassis.settings import StoreSettings
from services.jointcall.columnar.library import exporting, operations
from services.jointcall.columnar.library.opening import current, opened_store
from services.jointcall.columnar.library.operations import Workplace
from services.jointcall.columnar.library.shards import Region
from tests.oracle.cohorts import write
from tests.oracle.made import draw

DEADLINE = datetime.now(UTC) + timedelta(days=30)
SHARD_BP = 200
"""Far narrower than in earnest: a made cohort has several, and deletions over their edges."""
WHOLE_BP = 1 << 20
STEPS = ("add", "add", "withdraw", "replace", "compact", "rewrite")


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """`own` and `other` are gVCFs by sample: a replacement has the records of somebody else."""

    fasta: Path
    contig: str
    length: int
    own: dict[str, Path]
    other: dict[str, Path]


def people(seed: int, folder: Path, *, number: int, sites: int) -> People:
    texts = draw(Random(seed), people=number, sites=sites)
    names = list(texts.records)
    lines = list(texts.records.values())
    shifted = replace(texts, records=dict(zip(names, [*lines[1:], lines[0]], strict=True)))
    own = write(texts, folder / "own")
    other = write(shifted, folder / "other")
    return People(
        fasta=own.fasta,
        contig=texts.contig,
        length=len(texts.bases),
        own=dict(zip(names, own.gvcfs, strict=True)),
        other=dict(zip(names, other.gvcfs, strict=True)),
    )


@contextmanager
def workplace(folder: Path) -> Iterator[Workplace]:
    settings = StoreSettings()
    with opened_store(str(folder), settings, make=True) as depot:
        yield Workplace(depot=depot, settings=settings)


def scratch_digest(cohort: People, gvcfs: Sequence[Path], *, shard_bp: int = WHOLE_BP) -> exporting.Digest:
    """Of a store of these gVCFs, imported at once."""
    with tempfile.TemporaryDirectory(prefix="scratch-") as folder, workplace(Path(folder)) as at:
        operations.import_first(at, [str(path) for path in gvcfs], reference=cohort.fasta, shard_bp=shard_bp)
        return exporting.digest(at, current(at.depot), exporting.Wanted())


def records(at: Workplace, *regions: Region) -> list[bytes]:
    wanted = exporting.Wanted(regions=regions)
    return [line for _, line in exporting.records(at, current(at.depot), wanted)]


@dataclass
class Life:
    """`there`: the gVCF that counts, by sample. `scratch`: digests that were made from scratch already."""

    cohort: People
    at: Workplace
    rng: Random
    there: dict[str, Path] = field(default_factory=dict)
    scratch: dict[frozenset[Path], exporting.Digest] = field(default_factory=dict)

    def begin(self) -> None:
        names = self.rng.sample(list(self.cohort.own), self.rng.choice((1, 2, 3)))
        self.there = {name: self.cohort.own[name] for name in names}
        operations.import_first(
            self.at, [str(path) for path in self.there.values()], reference=self.cohort.fasta, shard_bp=SHARD_BP
        )

    def step(self) -> str:
        """One operation that is possible, by chance. Returns its name."""
        name = self.rng.choice(STEPS)
        out = [name for name in self.cohort.own if name not in self.there]
        if name == "add" and out:
            self._bring(self.rng.sample(out, self.rng.randint(1, min(3, len(out)))), adding=True)
        elif name == "replace" and self.there:
            self._bring(self.rng.sample(list(self.there), self.rng.randint(1, min(2, len(self.there)))), adding=False)
        elif name == "withdraw" and len(self.there) > 1:
            gone = self.rng.sample(list(self.there), self.rng.randint(1, min(2, len(self.there) - 1)))
            operations.withdraw(self.at, gone, deadline=DEADLINE)
            for one in gone:
                del self.there[one]
        elif name == "compact":
            operations.compact(self.at, limit=self.rng.choice((3, 1000)))
        elif name == "rewrite":
            operations.rewrite(self.at, now=DEADLINE)
        return name

    def _bring(self, names: Sequence[str], *, adding: bool) -> None:
        places = {}
        for name in names:
            versions = [self.cohort.own[name], self.cohort.other[name]]
            places[name] = self.rng.choice([one for one in versions if one != self.there.get(name)])
        given = [str(path) for path in places.values()]
        self.rng.shuffle(given)
        if adding:
            operations.add(self.at, given, reference=self.cohort.fasta)
        else:
            operations.replace(self.at, given, reference=self.cohort.fasta, deadline=DEADLINE)
        self.there |= places

    def check(self) -> None:
        """The current generation's digest is that of a store made from scratch."""
        generation = current(self.at.depot)
        assert generation.samples == tuple(sorted(self.there))
        mine = exporting.digest(self.at, generation, exporting.Wanted())
        key = frozenset(self.there.values())
        if key not in self.scratch:
            self.scratch[key] = scratch_digest(self.cohort, sorted(key))
        meant = self.scratch[key]
        assert (mine.records, mine.digest) == (meant.records, meant.digest), f"{generation.operation} of {self.there}"
        assert mine.records > 0

    def check_split(self) -> None:
        """Regions that are cut anywhere give the records of the whole."""
        cuts = sorted(self.rng.sample(range(2, self.cohort.length), 4))
        edges = [1, *cuts, self.cohort.length + 1]
        parts = [Region(self.cohort.contig, first, last - 1) for first, last in pairwise(edges)]
        assert [line for part in parts for line in records(self.at, part)] == records(self.at)


def live(seed: int, folder: Path, *, number: int, sites: int, steps: int) -> list[str]:
    """A whole life in `folder`, checked at every step; what was done."""
    rng = Random(seed)
    cohort = people(seed, folder, number=number, sites=sites)
    with workplace(folder / "store") as at:
        life = Life(cohort, at, rng)
        life.begin()
        done = ["import"]
        life.check()
        for _ in range(steps):
            done.append(life.step())
            life.check()
        life.check_split()
    return done


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lives", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sites", type=int, default=150)
    args = parser.parse_args(argv)
    began = monotonic()
    for seed in range(args.seed, args.seed + args.lives):
        number = (4, 8, 15, 30)[seed % 4]
        with tempfile.TemporaryDirectory(prefix="algebra-") as folder:
            done = live(seed, Path(folder), number=number, sites=args.sites, steps=args.steps)
        print(f"{monotonic() - began:6.0f} s  seed {seed}, {number} people: {' '.join(done)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
