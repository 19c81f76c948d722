"""Intervals into contigs: nothing lost, nothing twice, in genome order."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Rejected, ToolFailed
from services.annotate import records
from services.annotate.gather import file_stem, gather
from services.annotate.records import AlleleType, allele_type, is_transition, trimmed

Line = Callable[..., str]
WriteVcf = Callable[..., Path]


def lines(path: Path) -> list[str]:
    return [line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if not line.startswith("#")]


def header(path: Path) -> list[str]:
    return [line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if line.startswith("#")]


def test_intervals_become_contigs_in_genome_order(write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    one = [record("chr1", 10, "A", "C"), record("chr1", 20, "A", "C"), record("chr1", 20, "AT", "A")]
    two = [record("chr1", 21, "A", "G")]
    three = [record("chr2", 3, "A", "G")]
    parts = [write_vcf(f"{n}.vcf.gz", part) for n, part in enumerate((one, [], two, three))]
    first, second = gather(parts, tmp_path / "panel")
    assert (first.contig, first.records, second.contig, second.records) == ("chr1", 4, "chr2", 1)
    assert lines(first.vcf) == one + two
    assert lines(second.vcf) == three
    assert header(first.vcf) == header(second.vcf)
    assert not any("Command" in line for line in header(first.vcf))
    assert first.vcf.name == "chr1.vcf.gz"
    assert first.index.name == "chr1.vcf.gz.tbi"
    assert first.index.is_file()


def test_the_result_can_be_read_by_region(write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    import pysam

    parts = [write_vcf(f"{n}.vcf.gz", [record("chr1", 10 + 100 * n, "A", "C")]) for n in range(4)]
    (one,) = gather(parts, tmp_path / "panel")
    with pysam.VariantFile(str(one.vcf)) as opened:
        assert [r.pos for r in opened.fetch("chr1", 100, 220)] == [110, 210]


def test_a_contig_without_variants_gets_an_empty_vcf_when_named(
    write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    parts = [write_vcf("1.vcf.gz", []), write_vcf("2.vcf.gz", [record("chr2", 3, "A", "G")])]
    empty, full = gather(parts, tmp_path / "panel", contigs=("chr1", "chr2"))
    assert (empty.contig, empty.records, full.records) == ("chr1", 0, 1)
    assert lines(empty.vcf) == []
    assert header(empty.vcf) == header(full.vcf)
    assert empty.index.is_file()


def test_definitions_of_later_parts_are_added(write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    base = ("##fileformat=VCFv4.2", "##contig=<ID=chr1,length=3000>")
    lod = '##INFO=<ID=VQSLOD,Number=1,Type=Float,Description="Odds">'
    parts = [
        write_vcf("1.vcf.gz", [record("chr1", 1, "A", "C")], meta=base),
        write_vcf("2.vcf.gz", [record("chr1", 2, "A", "C", info="VQSLOD=1.5")], meta=(*base, lod)),
    ]
    (one,) = gather(parts, tmp_path / "panel")
    assert lod in header(one.vcf)


def refused(parts: list[Path], out: Path) -> str:
    with pytest.raises(Rejected) as caught:
        gather(parts, out)
    return caught.value.rejection.code


def test_what_does_not_belong_together_is_refused(write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    base = ("##fileformat=VCFv4.2", "##contig=<ID=chr1,length=3000>", '##FILTER=<ID=low,Description="a">')
    good = write_vcf("good.vcf.gz", [record("chr1", 10, "A", "C")], meta=base)
    others = {
        "SAMPLE_MISMATCH": write_vcf("samples.vcf.gz", [], samples=("NA001", "NA003", "NA002"), meta=base),
        "VCF_HEADER": write_vcf("filter.vcf.gz", [], meta=(*base[:2], '##FILTER=<ID=low,Description="b">')),
        "NOT_SORTED": write_vcf("before.vcf.gz", [record("chr1", 9, "A", "C")], meta=base),
    }
    assert {refused([good, other], tmp_path / "panel") for other in others.values()} == set(others)
    assert refused([], tmp_path / "panel") == "EMPTY_INPUT"
    undeclared = write_vcf("undeclared.vcf.gz", [record("chr9", 9, "A", "C")], meta=base)
    assert refused([good, undeclared], tmp_path / "panel") == "VCF_HEADER"


def test_a_record_in_two_intervals_is_refused(write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    parts = [write_vcf(f"{n}.vcf.gz", [record("chr1", 10, "A", "C")]) for n in range(2)]
    assert refused(parts, tmp_path / "panel") == "NOT_SORTED"


def test_contigs_in_another_order_than_the_header_are_refused(
    write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    parts = [write_vcf(f"{c}.vcf.gz", [record(c, 10, "A", "C")]) for c in ("chr2", "chr1")]
    assert refused(parts, tmp_path / "panel") == "NOT_SORTED"


def test_a_part_that_was_cut_short_is_noticed(write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    part = write_vcf("1.vcf.gz", [record("chr1", 10, "A", "C")])
    part.write_bytes(part.read_bytes()[:-28])
    with pytest.raises(ToolFailed, match="end block"):
        gather([part], tmp_path / "panel")


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_contigs_have_file_names_of_their_own(one: str, other: str) -> None:
    assert "/" not in file_stem(one)
    assert (file_stem(one) == file_stem(other)) == (one == other)


# -- what an allele is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "alt", "kind"),
    [
        ("A", "C", AlleleType.snp),
        ("CAT", "GAT", AlleleType.snp),
        ("CAT", "CGT", AlleleType.snp),
        ("CAT", "C", AlleleType.indel),
        ("C", "CAT", AlleleType.indel),
        ("CAT", "GGT", AlleleType.mnp),
        ("CAT", "GT", AlleleType.indel),
        ("CAT", "*", AlleleType.spanning_deletion),
        ("C", "<DEL>", AlleleType.symbolic),
        ("C", "C[chr2:5[", AlleleType.symbolic),
    ],
)
def test_alleles_are_told_by_the_bases_that_differ(ref: str, alt: str, kind: AlleleType) -> None:
    assert allele_type(ref, alt) is kind


BASES = st.text("ACGT", min_size=1, max_size=8)


@given(BASES, BASES)
def test_trimming_takes_what_is_shared_and_nothing_else(ref: str, alt: str) -> None:
    before, after = trimmed(ref, alt)
    assert len(ref) - len(before) == len(alt) - len(after)
    assert not (before and after and (before[0] == after[0] or before[-1] == after[-1]))
    at = ref.index(before) if before else 0
    assert any(ref[:i] + after + ref[i + len(before) :] == alt for i in range(at, len(ref) + 1))


def test_transitions() -> None:
    pairs = {(a, b) for a in "ACGT" for b in "ACGT" if a != b and is_transition(a, b)}
    assert pairs == {("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")}
    assert is_transition("CAT", "CGT")


@pytest.mark.parametrize("line", ["chr1\t10", "chr1\tten\t.\tA\tC\t.\t.\t.", "chr1\t10\t.\tA\tC\thigh\t.\t."])
def test_lines_that_are_no_records_are_refused_by_number(write_vcf: WriteVcf, line: str) -> None:
    with pytest.raises(Rejected, match="record 1") as caught:
        list(records.read(write_vcf("bad.vcf.gz", [line])))
    assert caught.value.rejection.code == "VCF_HEADER"
