"""The oracle itself: GATK's answers, kept by content."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.oracle import gatk
from tests.oracle.compare import compare
from tests.oracle.judge import judge
from tests.oracle.made import cohort
from tests.oracle.sources import KEPT_COHORTS, chr17, chr22, simulated

pytestmark = pytest.mark.tools


def records(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") as stream:
        return [line.rstrip("\n").split("\t") for line in stream if not line.startswith("#")]


def test_gatk_agrees_with_itself_on_real_samples(tmp_path: Path) -> None:
    report = judge(chr17(tmp_path), gatk.joint_call, tmp_path)
    assert report.good
    assert (report.sites, report.cells) == (11, 33)


def test_with_all_sites_there_is_a_record_for_each_base(tmp_path: Path) -> None:
    made = chr17(tmp_path)
    found = records(made.call(gatk.joint_call, tmp_path / "all.vcf.gz", all_sites=True))
    assert [int(one[1]) for one in found] == list(range(made.first, made.last + 1))
    assert any("RGQ" in one[8] for one in found)


def test_an_answer_is_kept_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatk, "answers", lambda: tmp_path / "answers")
    made = cohort(1, tmp_path / "made", people=3, sites=6)
    asked = made.call(gatk.joint_call, tmp_path / "asked.vcf.gz")

    def refuse(gvcfs: Sequence[Path], fasta: Path, region: str, scratch: Path, all_sites: bool) -> Path:
        raise AssertionError("GATK was asked")

    monkeypatch.setattr(gatk, "_ask", refuse)
    elsewhere = shutil.copytree(tmp_path / "made", tmp_path / "elsewhere")
    copied = cohort(1, elsewhere, people=3, sites=6)
    assert copied.call(gatk.joint_call, tmp_path / "kept.vcf.gz").read_bytes() == asked.read_bytes()
    for other in (cohort(2, tmp_path / "other", people=3, sites=6), cohort(1, tmp_path / "more", people=3, sites=7)):
        with pytest.raises(AssertionError, match="was asked"):
            other.call(gatk.joint_call, tmp_path / "x.vcf.gz")
    with pytest.raises(AssertionError, match="was asked"):
        made.call(gatk.joint_call, tmp_path / "x.vcf.gz", all_sites=True)


def test_the_order_of_the_files_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, and so ALTs, stand in the order of names. And what is drawn by lot is drawn alike."""
    made = cohort(3, tmp_path / "made", people=6, sites=40)
    answered = []
    for name, gvcfs in (("drawn", made.gvcfs), ("reversed", made.gvcfs[::-1])):
        monkeypatch.setattr(gatk, "answers", lambda name=name: tmp_path / name)
        out = tmp_path / f"{name}.vcf.gz"
        gatk.joint_call(gvcfs=gvcfs, fasta=made.fasta, contig=made.contig, first=made.first, last=made.last, out=out)
        answered.append(out)
    assert compare(*answered).good
    assert records(answered[0]) == records(answered[1])
    assert len(records(answered[0])) > 20


def test_contigs_that_the_reference_lacks_are_left_out(tmp_path: Path) -> None:
    made = chr22(tmp_path)
    assert len(made.gvcfs) == 24
    with gzip.open(made.gvcfs[0], "rt") as stream:
        contigs = [line for line in stream if line.startswith("##contig")]
    assert len(contigs) == 1


@pytest.mark.parametrize(("alts", "at"), [(41, 850), (42, 1050), (43, 1250), (44, 1450)])
def test_gatk_calls_42_alts_and_no_more(tmp_path: Path, alts: int, at: int) -> None:
    made = KEPT_COHORTS["many-alts"](tmp_path)
    called = {int(one[1]): one[4] for one in records(made.call(gatk.joint_call, tmp_path / "out.vcf.gz"))}
    assert (at in called) == (alts <= 42)


def test_the_kept_people_have_snps_inside_of_deletions(tmp_path: Path) -> None:
    """By HaplotypeCaller itself: overlapping records in one gVCF, and spanning deletions in the joint one."""
    made = simulated("default", "haploid")(tmp_path)
    overlaps = 0
    for path in made.gvcfs:
        reached = 0
        for one in records(path):
            overlaps += int(one[1]) <= reached
            reached = max(reached, int(one[1]) + len(one[3]) - 1)
    assert overlaps > 50
    joint = records(made.call(gatk.joint_call, tmp_path / "out.vcf.gz"))
    assert sum("*" in one[4].split(",") for one in joint) > 80
    assert sum(one[4].count(",") >= 2 for one in joint) > 10
    assert {cell.split(":")[0].count("/") + cell.split(":")[0].count("|") for cell in joint[0][9:]} == {0, 1}
