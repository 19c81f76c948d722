"""What random cohorts hold: each item of the specification that a comparison with GATK must meet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.oracle.cells import genotypes, likelihoods
from tests.oracle.cohorts import Texts
from tests.oracle.made import cohort, draw

SEEDS = range(1, 9)
Columns = tuple[str, ...]


@pytest.fixture(scope="module")
def drawn() -> list[Texts]:
    return [draw(Random(seed), people=14, sites=300) for seed in SEEDS]


def rows(texts: Texts) -> list[list[Columns]]:
    """By sample, each record's columns."""
    return [[tuple(line.split("\t")) for line in lines] for lines in texts.records.values()]


def cell(record: Columns) -> dict[str, str]:
    return dict(zip(record[8].split(":"), record[9].split(":"), strict=True))


def is_block(record: Columns) -> bool:
    return record[4] == "<NON_REF>"


def called(record: Columns) -> set[str]:
    return set(cell(record)["GT"].replace("|", "/").split("/"))


def ends(record: Columns) -> int:
    about = dict(entry.split("=") for entry in record[7].split(";") if "=" in entry)
    return int(about.get("END", int(record[1]) + len(record[3]) - 1))


RECORDS: dict[str, Callable[[Columns], bool]] = {
    "deletion of 40 bases or more": lambda r: not is_block(r) and len(r[3]) > 40,
    "spanning deletion as its own allele": lambda r: "*" in r[4].split(","),
    "SNP beside a deletion": lambda r: len({len(a) for a in r[4].split(",")[:-1]}) > 1,
    "call without PL": lambda r: not is_block(r) and "PL" not in cell(r),
    "call of an ALT without PL": lambda r: "PL" not in cell(r) and bool(called(r) - {"0", "."}),
    "block without PL": lambda r: is_block(r) and "PL" not in cell(r) and "GQ" in cell(r),
    "block without MIN_DP": lambda r: is_block(r) and "MIN_DP" not in cell(r),
    "call without AD": lambda r: not is_block(r) and "AD" not in cell(r),
    "call without DP": lambda r: not is_block(r) and "DP" not in cell(r),
    "DP 0, PL 0,0,0": lambda r: cell(r).get("DP") == "0" and cell(r).get("PL") == "0,0,0",
    "DP 0, PL 0,0,5": lambda r: cell(r).get("DP") == "0" and cell(r).get("PL") == "0,0,5",
    "PL1 above 99 where GQ is 99": lambda r: is_block(r) and cell(r).get("PL", "0,0").split(",")[1] == "130",
    "haploid block": lambda r: is_block(r) and cell(r)["GT"] == "0",
    "haploid call": lambda r: not is_block(r) and cell(r)["GT"] == "1",
    "no-call with likelihoods": lambda r: cell(r)["GT"] == "./." and "PL" in cell(r),
    "phased, the ALT first": lambda r: cell(r).get("PGT") == "1|0" and cell(r)["GT"] == "1|0",
    "phased, with PS": lambda r: "PS" in cell(r) and "PID" in cell(r),
    "strand counts above 200": lambda r: sum(map(int, cell(r).get("SB", "0").split(","))) > 200,
    "mapping qualities of no read": lambda r: "RAW_MQandDP=0,0" in r[7],
    "no INFO DP": lambda r: not is_block(r) and "DP=" not in r[7].replace("MQandDP=", ""),
    "rank sums": lambda r: "MQRankSum=" in r[7] and "ReadPosRankSum=" in r[7],
    "ClippingRankSum": lambda r: "ClippingRankSum=" in r[7],
    "an ID": lambda r: r[2] != ".",
}


@pytest.mark.parametrize("item", RECORDS)
def test_records_of_each_kind_are_there(drawn: list[Texts], item: str) -> None:
    kind = RECORDS[item]
    assert any(kind(record) for texts in drawn for sample in rows(texts) for record in sample)


def pairs(texts: Texts) -> list[tuple[Columns, Columns]]:
    return [pair for sample in rows(texts) for pair in pairwise(sample)]


