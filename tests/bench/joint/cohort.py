"""A cohort of gVCFs as HaplotypeCaller writes them.

`python -m tests.bench.joint.cohort OUT --samples N --bases B --seed S`

Written person by person straight from simulated haplotypes, without reads; the same arguments give the same bytes.
OUT/reference.fa with .fai and .dict, OUT/gvcf/NAME.g.vcf.gz with .tbi, OUT/cohort.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.joint import carried, dice, lines, reads, sites
from tests.bench.joint.bgzf import write_bgzf

CONTIG = "sim20"
ORIGIN = 10 * 2**20 + 1
"""Position of the window's first base: with eight digits, as on a real contig, and where a store's windows begin."""
LEVEL = 6
GQ_BEGINS = (0, 1, 20, 40, 60, 80, 99)
GROUND, PEOPLE, PERSON = 1, 2, 3  # what a stream of random numbers is for


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Of one gVCF's body; `called` records have an ALT in GT; `by_gq`: bases in blocks, by class of GQ (GQ_BEGINS)."""

    blocks: int
    explicit: int
    called: int
    text_bytes: int
    bgzip_bytes: int
    by_gq: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Cohort:
    folder: Path
    bases: int
    names: tuple[str, ...]
    profiles: tuple[Profile, ...]
    seconds: float

    @property
    def reference(self) -> Path:
        return self.folder / "reference.fa"

    @cached_property
    def gvcfs(self) -> tuple[Path, ...]:
        return tuple(self.folder / "gvcf" / f"{name}.g.vcf.gz" for name in self.names)

    def region(self, bases: int | None = None) -> str:
        """The window's first `bases` (None: all), as tools spell an interval."""
        return f"{CONTIG}:{ORIGIN}-{ORIGIN + (bases or self.bases) - 1}"


def make(folder: Path, *, samples: int, bases: int, seed: int, level: int = LEVEL) -> Cohort:
    """Everything is decided by `samples`, `bases` and `seed`."""
    begun = time.perf_counter()
    rng = np.random.default_rng([seed, PEOPLE])
    reference = sites.random_reference(rng, bases)
    people = sites.draw_sites(rng, people=samples, reference=reference)
    ground = reads.draw_ground(np.random.default_rng([seed, GROUND]), bases)
    recurring = carried.draw_recurring(rng, people, bases)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gvcf").mkdir(exist_ok=True)
    write_reference(folder / "reference.fa", reference)
    names = tuple(f"S{person:0{max(3, len(str(samples - 1)))}d}" for person in range(samples))
    contig = np.frombuffer(f"{CONTIG}\t".encode(), np.uint8)
    bands = lines.band_of_gq()
    depth, pl1, pl2 = (np.zeros(bases, np.int16) for _ in range(3))
    text = np.zeros(bases * 13 + 65_536, np.uint8)
    profiles = []
    for person, name in enumerate(names):
        stream = dice.state(seed, PERSON, person)
        mean = reads.DEPTH + reads.DEPTH_SD * 2 * (dice.uniform(stream) + dice.uniform(stream) - 1)
        reads.per_base(stream, mean, ground.ease, ground.margin, ground.error, depth, pl1, pl2)
        at, of, pair = carried.carried(stream, people, recurring, person, bases)
        head = header(name, ORIGIN + bases + 999)
        while True:
            text[: len(head)] = np.frombuffer(head, np.uint8)
            counts = np.zeros(103, np.int64)
            again = stream.copy()
            size = lines.put_lines(
                text[len(head) :], again, contig, ORIGIN, reference, bands, depth, pl1, pl2, at, of, pair,
                people.rows, people.ref_bp, people.alt_rows, people.alt, counts,
            )  # fmt: skip
            if size >= 0:
                break
            text = np.zeros(2 * len(text), np.uint8)
        path = folder / "gvcf" / f"{name}.g.vcf.gz"
        packed = write_bgzf(path, text[: len(head) + size].data, level=level)
        index(path)
        blocks, explicit, called = (int(count) for count in counts[:3])
        profiles.append(
            Profile(
                blocks=blocks,
                explicit=explicit,
                called=called,
                text_bytes=size,
                bgzip_bytes=packed,
                by_gq=tuple(int(count) for count in np.add.reduceat(counts[3:], GQ_BEGINS)),
            )
        )
    cohort = Cohort(
        folder=folder,
        bases=bases,
        names=names,
        profiles=tuple(profiles),
        seconds=time.perf_counter() - begun,
    )
    (folder / "cohort.json").write_text(json.dumps(_document(cohort)))
    return cohort


