"""gVCFs drawn from a seed: every shape of record that callers write, and targets to read them over."""

from __future__ import annotations

import random

import numpy as np

from contracts.values import Interval
from services.jointcall.columnar.reading import Target
from services.jointcall.columnar.tables import RANKED
from tests.services.jointcall.engines.written import sequence

LENGTH = 300
BASES = sequence(LENGTH)
FORMAT = ("AD", "DP", "GQ", "GT", "MIN_DP", "PGT", "PID", "PL", "PS", "SB", "XX")
INFO = ("DP", "END", "RAW_MQandDP", "MLEAC", "FLAG", *RANKED)


def header(*, contigs: tuple[tuple[str, int], ...], name: str = "ada") -> str:
    lines = ["##fileformat=VCFv4.2"]
    lines += [f'##FORMAT=<ID={key},Number=.,Type=String,Description="-">' for key in FORMAT]
    lines += [f'##INFO=<ID={key},Number=.,Type=String,Description="-">' for key in INFO]
    lines += [f"##contig=<ID={contig},length={length}>" for contig, length in contigs]
    lines.append("\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", name)))
    return "\n".join(lines) + "\n"


def target(
    contig: str, first: int = 1, last: int = LENGTH, *, bases: str = BASES, contigs: tuple[tuple[str, int], ...] = ()
) -> Target:
    return Target(
        interval=Interval(contig=contig, start=first, end=last, contig_length=len(bases)),
        bases=np.frombuffer(bases[first - 1 : last].encode(), np.uint8),
        contigs=contigs or ((contig, len(bases)),),
        regions=((first, last),),
    )


def lines(seed: int, *, contig: str) -> list[str]:
    """Records of one contig in order; genotypes of one allele too where the contig's name allows them. From a seed:
    hypothesis takes seconds to draw as many choices one by one."""
    rng = random.Random(seed)
    written: list[str] = []
    at = rng.randint(1, 40)
    while at <= LENGTH - 12 and len(written) < 40:
        written.append(_line(rng, contig=contig, at=at))
        at += rng.choice((1, rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 40)))
    return written


def _line(rng: random.Random, *, contig: str, at: int) -> str:
    ref, alts = BASES[at - 1], rng.sample(["*", "GATTA", "<DEL>", "CAT"], rng.choice((0, 0, 0, 1, 2, 3)))
    if alts and rng.random() < 0.5:
        ref = BASES[at - 1 : at - 1 + rng.randint(2, 9)]
        alts[0] = ref[0]
    info = []
    if not alts and rng.random() < 0.9:
        info.append(f"END={rng.randint(at, min(at + 30, LENGTH))}")
    if alts or rng.random() < 0.25:
        info += rng.choice(([], ["DP=7"], ["FLAG", "DP=."], ["MLEAC=1,0", "DP=70000"]))
        info += rng.choice(([], [], ["RAW_MQandDP=39600,11"], ["RAW_MQandDP=."]))
        info += rng.choice(([], [], ["MQ0=0", "MQRankSum=-1.735"], ["MQ=60.00"], ["ExcessHet=3.0103"]))
        info += rng.choice(([], [], ["BaseQRankSum=1.2e-05"], ["ReadPosRankSum=NaN"]))
    alleles, ploidy = len(alts) + 2, rng.choice((1, 2)) if contig == "chrX" else 2
    one = rng.choice(("0", "0", ".") if not alts else ("0", ".", str(rng.randrange(alleles))))
    other = rng.choice((one, one, ".", str(rng.randrange(alleles))))

    def figure() -> str:
        return rng.choice((str(rng.randint(0, 60)), str(rng.randint(0, 300)), "65535", "65536", "2147483647"))

    def figures(count: int) -> str:
        return ",".join(figure() if rng.random() < 0.3 else str(rng.randint(0, 900)) for _ in range(count))

    def or_absent(value: str) -> str:
        return value if rng.random() < 0.8 else "."

    cells = {
        "GT": rng.choice("///|").join((one, other)[:ploidy]) if rng.random() < 0.9 else ".",
        "DP": or_absent(figure()),
        "GQ": or_absent(figure()),
        "MIN_DP": or_absent(figure()),
        "PL": or_absent(figures(alleles * (alleles + 1) // 2 if ploidy == 2 else alleles)),
        "AD": rng.choice((figures(alleles), ".", ",".join("." * alleles))),
        "SB": rng.choice(("1,2,3,4", ".")),
        "PGT": rng.choice(("0|1", ".")),
        "PID": rng.choice((f"{at}_A_C", ".")),
        "PS": rng.choice((str(at), ".")),
        "XX": "anything",
    }
    some = ("GT:DP:GQ:MIN_DP:PL", "GT:DP:GQ:MIN_DP:PL", "GT:DP:GQ", "GT:GQ:PL:DP", "GT:XX:AD:GQ:SB", "GT")
    keys = rng.choice((*some, "GT:AD:DP:GQ:PGT:PID:PL:PS:SB", "GT:AD:DP:GQ:PL:SB")).split(":")
    cell = ":".join(cells[key] for key in keys[: rng.choice((len(keys), len(keys), len(keys), 1, 2))])
    alt = ",".join((*alts, "<NON_REF>"))
    name = rng.choice((".", ".", ".", ".", "rs7"))
    return "\t".join((contig, str(at), name, ref, alt, ".", ".", ";".join(info) or ".", ":".join(keys), cell))