def alts_at(texts: Texts) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for sample in rows(texts):
        for record in sample:
            # as far as the longest deletion reaches, so that the same ALT is the same text
            behind = texts.bases[int(record[1]) - 1 + len(record[3]) : int(record[1]) + 70]
            found.setdefault(record[1], set()).update(one + behind for one in record[4].split(",")[:-1])
    return found


COHORTS: dict[str, Callable[[Texts], bool]] = {
    "a variant inside the sample's own deletion": lambda t: any(
        ends(a) >= int(b[1]) and len(a[3]) > 1 and not is_block(b) for a, b in pairs(t)
    ),
    "a block that begins inside a deletion": lambda t: any(
        ends(a) >= int(b[1]) and len(a[3]) > 1 and is_block(b) for a, b in pairs(t)
    ),
    "a block that runs over the next record": lambda t: any(is_block(a) and ends(a) >= int(b[1]) for a, b in pairs(t)),
    "a gap": lambda t: any(ends(a) + 1 < int(b[1]) for a, b in pairs(t)),
    "more than six ALTs": lambda t: any(len(alts) > 6 for alts in alts_at(t).values()),
    "more than forty ALTs": lambda t: any(len(alts) > 40 for alts in alts_at(t).values()),
    "several REFs at a site": lambda t: any(
        len({r[3] for sample in rows(t) for r in sample if r[1] == at}) > 2 for at in list(alts_at(t))[:200]
    ),
    "diploid and haploid people": lambda t: len({cell(sample[0])["GT"].count("/") for sample in rows(t)}) == 2,
    "people who are both": lambda t: any(
        len({len(cell(r)["GT"].replace("|", "/").split("/")) for r in sample}) == 2 for sample in rows(t)
    ),
    "a deletion over the interval's start": lambda t: any(
        int(r[1]) < t.first <= ends(r) and len(r[3]) > 1 for sample in rows(t) for r in sample
    ),
    "a deletion over the interval's end": lambda t: any(
        int(r[1]) <= t.last < ends(r) and len(r[3]) > 1 for sample in rows(t) for r in sample
    ),
    "names out of order": lambda t: list(t.records) != sorted(t.records),
}


@pytest.mark.parametrize("item", COHORTS)
def test_cohorts_of_each_kind_are_there(drawn: list[Texts], item: str) -> None:
    assert any(COHORTS[item](texts) for texts in drawn)


def test_a_seed_is_a_cohort(drawn: list[Texts]) -> None:
    assert draw(Random(1), people=14, sites=300) == drawn[0]
    assert draw(Random(2), people=14, sites=300) != drawn[0]


def test_a_cohort_is_fit_for_gatk(drawn: list[Texts], tmp_path: Path) -> None:
    for texts in drawn:
        for sample in rows(texts):
            starts = [int(record[1]) for record in sample]
            assert starts == sorted(set(starts)), "a sample's records begin at different places, in order"
            for record in sample:
                assert texts.bases.startswith(record[3], int(record[1]) - 1)
                ploidy, alleles = cell(record)["GT"].replace("|", "/").count("/") + 1, record[4].count(",") + 2
                if "PL" in cell(record):
                    assert len(cell(record)["PL"].split(",")) == len(genotypes(alleles, ploidy))
                lengths = {len(alt) - len(record[3]) for alt in record[4].split(",")[:-1] if alt != "*"}
                assert lengths != {0} or len(record[3]) == 1, "GATK refuses an MNP alone"
    written = cohort(1, tmp_path, people=3, sites=5)
    assert len(written.gvcfs) == 3
    assert all(path.with_name(path.name + ".tbi").exists() for path in written.gvcfs)


def test_genotypes_stand_in_the_order_of_pl() -> None:
    assert genotypes(3, 2) == [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]
    assert genotypes(3, 1) == [(0,), (1,), (2,)]


def test_likelihoods_favour_what_the_reads_say() -> None:
    assert likelihoods([15, 15, 0], 2)[1] == 0
    assert likelihoods([0, 20, 0], 2)[2] == 0
    assert likelihoods([20, 0, 0], 1) == [0, 479, 481]
