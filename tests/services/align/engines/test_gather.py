"""Putting gVCF parts together: checked as they stream, no tool needed."""

from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.tools import vcf
from services.align.engines.gather import gather_gvcf
from services.align.engines.protocol import GvcfMetrics

HEADER = """##fileformat=VCFv4.2
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##INFO=<ID=END,Number=1,Type=Integer,Description="Stop">
##contig=<ID=one,length=1000>
##contig=<ID=two,length=500>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}
"""


def _block(contig: str, start: int, end: int) -> str:
    return f"{contig}\t{start}\t.\tA\t<NON_REF>\t.\t.\tEND={end}\tGT\t0/0\n"


def _variant(contig: str, start: int, ref: str = "A", alt: str = "C,<NON_REF>") -> str:
    return f"{contig}\t{start}\t.\t{ref}\t{alt}\t30\t.\t.\tGT\t0/1\n"


def _part(path: Path, *lines: str, sample: str = "S1", header: str = HEADER) -> Path:
    with vcf.writing(path) as sink:
        sink.write((header.format(sample=sample) + "".join(lines)).encode())
    return path


def _code(out: Path, *parts: Path) -> str:
    with pytest.raises(Rejected) as refused:
        gather_gvcf(parts, out)
    return refused.value.rejection.code


def test_parts_follow_one_another_byte_for_byte(tmp_path: Path) -> None:
    first = [_block("one", 1, 99), _variant("one", 100, "ACGT", "A,<NON_REF>"), _block("one", 104, 200)]
    second = [_block("one", 201, 300)]
    third = [_block("two", 1, 9), _variant("two", 10)]
    parts = [_part(tmp_path / f"{n}.gz", *lines) for n, lines in enumerate((first, second, third))]

    metrics = gather_gvcf(parts, tmp_path / "out.gz", header_lines=["##made=by hand"])

    assert metrics == GvcfMetrics(records=6, variants=2, covered=310)
    lines = list(vcf.lines(tmp_path / "out.gz"))
    assert b"\n".join(lines[-6:]).decode() + "\n" == "".join([*first, *second, *third])
    assert lines[-7].startswith(b"#CHROM") and lines[-8] == b"##made=by hand"
    assert vcf.index_of(tmp_path / "out.gz").exists()


def test_a_deletion_may_reach_over_the_joint(tmp_path: Path) -> None:
    first = _part(tmp_path / "1.gz", _block("one", 1, 198), _variant("one", 199, "ACGT", "A,<NON_REF>"))
    second = _part(tmp_path / "2.gz", _block("one", 201, 300))

    assert gather_gvcf([first, second], tmp_path / "out.gz").records == 3


def test_disorder_is_refused(tmp_path: Path) -> None:
    one = _part(tmp_path / "1.gz", _block("one", 1, 99))
    two = _part(tmp_path / "2.gz", _block("two", 1, 99))
    inside = _part(tmp_path / "3.gz", _block("one", 300, 310), _block("one", 200, 299))

    assert _code(tmp_path / "out.gz", two, one) == "GVCF_ORDER"
    assert _code(tmp_path / "out.gz", one, one) == "GVCF_ORDER"
    assert _code(tmp_path / "out.gz", inside) == "GVCF_ORDER"
    assert _code(tmp_path / "out.gz") == "EMPTY_INPUT"


def test_parts_of_different_kinds_are_refused(tmp_path: Path) -> None:
    one = _part(tmp_path / "1.gz", _block("one", 1, 99))
    other = _part(tmp_path / "2.gz", _block("two", 1, 99), sample="S2")
    build = _part(tmp_path / "3.gz", _block("two", 1, 99), header=HEADER.replace("length=500", "length=501"))
    plain = _part(tmp_path / "4.gz", _variant("two", 5, alt="C"))
    short = _part(tmp_path / "5.gz", "two\t5\t.\tA\n")
    none = _part(tmp_path / "6.gz", _block("two", 1, 9), header="")

    assert _code(tmp_path / "out.gz", one, other) == "SAMPLE_MISMATCH"
    assert _code(tmp_path / "out.gz", one, build) == "BUILD_MISMATCH"
    assert _code(tmp_path / "out.gz", one, plain) == "GVCF_NON_REF"
    assert _code(tmp_path / "out.gz", one, short) == "FORMAT_MISMATCH"
    assert _code(tmp_path / "out.gz", none) == "VCF_HEADER"


def test_a_part_that_breaks_off_is_refused(tmp_path: Path) -> None:
    part = _part(tmp_path / "1.gz", _block("one", 1, 99))
    part.write_bytes(part.read_bytes()[:-28])

    assert _code(tmp_path / "out.gz", part) == "GZIP_TRUNCATED"
