"""Carriers of alleles that the joint calls do not show, against what the gVCFs and the VCF say as text."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.jointcall.columnar.genotype.records import lines
from services.jointcall.columnar.genotype.sidecar import COLUMNS, SidecarWriter, write_sidecar
from tests.oracle.made import cohort
from tests.services.jointcall.columnar.genotype.batches import Made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    return Made(cohort(4, folder, people=12, sites=60), folder)


def shortest(ref: str, alt: str) -> tuple[str, str]:
    while alt != "*" and min(len(ref), len(alt)) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    return ref, alt


def carried(made: Made) -> Iterator[tuple[int, str, str, str, list[str]]]:
    """Position, sample, REF, ALT and the columns of each record, of each ALT that a sample is called with."""
    for path in made.cohort.gvcfs:
        with gzip.open(path, "rt") as text:
            for line in text:
                columns = line.rstrip("\n").split("\t")
                if line.startswith("##"):
                    continue
                if line.startswith("#"):
                    name = columns[9]
                    continue
                gt = columns[9].split(":")[0].replace("|", "/").split("/")
                alts = columns[4].split(",")
                for allele in sorted({int(one) for one in gt if one not in ("0", ".")}):
                    if alts[allele - 1] != "<NON_REF>" and made.cohort.first <= int(columns[1]) <= made.cohort.last:
                        yield int(columns[1]), name, columns[3], alts[allele - 1], columns


def test_every_carrier_is_in_the_vcf_or_in_the_sidecar(made: Made, tmp_path: Path) -> None:
    shown = {}
    for line in made.vcf():
        columns = line.decode().split("\t")
        cells = {name: cell.split(":")[0] for name, cell in zip(made.names, columns[9:], strict=True)}
        shown[int(columns[1])] = (columns[3], {shortest(columns[3], alt) for alt in columns[4].split(",")}, cells)
    expected = {}
    for position, name, ref, alt, columns in carried(made):
        _, alts, cells = shown.get(position, ("", set(), {}))
        # at its own site `*` is what a deletion from upstream is to any REF
        if any(one == "*" for _, one in alts) if alt == "*" else shortest(ref, alt) in alts:
            continue
        fields = dict(zip(columns[8].split(":"), columns[9].split(":"), strict=False))
        own = [fields.get(key, ".") for key in ("GT", "GQ", "DP", "AD", "PL")]
        why = "ALLELE" if position in shown else "SITE"
        key = (position, name, alt if alt == "*" else "/".join(shortest(ref, alt)))
        expected[key] = [why, cells.get(name, "."), f"{ref}>{columns[4]}", *own]

    out = tmp_path / "dropped.tsv.gz"
    count = write_sidecar(made.called(dense=False), samples=made.names, out=out)
    header, *rows = (line.split("\t") for line in gzip.decompress(out.read_bytes()).decode().splitlines())
    assert tuple(header) == COLUMNS
    found = {
        (int(row[1]), row[5], row[3] if row[3] == "*" else f"{row[2]}/{row[3]}"): [row[4], *row[6:]] for row in rows
    }
    assert count == len(rows) == len(found)
    assert found == expected
    assert {row[4] for row in rows} == {"ALLELE", "SITE"}
    assert [(int(row[1]), made.names.index(row[5])) for row in rows] == sorted(
        (int(row[1]), made.names.index(row[5])) for row in rows
    )


def test_stretches_go_on_to_another_writer(made: Made, tmp_path: Path) -> None:
    with SidecarWriter(samples=made.names, out=tmp_path / "dropped.tsv.gz") as sidecar:
        vcf = [
            line
            for contig, stretch in sidecar.passed(made.called(dense=True, stretch_bp=512))
            for line in lines(stretch, contig=contig, samples=len(made.names))
        ]
    assert vcf == made.vcf()
    assert sidecar.lines == write_sidecar(made.called(dense=False), samples=made.names, out=tmp_path / "again.tsv.gz")
    assert (tmp_path / "dropped.tsv.gz").read_bytes() == (tmp_path / "again.tsv.gz").read_bytes()
