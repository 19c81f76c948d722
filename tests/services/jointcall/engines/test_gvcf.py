"""What is refused before an import, and by which code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.reference.local import LocalReference
from contracts.values import Interval
from services.jointcall.engines.gvcf import GvcfRecords, check, check_batch, sample_name_of
from services.jointcall.engines.protocol import GvcfInput
from tests.services.jointcall.engines.written import bgzip, block, het, sequence, write_gvcf, write_reference

BASES = sequence(2000)
CONTIGS = [("c1", 2000)]
SNP = "ACGT"[("ACGT".index(BASES[499]) + 1) % 4]
GOOD = [block(BASES, 1, 499), het(BASES[499], SNP, 500), block(BASES, 501, 2000)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> LocalReference:
    return write_reference(tmp_path_factory.mktemp("reference"), BASES)


@pytest.fixture
def interval() -> Interval:
    return Interval(contig="c1", start=401, end=1000, contig_length=2000)


def test_a_good_gvcf_is_counted(tmp_path: Path, reference: LocalReference, interval: Interval) -> None:
    gvcf = write_gvcf(tmp_path, "ada", GOOD, contigs=CONTIGS)
    assert sample_name_of(gvcf.path) == "ada"
    assert check(gvcf, interval=interval, reference=reference) == GvcfRecords(records=2, variants=1)


def truncated(folder: Path) -> GvcfInput:
    gvcf = write_gvcf(folder, "ada", GOOD, contigs=CONTIGS)
    gvcf.path.write_bytes(gvcf.path.read_bytes()[:-28])
    return gvcf


def damaged(folder: Path) -> GvcfInput:
    gvcf = write_gvcf(folder, "ada", GOOD, contigs=CONTIGS)
    content = bytearray(gvcf.path.read_bytes())
    content[60] ^= 0xFF
    gvcf.path.write_bytes(content)
    return gvcf


def without_header(folder: Path) -> GvcfInput:
    return bgzip(folder / "ada.g.vcf.gz", ("\n".join(GOOD) + "\n").encode(), name="ada")


def of_two_samples(folder: Path) -> GvcfInput:
    both = [f"{line}\t{line.rsplit(chr(9), 1)[1]}" for line in GOOD]
    return write_gvcf(folder, "ada", both, contigs=CONTIGS, columns=["ada", "bea"])


def of_someone_else(folder: Path) -> GvcfInput:
    return replace(write_gvcf(folder, "bea", GOOD, contigs=CONTIGS), name="ada")


def with_an_unsafe_name(folder: Path) -> GvcfInput:
    return replace(write_gvcf(folder, "ada", GOOD, contigs=CONTIGS, columns=["-ada"]), name="-ada")


def of_another_build(folder: Path) -> GvcfInput:
    return write_gvcf(folder, "ada", GOOD, contigs=[("c1", 2001)])


def with_more_contigs(folder: Path) -> GvcfInput:
    return write_gvcf(folder, "ada", GOOD, contigs=[*CONTIGS, ("c2", 100)])


def of_another_sequence(folder: Path) -> GvcfInput:
    return write_gvcf(folder, "ada", [GOOD[0], het(SNP, BASES[499], 500), GOOD[2]], contigs=CONTIGS)


def without_non_ref(folder: Path) -> GvcfInput:
    genotyped = f"c1\t500\t.\t{BASES[499]}\t{SNP}\t500\t.\tDP=30\tGT:AD:DP:GQ:PL\t0/1:15,15:30:99:600,0,600"
    return write_gvcf(folder, "ada", [GOOD[0], genotyped, GOOD[2]], contigs=CONTIGS)


def out_of_order(folder: Path) -> GvcfInput:
    """Swapped after the index was made, which htslib would refuse to make now."""
    gvcf = write_gvcf(folder, "ada", [*GOOD[:2], block(BASES, 501, 600), block(BASES, 601, 2000)], contigs=CONTIGS)
    index = gvcf.index.read_bytes()
    write_gvcf(folder, "swapped", [*GOOD[:2], block(BASES, 501, 600), block(BASES, 601, 2000)], contigs=CONTIGS)
    swapped = [*GOOD[:2], block(BASES, 601, 700), block(BASES, 501, 600)]
    path = folder / "swapped.g.vcf.gz"
    text = gvcf_text("ada", swapped)
    found = bgzip(path, text, name="ada", index=False)
    found.index.write_bytes(index)
    return found


def gvcf_text(name: str, lines: list[str]) -> bytes:
    from tests.services.jointcall.engines.written import HEADER

    columns = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{name}"
    return (HEADER + "\n".join(("##contig=<ID=c1,length=2000>", columns, *lines)) + "\n").encode()


def without_index(folder: Path) -> GvcfInput:
    gvcf = write_gvcf(folder, "ada", GOOD, contigs=CONTIGS)
    gvcf.index.unlink()
    return gvcf


def with_a_broken_index(folder: Path) -> GvcfInput:
    gvcf = write_gvcf(folder, "ada", GOOD, contigs=CONTIGS)
    gvcf.index.write_bytes(b"no index at all")
    return gvcf


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (truncated, "GZIP_TRUNCATED"),
        (damaged, "GZIP_CRC"),
        (without_header, "VCF_HEADER"),
        (of_two_samples, "VCF_HEADER"),
        (of_someone_else, "SAMPLE_MISMATCH"),
        (with_an_unsafe_name, "UNSAFE_ID"),
        (of_another_build, "BUILD_MISMATCH"),
        (with_more_contigs, "BUILD_MISMATCH"),
        (of_another_sequence, "REF_ALLELE"),
        (without_non_ref, "GVCF_NON_REF"),
        (out_of_order, "GVCF_ORDER"),
        (without_index, "INDEX_STALE"),
        (with_a_broken_index, "INDEX_STALE"),
    ],
)
def test_a_broken_gvcf_is_refused_by_its_code(
    make: Callable[[Path], GvcfInput], code: str, tmp_path: Path, reference: LocalReference, interval: Interval
) -> None:
    gvcf = make(tmp_path)
    with pytest.raises(Rejected) as refused:
        check(gvcf, interval=interval, reference=reference)
    assert refused.value.rejection.code == code
    assert refused.value.rejection.where.startswith(gvcf.path.name)


def test_the_same_sample_twice_is_refused(tmp_path: Path, reference: LocalReference, interval: Interval) -> None:
    (tmp_path / "again").mkdir()
    twice = [write_gvcf(folder, "ada", GOOD, contigs=CONTIGS) for folder in (tmp_path, tmp_path / "again")]
    with pytest.raises(Rejected) as refused:
        check_batch(twice, interval=interval, reference=reference)
    assert refused.value.rejection.code == "COHORT_DUPLICATE"


def test_no_sample_is_refused(reference: LocalReference, interval: Interval) -> None:
    with pytest.raises(Rejected) as refused:
        check_batch([], interval=interval, reference=reference)
    assert refused.value.rejection.code == "EMPTY_INPUT"


def test_an_ambiguous_base_of_the_reference_stands_for_several(tmp_path: Path, interval: Interval) -> None:
    reference = write_reference(tmp_path, BASES[:499] + "N" + BASES[500:])
    gvcf = write_gvcf(tmp_path, "ada", GOOD, contigs=CONTIGS)
    assert check(gvcf, interval=interval, reference=reference).variants == 1
