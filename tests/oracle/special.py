"""Cohorts written by hand, for what random ones meet too seldom: specification, sections 1 and 4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from random import Random

from tests.oracle.cells import likelihoods, variant_cell
from tests.oracle.cohorts import Cohort, Texts, write

CONTIG = "chrX"  # where one allele and two are both in order
BASES = "".join(Random(4).choices("ACGT", k=2000))
CROWD = 220


def crowd(folder: Path) -> Cohort:
    """So many heterozygotes that ExcessHet reaches its ceiling, strand counts beyond what Fisher's test takes as they
    are, and a QUAL of six digits."""
    rng = Random(220)
    records = {f"S{number}": tuple(_heterozygous(rng, ((50, 4), (120, 30), (200, 60)))) for number in range(CROWD)}
    return _write("crowd", records, folder, last=400)


def _heterozygous(rng: Random, sites: Sequence[tuple[int, int]]) -> Iterator[str]:
    """`sites`: position and depth."""
    for at, depth in sites:
        cell = variant_cell(rng, alleles=3, carried=[0, 1], depth=depth, at=at, tag="x", odd=False)
        yield _record(at, [_other(at)], cell.values, about=f"DP={cell.depth}")


def many_alts(folder: Path) -> Cohort:
    """41 to 44 ALTs, all of them carried: 42 are called, 43 are too many genotypes. And 5 to 8 around the six that are
    written."""
    counts = (5, 6, 7, 8, 41, 42, 43, 44)
    people = 12
    records: dict[str, list[str]] = {f"p{number}": [] for number in range(people)}
    for number, count in enumerate(counts):
        at = 50 + 200 * number
        alts = [BASES[at - 1] + _letters(one) for one in range(count)]
        for person, lines in enumerate(records.values()):
            own = alts[person::people] or [alts[person % count]]
            reads = [3, *(6 + one for one in range(len(own))), 0]
            values = {"GT": "0/1", "AD": _join(reads), "DP": str(sum(reads)), "PL": _join(likelihoods(reads, 2))}
            lines.append(_record(at, own, values))
    return _write("many-alts", {name: tuple(lines) for name, lines in records.items()}, folder)


HET = "600,0,600,645,645,1290"
ODD_CALLS = (
    {"GT": "0/1", "AD": "15,15,0", "DP": "30", "GQ": "99", "PL": HET},
    {"GT": "0/1", "AD": "15,15,0", "DP": "30", "GQ": "99"},
    {"GT": "0/1", "DP": "30", "GQ": "99", "PL": HET},
    {"GT": "0/1", "AD": "15,15,0", "GQ": "99", "PL": HET},
    {"GT": "0/1", "AD": "15,15,0", "DP": "30", "PL": HET},
    {"GT": "0/1", "PL": HET},
    {"GT": "0/1", "AD": "15,15,0", "DP": "0", "GQ": "99", "PL": HET},
    {"GT": "0/1", "AD": "0,0,0", "DP": "0", "GQ": "0", "PL": "0,0,0,0,0,0"},
    {"GT": "0/1", "AD": "0,0,0", "DP": "0", "GQ": "0", "PL": "0,0,5,0,5,5"},
    {"GT": "0/1", "AD": "0,1,0", "DP": "1", "GQ": "0", "PL": "33,5,0,7,8,9"},
    {"GT": "0/0", "AD": "29,1,0", "DP": "30", "GQ": "0", "PL": "50,0,400,60,420,480"},
    {"GT": "0/0", "AD": "30,0,0", "DP": "30", "GQ": "99"},
    {"GT": "0/0", "AD": "30,0,0", "DP": "30", "GQ": "0"},
    {"GT": "0/0", "AD": "30,0,0", "DP": "30"},
    {"GT": "0/0", "AD": "30,0,0", "DP": "30", "GQ": "1", "PL": "0,1,2,1,2,2"},
    {"GT": "./.", "AD": "30,0,0", "DP": "30", "GQ": "20"},
    {"GT": "./.", "AD": "15,15,0", "DP": "30", "GQ": "99", "PL": HET},
    {"GT": "./.", "AD": "0,0,0", "DP": "0"},
    {"GT": "0/2", "AD": "15,0,15", "DP": "30", "GQ": "99", "PL": "600,645,1290,0,645,600"},
    {"GT": "1/2", "AD": "0,15,15", "DP": "30", "GQ": "99", "PL": "1290,645,600,645,0,600"},
    {"GT": "2/2", "AD": "0,0,30", "DP": "30", "GQ": "99", "PL": "1290,1290,1290,90,90,0"},
    {"GT": "1|1", "AD": "0,30,0", "DP": "30", "GQ": "90", "PGT": "0|1", "PID": "9_A_C", "PL": "1290,90,0,1290,90,1290"},
    {"GT": "1|0", "AD": "15,15,0", "DP": "30", "GQ": "99", "PGT": "1|0", "PID": "9_A_C", "PL": HET, "PS": "9"},
    {"GT": "1", "AD": "0,30,0", "DP": "30", "GQ": "99", "PL": "1200,0,1290"},
    {"GT": "0", "AD": "30,0,0", "DP": "30", "GQ": "99"},
    {"GT": "0", "AD": "30,0,0", "DP": "30", "GQ": "0", "PL": "0,0,0"},
    {"GT": ".", "AD": "0,0,0", "DP": "0"},
)
ODD_BLOCKS = (
    {"GT": "0/0", "DP": "30", "GQ": "90", "MIN_DP": "28", "PL": "0,90,1200"},
    {"GT": "0/0", "DP": "90", "GQ": "99", "MIN_DP": "80", "PL": "0,240,3600"},
    {"GT": "0/0", "DP": "30", "GQ": "90", "MIN_DP": "28"},
    {"GT": "0/0", "DP": "30", "GQ": "90"},
    {"GT": "0/0", "DP": "30", "GQ": "0", "MIN_DP": "28"},
    {"GT": "0/0", "DP": "30", "MIN_DP": "28"},
    {"GT": "0/0", "DP": "0", "GQ": "20", "MIN_DP": "0", "PL": "0,20,200"},
    {"GT": "0/0", "DP": "4", "GQ": "0", "MIN_DP": "0", "PL": "0,0,60"},
    {"GT": "0/0", "DP": "0", "GQ": "0", "MIN_DP": "0", "PL": "0,0,0"},
    {"GT": "0/0", "DP": "0", "GQ": "0", "MIN_DP": "0", "PL": "0,0,5"},
    {"GT": "0/0", "DP": "30", "GQ": "0", "MIN_DP": "28", "PL": "0,0,0"},
    {"GT": "0/0", "PL": "0,30,300"},
    {"GT": "./.", "DP": "30", "GQ": "20", "MIN_DP": "28", "PL": "0,20,200"},
    {"GT": "./.", "DP": "30", "GQ": "20", "MIN_DP": "28"},
    {"GT": "./.", "DP": "0", "GQ": "0", "MIN_DP": "0", "PL": "0,0,0"},
    {"GT": "0", "DP": "30", "GQ": "90", "MIN_DP": "28", "PL": "0,90"},
    {"GT": "0", "DP": "30", "GQ": "30"},
    {"GT": "0", "DP": "0", "GQ": "0", "MIN_DP": "0", "PL": "0,0"},
    {"GT": "0/0"},
    {"GT": "./."},
    {"GT": "."},
)


def forms(folder: Path) -> Cohort:
    """Each odd cell, of a call and of a block, at a site of its own beside two carriers, and beside a doubtful one."""
    records: dict[str, list[str]] = {"ada": [], "ben": [], "odd": []}
    doubtful = {"GT": "0/1", "AD": "3,2,0", "DP": "5", "GQ": "40", "PL": "40,0,80,49,86,135"}
    at = 10
    for good, (odd, is_block) in product(
        (True, False), [(o, False) for o in ODD_CALLS] + [(o, True) for o in ODD_BLOCKS]
    ):
        records["ada"].append(_record(at, [_other(at)], ODD_CALLS[0] if good else doubtful))
        if good:
            records["ben"].append(_record(at, [_other(at)], ODD_CALLS[0]))
        if is_block:
            records["odd"].append(_record(at, [], odd, about=f"END={at}"))
        else:
            records["odd"].append(_record(at, [_other(at)], odd))
        at += 10
    return _write("forms", {name: tuple(lines) for name, lines in records.items()}, folder)


def _record(at: int, alts: Sequence[str], values: dict[str, str], *, about: str = "") -> str:
    about = about or f"DP={values.get('DP', 7)};RAW_MQandDP={3600 * 20},20"
    columns = [CONTIG, str(at), ".", BASES[at - 1], ",".join([*alts, "<NON_REF>"]), ".", ".", about]
    return "\t".join([*columns, ":".join(values), ":".join(values.values())])


def _other(at: int) -> str:
    return "ACGT"["ACGT".index(BASES[at - 1]) - 1]


def _letters(number: int) -> str:
    """Another word for each number, the shortest first."""
    word = ""
    while number >= 0:
        word += "ACGT"[number % 4]
        number = number // 4 - 1
    return word


def _join(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _write(name: str, records: dict[str, tuple[str, ...]], folder: Path, *, last: int = len(BASES)) -> Cohort:
    return write(Texts(contig=CONTIG, bases=BASES, first=1, last=last, records=records), folder, name=name)
