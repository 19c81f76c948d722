"""One site looked at closely: samples that a difference does not need are left out, and the rest is shown."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pysam
import pytest

from tests.oracle import gatk
from tests.oracle.cohorts import JointCall
from tests.oracle.made import cohort
from tests.oracle.site import cohort_in, differs, main, shrink

pytestmark = pytest.mark.tools


def one_cell_wrong(sample: str, at: int) -> JointCall:
    def call(
        *, gvcfs: Sequence[Path], fasta: Path, contig: str, first: int, last: int, out: Path, all_sites: bool = False
    ) -> None:
        gatk.joint_call(gvcfs=gvcfs, fasta=fasta, contig=contig, first=first, last=last, out=out, all_sites=all_sites)
        with gzip.open(out, "rt") as stream:
            lines = stream.read().splitlines()
        names = next(line for line in lines if line.startswith("#CHROM")).split("\t")
        for number, line in enumerate(lines):
            columns = line.split("\t")
            if not line.startswith("#") and int(columns[1]) == at and sample in names:
                columns[names.index(sample)] = "0/0:1,1:2:3:0,3,7"
                lines[number] = "\t".join(columns)
        with pysam.BGZFile(str(out), "w", None) as sink:
            sink.write("".join(f"{line}\n" for line in lines).encode())

    return call


def test_the_one_sample_that_differs_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = cohort(5, tmp_path / "made", people=6, sites=40)
    joint = made.call(gatk.joint_call, tmp_path / "joint.vcf.gz")
    with gzip.open(joint, "rt") as stream:
        lines = [line.rstrip("\n").split("\t") for line in stream if not line.startswith("##")]
    # a site that stays one when only its first carrier is left
    at, carrier = next(
        (int(line[1]), lines[0][9 + number])
        for line in lines[1:]
        for number, cell in enumerate(line[9:])
        if cell.startswith("1/1") and float(line[5]) > 500 and line[4] in "ACGT"
    )
    ours = one_cell_wrong(carrier, at)
    found = cohort_in(tmp_path / "made", f"{made.contig}:{made.first}-{made.last}")
    assert differs(found, ours, at, tmp_path, all_sites=False)
    assert not differs(found, gatk.joint_call, at, tmp_path, all_sites=False)
    assert len(shrink(found, ours, at, tmp_path, all_sites=False).gvcfs) == 1

    assert main([str(tmp_path / "made"), str(at), "--against", "gatk"]) == 0
    said = capsys.readouterr().out
    assert f"gatk: {made.contig} {at} " in said
    assert f"   {carrier} (" in said
