"""Gathering sites, and measuring what a model would be fitted on."""

from __future__ import annotations

import statistics
from pathlib import Path

import pysam
import pytest

from chassis.errors import Rejected, ToolFailed
from services.vqsr.engines.sites import gather_sites, measure, type_of
from tests.services.vqsr.engines.planted import HEADER, sites, write


def line(at: int, ref: str = "A", alt: str = "C", info: str = "QD=20.0", filters: str = ".") -> str:
    return f"c1\t{at}\t.\t{ref}\t{alt}\t500\t{filters}\t{info}"


def test_intervals_are_gathered_in_the_order_given(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{start}.vcf.gz", [line(start), line(start + 5)]) for start in (10, 100, 1000)]
    assert gather_sites(parts, tmp_path / "all.vcf.gz") == 6
    with pysam.VariantFile(str(tmp_path / "all.vcf.gz")) as opened:
        assert [one.pos for one in opened.fetch("c1", 50, 2000)] == [100, 105, 1000, 1005]


def test_a_part_of_another_header_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "one.vcf.gz", [line(10)])
    other = tmp_path / "other.vcf.gz"
    with pysam.BGZFile(str(other), "w", None) as sink:
        sink.write((HEADER.replace("Depth", "depth") + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n").encode())
    with pytest.raises(Rejected) as refused:
        gather_sites([one, other], tmp_path / "all.vcf.gz")
    assert refused.value.rejection.code == "VCF_HEADER"


def test_a_part_that_was_cut_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "one.vcf.gz", [line(10)])
    one.write_bytes(one.read_bytes()[:-28])
    with pytest.raises(ToolFailed, match="no end block"):
        gather_sites([one], tmp_path / "all.vcf.gz")


@pytest.mark.parametrize(
    ("ref", "alts", "kind"),
    [
        ("A", "C", "snp"),
        ("A", "C,G", "snp"),
        ("AC", "GT", "snp"),
        ("A", "C,*", "snp"),
        ("A", "AT", "indel"),
        ("AT", "A", "indel"),
        ("A", "C,AT", "indel"),
        ("AT", "A,*", "indel"),
        ("A", "<DEL>", "indel"),
    ],
)
def test_types_are_those_of_gatks_modes(ref: str, alts: str, kind: str) -> None:
    assert type_of(ref, alts) == kind


def test_training_sites_are_unfiltered_sites_of_the_same_class_in_any_resource(tmp_path: Path) -> None:
    cohort = write(
        tmp_path / "cohort.vcf.gz",
        [
            line(10),  # in the first resource
            line(20),  # in the second
            line(30),  # in both
            line(40),  # an indel there
            line(50, "AT", "A"),  # an indel here and there
            line(60),  # filtered there
            line(70, filters="LowQual"),  # filtered here
            line(80),  # nowhere
        ],
    )
    first = write(tmp_path / "first.vcf.gz", [line(10), line(30), line(40, "AT", "A"), line(50, "AT", "A"), line(70)])
    second = write(tmp_path / "second.vcf.gz", [line(15), line(20, filters="PASS"), line(30), line(60, filters="bad")])
    measured = measure(cohort, resources=[first, second])
    assert (measured["snp"].variants, measured["snp"].training_variants) == (6, 3)
    assert (measured["indel"].variants, measured["indel"].training_variants) == (1, 1)


def test_variance_is_over_training_sites_that_have_a_value(tmp_path: Path) -> None:
    infos = ["QD=10;MQ=60.00;FS=1", "QD=20;MQ=60.00;FS=nan", "MQ=60.00", "QD=40;MQ=60.00"]
    cohort = write(
        tmp_path / "cohort.vcf.gz",
        [*(line(10 * (n + 1), info=info) for n, info in enumerate(infos)), line(99, info="QD=1e6")],
    )
    known = write(tmp_path / "known.vcf.gz", [line(10 * (n + 1)) for n in range(4)])
    variance = measure(cohort, resources=[known])["snp"].variance
    assert variance["QD"] == pytest.approx(statistics.variance([10, 20, 40]))
    assert variance["MQ"] == 0
    assert "FS" not in variance  # one value only
    assert "SOR" not in variance


def test_without_resources_nothing_trains(tmp_path: Path) -> None:
    cohort = write(tmp_path / "cohort.vcf.gz", [one.line() for one in sites(true=20, false=5)])
    assert measure(cohort, resources=[])["snp"].training_variants == 0
