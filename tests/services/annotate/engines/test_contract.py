"""What every annotation engine does: nothing but INFO and the header changes, and what cannot be right is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.errors import Rejected, ToolFailed
from chassis.reference.local import LocalReference
from services.annotate import records
from services.annotate.engines.csq import CsqEngine
from services.annotate.engines.protocol import NO_GENE_MODEL, AnnotatedCounts, Engine
from tests.support.seeded.annotate import SeededAnnotate

Line = Callable[..., str]
WriteVcf = Callable[..., Path]
Annotate = Callable[..., AnnotatedCounts]


@pytest.fixture(params=[SeededAnnotate, pytest.param(CsqEngine, marks=pytest.mark.tools)], ids=["seeded", "csq"])
def engine(request: pytest.FixtureRequest) -> Engine:
    made: Engine = request.param()
    return made


@pytest.fixture
def annotate(engine: Engine, reference: LocalReference, tmp_path: Path) -> Annotate:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(vcf: Path, out: Path, using: LocalReference = reference) -> AnnotatedCounts:
        return engine.annotate(vcf=vcf, reference=using, out=out, scratch=scratch, log=tmp_path / "csq.log")

    return run


def text(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_nothing_but_info_and_header_changes(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    odd = "0|1:3,1:.:7"
    source = write_vcf(
        "in.vcf.gz",
        [
            record("chr1", 1055, "C", "A", "./.", odd, "1", info=".", filters="QD2"),
            record("chr1", 1056, "T", "G", "0/0", "0/1", "0/1", info="QD=1.20e+01;DP=7", filters="."),
            record("chr2", 5, "A", ".", info="DP=3"),
        ],
    )
    annotate(source, tmp_path / "out.vcf.gz")
    before = [line.split("\t") for line in text(source) if not line.startswith("#")]
    after = [line.split("\t") for line in text(tmp_path / "out.vcf.gz") if not line.startswith("#")]
    assert [line[:7] + line[8:] for line in after] == [line[:7] + line[8:] for line in before]
    assert after[0][7].startswith("BCSQ=")
    assert after[1][7].startswith("QD=1.20e+01;DP=7;BCSQ=")
    assert after[2][7] == "DP=3"


def test_the_output_is_a_vcf_that_htslib_reads_by_region(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    import pysam

    source = write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A"), record("chr1", 1056, "T", "G")])
    annotate(source, tmp_path / "out.vcf.gz")
    assert (tmp_path / "out.vcf.gz.tbi").is_file()
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as opened:
        (one,) = opened.fetch("chr1", 1055, 1056)
        assert one.info["BCSQ"][0].split("|")[1] == "GENE1"
        assert one.info["BCSQ_ALLELE"] == (1,)


def test_the_header_names_the_tool_and_no_place_or_time(
    engine: Engine, annotate: Annotate, write_vcf: WriteVcf, record: Line, reference: LocalReference, tmp_path: Path
) -> None:
    annotate(write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A")]), tmp_path / "out.vcf.gz")
    header = [line for line in text(tmp_path / "out.vcf.gz") if line.startswith("##")]
    assert not any("Command" in line or "Date=" in line or str(tmp_path) in line or "/tmp" in line for line in header)
    (ours,) = (line for line in header if line.startswith("##cohortstream_consequence="))
    assert engine.provenance(reference=reference).version in ours
    assert "gene_model=sha256:" in ours


def test_equal_input_gives_equal_bytes_whatever_ran_before(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, reference: LocalReference, tmp_path: Path
) -> None:
    """Intervals out of order, and calls after a failure: bcftools keeps the last position in a static variable."""
    late = write_vcf("late.vcf.gz", [record("chr1", 1496, "T", "C")])
    early = write_vcf("early.vcf.gz", [record("chr1", 1055, "C", "A")])
    wrong = write_vcf("wrong.vcf.gz", [record("chr1", 1400, "A" if gene_base(reference, 1400) != "A" else "C", "G")])
    annotate(early, tmp_path / "1.vcf.gz")
    annotate(late, tmp_path / "2.vcf.gz")
    with pytest.raises(Rejected):
        annotate(wrong, tmp_path / "3.vcf.gz")
    annotate(early, tmp_path / "4.vcf.gz")
    assert (tmp_path / "1.vcf.gz").read_bytes() == (tmp_path / "4.vcf.gz").read_bytes()


def gene_base(reference: LocalReference, position: int) -> str:
    return reference.fasta.read_text().splitlines()[1][position - 1]


def test_annotating_again_replaces_the_earlier_annotation(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    source = write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A"), record("chr2", 5, "A", "C", info=".")])
    annotate(source, tmp_path / "1.vcf.gz")
    annotate(tmp_path / "1.vcf.gz", tmp_path / "2.vcf.gz")
    assert text(tmp_path / "1.vcf.gz") == text(tmp_path / "2.vcf.gz")


def test_without_a_gene_model_records_pass_and_the_header_says_so(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, reference: LocalReference, tmp_path: Path
) -> None:
    source = write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A"), record("chr2", 5, "A", "C")])
    counts = annotate(source, tmp_path / "out.vcf.gz", replace(reference, gff=None))
    assert counts == AnnotatedCounts(records=2, alleles=2, annotated=0)
    out = text(tmp_path / "out.vcf.gz")
    assert NO_GENE_MODEL in out
    assert [line for line in out if line[0] != "#"] == [line for line in text(source) if line[0] != "#"]
    assert not (tmp_path / "csq.log").exists()


def test_an_interval_without_variants_is_annotated_too(annotate: Annotate, write_vcf: WriteVcf, tmp_path: Path) -> None:
    counts = annotate(write_vcf("in.vcf.gz", []), tmp_path / "out.vcf.gz")
    assert counts == AnnotatedCounts(records=0, alleles=0, annotated=0)
    assert list(records.read(tmp_path / "out.vcf.gz")) == []
    assert (tmp_path / "out.vcf.gz.tbi").is_file()


def test_another_ref_allele_is_refused_by_place(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match="chr1:1055") as refused:
        annotate(write_vcf("in.vcf.gz", [record("chr1", 1055, "G", "A")]), tmp_path / "out.vcf.gz")
    assert refused.value.rejection.code == "REF_ALLELE"


@pytest.mark.parametrize("contig", ["##contig=<ID=chr1,length=2999>", "##contig=<ID=chr9,length=10>"])
def test_another_build_is_refused(annotate: Annotate, write_vcf: WriteVcf, contig: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        annotate(write_vcf("in.vcf.gz", [], meta=("##fileformat=VCFv4.2", contig)), tmp_path / "out.vcf.gz")
    assert refused.value.rejection.code == "BUILD_MISMATCH"


def test_records_out_of_order_are_refused(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    source = write_vcf("in.vcf.gz", [record("chr1", 1056, "T", "G"), record("chr1", 1055, "C", "A")])
    with pytest.raises(Rejected, match="record 2") as refused:
        annotate(source, tmp_path / "out.vcf.gz")
    assert refused.value.rejection.code == "NOT_SORTED"


@pytest.mark.parametrize("model", ["##gff-version 3\n", "rubbish\n"])
def test_a_gene_model_without_transcripts_is_refused(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, reference: LocalReference, tmp_path: Path, model: str
) -> None:
    gff = tmp_path / "other.gff3"
    gff.write_text(model)
    source = write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A")])
    with pytest.raises(Rejected) as refused:
        annotate(source, tmp_path / "out.vcf.gz", replace(reference, gff=gff))
    assert refused.value.rejection.code == "GFF_FORMAT"


def test_a_reference_that_is_not_there_is_no_fault_of_the_calls(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, reference: LocalReference, tmp_path: Path
) -> None:
    gone = tmp_path / "tiny.fa"
    gone.with_name("tiny.fa.fai").write_text(reference.fai.read_text())
    with pytest.raises(ToolFailed, match=r"tiny\.fa"):
        annotate(write_vcf("in.vcf.gz", []), tmp_path / "out.vcf.gz", replace(reference, fasta=gone))


def test_a_file_that_was_cut_short_is_no_input(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    source = write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A")])
    source.write_bytes(source.read_bytes()[:-28])
    with pytest.raises(ToolFailed, match="end block"):
        annotate(source, tmp_path / "out.vcf.gz")


def test_scratch_is_left_empty(annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    annotate(write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A")]), tmp_path / "out.vcf.gz")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_another_gene_model_is_another_provenance(engine: Engine, reference: LocalReference, tmp_path: Path) -> None:
    gff = tmp_path / "other.gff3"
    gff.write_text(reference.gff.read_text() + "#\n")
    made = engine.provenance(reference=reference)
    assert made == engine.provenance(reference=reference)
    others = [engine.provenance(reference=replace(reference, gff=model)) for model in (gff, None)]
    assert len({made.parameters, *(other.parameters for other in others)}) == 3