def load(folder: Path) -> Cohort:
    """A cohort that `make` wrote."""
    document = json.loads((folder / "cohort.json").read_text())
    profiles = tuple(Profile(**one | {"by_gq": tuple(one["by_gq"])}) for one in document.pop("profiles"))
    return Cohort(**document | {"folder": folder, "names": tuple(document["names"]), "profiles": profiles})


def _document(cohort: Cohort) -> dict[str, Any]:
    return asdict(cohort) | {"folder": cohort.folder.name}


def index(path: Path) -> None:
    import pysam

    pysam.tabix_index(str(path), preset="vcf", force=True)


def write_reference(path: Path, window: NDArray[np.uint8]) -> None:
    """The window behind ORIGIN - 1 bases of N, with the two files that GATK wants beside a FASTA."""
    import hashlib

    import pysam

    sequence = b"N" * (ORIGIN - 1) + window.tobytes() + b"N" * 1000
    width = 100_000  # few lines: nobody reads them
    with path.open("wb") as out:
        out.write(f">{CONTIG}\n".encode())
        for begin in range(0, len(sequence), width):
            out.write(sequence[begin : begin + width] + b"\n")
    pysam.faidx(str(path))
    digest = hashlib.md5(sequence, usedforsecurity=False).hexdigest()
    path.with_suffix(".dict").write_text(f"@HD\tVN:1.6\n@SQ\tSN:{CONTIG}\tLN:{len(sequence)}\tM5:{digest}\n")


def header(name: str, contig_bases: int) -> bytes:
    begins = (0, *lines.FINEST_BANDS, 100)
    bands = "".join(
        f"##GVCFBlock{low}-{high}=minGQ={low}(inclusive),maxGQ={high}(exclusive)\n" for low, high in pairwise(begins)
    )
    return (
        f"{_HEADER}{bands}##contig=<ID={CONTIG},length={contig_bases}>\n##source=simulated\n"
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{name}\n"
    ).encode()


_HEADER = """##fileformat=VCFv4.2
##ALT=<ID=NON_REF,Description="Any other allele at this place">
##FILTER=<ID=LowQual,Description="Low quality">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Least reads in the block">
##FORMAT=<ID=PGT,Number=1,Type=String,Description="Genotype in its phase set">
##FORMAT=<ID=PID,Number=1,Type=String,Description="Name of the phase set">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods of the genotypes, phred">
##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set: position of its first record">
##FORMAT=<ID=SB,Number=4,Type=Integer,Description="Reads by reference or not, and strand">
##INFO=<ID=BaseQRankSum,Number=1,Type=Float,Description="Rank sum of base qualities">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Reads, those included that were not used">
##INFO=<ID=END,Number=1,Type=Integer,Description="Last base of the block">
##INFO=<ID=ExcessHet,Number=1,Type=Float,Description="Phred p-value for excess heterozygosity">
##INFO=<ID=MLEAC,Number=A,Type=Integer,Description="Expected allele counts">
##INFO=<ID=MLEAF,Number=A,Type=Float,Description="Expected allele frequencies">
##INFO=<ID=MQRankSum,Number=1,Type=Float,Description="Rank sum of mapping qualities">
##INFO=<ID=RAW_MQandDP,Number=2,Type=Integer,Description="Sum of squared mapping qualities, and reads">
##INFO=<ID=ReadPosRankSum,Number=1,Type=Float,Description="Rank sum of places in reads">
"""


def main(argv: Sequence[str]) -> int:
    from tests.bench.joint.locus import bases_by_gq, compared, table

    parser = argparse.ArgumentParser(prog="python -m tests.bench.joint.cohort", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--bases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--level", type=int, default=LEVEL, help="of compression, 1 to 12")
    args = parser.parse_args(argv)
    cohort = make(args.out, samples=args.samples, bases=args.bases, seed=args.seed, level=args.level)
    figures = compared(cohort)
    print(table(figures))
    print("bases in blocks: " + ", ".join(f"{what} {share:.3f}" for what, share in bases_by_gq(cohort).items()))
    print(f"{sum(one.text_bytes for one in cohort.profiles) / 1e6 / cohort.seconds:.0f} MB of text a second")
    return 0 if all(one.near for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
