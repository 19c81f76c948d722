"""Sites that nobody gets since a record has an ALT and no PL: each is told, with whose it is, and nothing else is."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from services.jointcall.columnar.genotype.left_out import MOST_NAMED, LeftOutSite, Tally, left_out
from services.jointcall.columnar.genotype.sidecar import write_sidecar
from tests.oracle.cohorts import Texts, write
from tests.oracle.made import draw
from tests.services.jointcall.columnar.genotype.batches import Made

BASES = "ACGTTGCATGCAACTG" * 32
HET = "0/1:15,15,0:30:99:600,0,600,645,645,1290"
CROWD = 12
"""Homozygous for REF: so many that a site with nothing else is passed over without the model."""


def block(first: int, last: int) -> str:
    return f"c1\t{first}\t.\t{BASES[first - 1]}\t<NON_REF>\t.\t.\tEND={last}\tGT:DP:GQ:PL\t0/0:30:90:0,90,1200"


def record(at: int, alts: str, cell: str, *, ref: str = "", about: str = "DP=30") -> str:
    keys = ":".join(("GT", "AD", "DP", "GQ", "PL")[: cell.count(":") + 1])
    return f"c1\t{at}\t.\t{ref or BASES[at - 1]}\t{alts},<NON_REF>\t.\t.\t{about}\t{keys}\t{cell}"


def other(at: int) -> str:
    return "ACGT"["ACGT".index(BASES[at - 1]) - 1]


def made(folder: Path, **records: Sequence[str]) -> Made:
    """Of samples with these records, blocks around them, and a crowd without any."""
    people = {f"p{number:02}": (block(1, len(BASES)),) for number in range(CROWD)}
    for name, own in records.items():
        filled, at = [], 1
        for one in own:
            _, start, _, ref, _ = one.split("\t", 4)
            if at < int(start):
                filled.append(block(at, int(start) - 1))
            filled.append(one)
            at = max(at, int(start) + len(ref))
        people[name] = (*filled, block(at, len(BASES)))
    texts = Texts(contig="c1", bases=BASES, first=1, last=len(BASES), records=people)
    return Made(write(texts, folder), folder)


def told(cohort: Made, *, all_sites: bool = False, stretch_bp: int = 0) -> dict[int, tuple[str, ...]]:
    found = [
        one
        for contig, stretch in cohort.called(dense=False, all_sites=all_sites, stretch_bp=stretch_bp)
        for one in left_out(stretch, contig=contig, samples=cohort.names)
    ]
    assert [one.position for one in found] == sorted({one.position for one in found})
    assert {one.contig for one in found} <= {"c1", "chrX"}
    return {one.position: one.samples for one in found}


def positions(cohort: Made, *, all_sites: bool = False) -> set[int]:
    return {int(line.split(b"\t", 2)[1]) for line in cohort.vcf(all_sites=all_sites)}


@pytest.mark.parametrize("all_sites", [False, True])
def test_a_site_is_told_with_whose_records_are_the_cause(tmp_path: Path, all_sites: bool) -> None:
    bare = "0/1:15,15,0:30:99"
    cohort = made(
        tmp_path,
        ada=[record(20, other(20), HET), record(60, other(60), HET)],
        ben=[record(20, other(20), bare), record(40, other(40), bare), record(60, other(60), HET)],
        eve=[record(20, other(20), "1/1:0,30,0:30:90"), record(60, other(60), "0/0:30,0,0:30:80")],
    )
    # 40 has nobody else
    assert told(cohort, all_sites=all_sites) == {20: ("ben", "eve"), 40: ("ben",)}
    assert told(cohort, all_sites=all_sites, stretch_bp=32) == told(cohort, all_sites=all_sites)
    assert positions(cohort, all_sites=all_sites) & {20, 40, 60} == {60}


def test_a_deletion_without_pl_takes_the_sites_below_it_too(tmp_path: Path) -> None:
    gone = BASES[99:110]
    cohort = made(
        tmp_path,
        ada=[record(104, other(104), HET), record(208, other(208), HET)],
        ben=[record(100, gone[0], "0/1:15,15,0:30:99", ref=gone)],
        # 0/1 is the insertion, which reaches over nothing
        eve=[record(200, f"{BASES[199]}TT{BASES[200:210]},{BASES[199]}", "0/1:9,9,0,0:30:99", ref=BASES[199:210])],
    )
    assert told(cohort) == {100: ("ben",), 104: ("ben",), 200: ("eve",)}
    assert positions(cohort) == {208}


def test_who_has_no_likelihoods_either_but_is_not_the_cause_is_not_named(tmp_path: Path) -> None:
    inserted = f"{BASES[199]}TT{BASES[200:210]},{BASES[199]}"
    cohort = made(
        tmp_path,
        ada=[record(204, other(204), "0/1:15,15,0:30:99")],
        unsure=[record(204, other(204), "0/1:15,15,0:30:0")],
        another=[record(204, other(204), "0/2:15,0,15:30:99")],
        hom_ref=[record(204, other(204), "0/0:30,0,0:30:99")],
        # called with the insertion; the deletion, which alone reaches over 204, is not called
        upstream=[record(200, inserted, "0/1:9,9,0,0:30:99", ref=BASES[199:210])],
    )
    assert told(cohort) == {200: ("upstream",), 204: ("ada",)}


@pytest.mark.parametrize("all_sites", [False, True])
def test_what_would_be_no_variant_anyway_is_not_told(tmp_path: Path, all_sites: bool) -> None:
    cohort = made(
        tmp_path,
        ada=[record(20, other(20), "0/1:15,15,0:30:0"), record(30, other(30), "0/1:15,15,0:30")],
        ben=[record(40, other(40), "0/0:30,0,0:30:99"), record(50, other(50), "./.:30,0,0:30:20")],
        eve=[record(60, "*", "0/1:15,15,0:30:99"), record(70, other(70), "0/2:15,0,15:30:99")],
    )
    assert told(cohort, all_sites=all_sites) == {}


def test_no_reads_at_all_are_no_loss(tmp_path: Path) -> None:
    unread = record(20, other(20), "0/1:0,0,0:0:99", about="DP=0")
    texts = Texts(contig="c1", bases=BASES, first=1, last=len(BASES), records=dict.fromkeys(("ada", "ben"), (unread,)))
    assert told(Made(write(texts, tmp_path), tmp_path)) == {}


def test_a_base_where_nobody_has_likelihoods_is_no_loss(tmp_path: Path) -> None:
    calls = {"ada": "0/1:15,15,0:30:0", "ben": "0/0:30,0,0:30:99"}
    records = {name: (record(20, other(20), cell), record(21, other(21), HET)) for name, cell in calls.items()}
    cohort = Made(write(Texts(contig="c1", bases=BASES, first=1, last=40, records=records), tmp_path), tmp_path)
    assert positions(cohort, all_sites=True) == {21}
    assert told(cohort, all_sites=True) == told(cohort) == {}


@pytest.mark.parametrize("seed", [3, 4, 6])
def test_nothing_is_lost_but_what_is_told(seed: int, tmp_path: Path) -> None:
    """Of a made cohort some likelihoods are taken away: the sites that go with them are those that are told."""
    rng = Random(seed)
    whole = draw(rng, people=14, sites=120)
    taken: dict[int, set[str]] = {}
    records = {}
    for name, lines in whole.records.items():
        records[name] = tuple(_without_pl(line, name, taken) if rng.random() < 0.05 else line for line in lines)
    before = positions(Made(write(whole, tmp_path / "whole"), tmp_path / "whole"))
    cohort = Made(write(replace(whole, records=records), tmp_path / "bare"), tmp_path / "bare")
    after, said = positions(cohort), told(cohort)
    assert before - after <= said.keys()
    assert not after & said.keys()
    assert all(samples for samples in said.values())
    starts = {at for at in taken if whole.first <= at <= whole.last}
    assert {at: set(said.get(at, ())) & taken[at] for at in starts & before} == {
        at: taken[at] for at in starts & before
    }
    assert len(before & said.keys()) > 3


def _without_pl(line: str, name: str, taken: dict[int, set[str]]) -> str:
    columns = line.split("\t")
    fields = dict(zip(columns[8].split(":"), columns[9].split(":"), strict=True))
    alts = columns[4].split(",")
    carried = [alts[int(one) - 1] for one in fields["GT"].replace("|", "/").split("/") if one not in ("0", ".")]
    if not set(carried) - {"<NON_REF>", "*"} or int(fields.get("GQ", "0")) == 0 or "PL" not in fields:
        return line
    taken.setdefault(int(columns[1]), set()).add(name)
    del fields["PL"]
    return "\t".join([*columns[:8], ":".join(fields), ":".join(fields.values())])


def test_carriers_at_such_a_site_are_in_the_sidecar(tmp_path: Path) -> None:
    cohort = made(tmp_path, ada=[record(20, other(20), HET)], ben=[record(20, other(20), "0/1:15,15,0:30:99")], eve=[])
    out = tmp_path / "lost.tsv.gz"
    write_sidecar(cohort.called(dense=False), samples=cohort.names, out=out)
    _, *rows = (line.split("\t") for line in gzip.decompress(out.read_bytes()).decode().splitlines())
    assert [(row[1], row[4], row[5], row[6], row[-1]) for row in rows] == [
        ("20", "NO_PL", "ada", ".", HET.rpartition(":")[2]),
        ("20", "NO_PL", "ben", ".", "."),
    ]


def test_a_tally_counts_all_and_names_the_first(tmp_path: Path) -> None:
    places = range(10, 10 + 3 * (MOST_NAMED + 5), 3)
    cohort = made(tmp_path, ben=[record(at, other(at), "0/1:15,15,0:30:99") for at in places])
    tally = Tally(samples=cohort.names)
    stretches = [stretch for _, stretch in cohort.called(dense=False, stretch_bp=16)]
    assert list(tally.passed("c1", stretches)) == stretches
    assert tally.found.sites == len(places)
    assert tally.found.first == tuple(
        LeftOutSite(contig="c1", position=at, samples=("ben",)) for at in places[:MOST_NAMED]
    )
