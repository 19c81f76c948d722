"""A cohort whose false sites are known: annotations drawn from two distributions, well apart but overlapping."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam

LENGTH = 2_000_000
HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">
##INFO=<ID=FS,Number=1,Type=Float,Description="Strand bias">
##INFO=<ID=MQ,Number=1,Type=Float,Description="Mapping quality">
##INFO=<ID=MQRankSum,Number=1,Type=Float,Description="Mapping quality rank sum">
##INFO=<ID=QD,Number=1,Type=Float,Description="Quality by depth">
##INFO=<ID=ReadPosRankSum,Number=1,Type=Float,Description="Read position rank sum">
##INFO=<ID=SOR,Number=1,Type=Float,Description="Strand odds ratio">
##contig=<ID=c1,length=2000000>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    at: int
    ref: str
    alt: str
    info: str
    true: bool

    def line(self, *cells: str, filters: str = ".") -> str:
        head = f"c1\t{self.at}\t.\t{self.ref}\t{self.alt}\t500\t{filters}\t{self.info}"
        return "\t".join((head, "GT", *cells)) if cells else head


def sites(*, true: int, false: int, seed: int = 11) -> tuple[Site, ...]:
    """SNPs in order. MQ is 60 everywhere, as in small clean cohorts; MQRankSum is missing where no sample is het."""
    draw = random.Random(seed)
    kinds = [True] * true + [False] * false
    draw.shuffle(kinds)
    step = LENGTH // (len(kinds) + 1)
    return tuple(
        Site(
            at=(place + 1) * step + draw.randrange(step - 1),
            ref=(alleles := draw.sample("ACGT", 2))[0],
            alt=alleles[1],
            info=_good(draw) if good else _bad(draw),
            true=good,
        )
        for place, good in enumerate(kinds)
    )


def _good(draw: random.Random) -> str:
    ranks = (
        f"MQRankSum={draw.gauss(0, 0.6):.3f};ReadPosRankSum={draw.gauss(0, 0.8):.3f};" if draw.random() < 0.9 else ""
    )
    return (
        f"DP={max(1, int(draw.gauss(300, 30)))};FS={draw.expovariate(0.4):.3f};MQ=60.00;"
        f"{ranks}QD={draw.gauss(20, 4):.2f};SOR={draw.gauss(0.9, 0.25):.3f}"
    )


def _bad(draw: random.Random) -> str:
    return (
        f"DP={max(1, int(draw.gauss(450, 120)))};FS={draw.gauss(35, 15):.3f};MQ=60.00;"
        f"MQRankSum={draw.gauss(-3, 1.5):.3f};ReadPosRankSum={draw.gauss(-2.5, 1.2):.3f};"
        f"QD={abs(draw.gauss(5, 3)):.2f};SOR={draw.gauss(3, 1):.3f}"
    )


def write(path: Path, lines: Sequence[str] | Iterator[str], *, samples: Sequence[str] = ()) -> Path:
    columns = [
        "#CHROM",
        "POS",
        "ID",
        "REF",
        "ALT",
        "QUAL",
        "FILTER",
        "INFO",
        *(("FORMAT", *samples) if samples else ()),
    ]
    with pysam.BGZFile(str(path), "w", None) as sink:
        sink.write((HEADER + "\t".join(columns) + "\n" + "".join(f"{line}\n" for line in lines)).encode())
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path
