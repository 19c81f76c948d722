"""Consequences by bcftools csq: right for each allele, whatever is called before, and nothing else is touched."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import Rejected, ToolFailed
from chassis.reference.local import LocalReference
from services.annotate import consequences, records
from services.annotate.engines import csq
from services.annotate.engines.csq import CsqEngine, version
from services.annotate.engines.protocol import NO_GENE_MODEL, AnnotatedCounts, Engine

Line = Callable[..., str]
WriteVcf = Callable[..., Path]
Annotate = Callable[..., AnnotatedCounts]


@pytest.fixture
def annotate(reference: LocalReference, tmp_path: Path) -> Annotate:
    engine: Engine = CsqEngine()
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(vcf: Path, out: Path, using: LocalReference = reference) -> AnnotatedCounts:
        return engine.annotate(vcf=vcf, reference=using, out=out, scratch=scratch, log=tmp_path / "csq.log")

    return run


def told(path: Path) -> dict[tuple[int, str], str | None]:
    """(position, ALT) -> worst consequence."""
    found: dict[tuple[int, str], str | None] = {}
    for one in records.read(path):
        entries = consequences.of(one.info)
        for index, alt in enumerate(one.alts, start=1):
            worst = consequences.worst(entries, index)
            found[one.position, alt] = worst.consequence if worst else None
    return found


def text(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_each_allele_gets_its_own_consequence(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, gene: Any, tmp_path: Path
) -> None:
    first = gene.base(1040)
    source = write_vcf(
        "in.vcf.gz",
        [
            record("chr1", 100, gene.base(100), gene.other(100)),
            record("chr1", 1040, first, gene.other(1040)),
            record("chr1", 1051, "A", "C"),
            # one record, four alleles: missense, synonymous, a deletion from further up, no bases at all
            record("chr1", 1055, "C", "A,*,<DEL>", "0/1", "1/2", "2/3"),
            record("chr1", 1056, "T", "A,G", "0/1", "1/2", "0/0"),
            record("chr1", 1060, "G", "GA,GACG,T", "0/1", "0/2", "0/3"),
            record("chr1", 1201, gene.base(1201), gene.other(1201)),
            record("chr1", 1250, gene.base(1250), gene.other(1250)),
            record("chr1", 1496, "T", "C"),
            record("chr1", 1550, gene.base(1550), gene.other(1550)),
            record("chr2", 5, "A", "C"),
        ],
    )
    counts = annotate(source, tmp_path / "out.vcf.gz")
    assert counts == AnnotatedCounts(records=11, alleles=16, annotated=12)
    assert told(tmp_path / "out.vcf.gz") == {
        (100, gene.other(100)): None,
        (1040, gene.other(1040)): "5_prime_utr",
        (1051, "C"): "start_lost",
        (1055, "A"): "missense",
        (1055, "*"): None,
        (1055, "<DEL>"): None,
        (1056, "A"): "synonymous",
        (1056, "G"): "synonymous",
        (1060, "GA"): "frameshift",
        (1060, "GACG"): "inframe_insertion",
        (1060, "T"): "missense",
        (1201, gene.other(1201)): "splice_donor",
        (1250, gene.other(1250)): "intron",
        (1496, "C"): "stop_lost",
        (1550, gene.other(1550)): "3_prime_utr",
        (5, "C"): None,
    }
    (missense,) = (
        c for one in records.read(tmp_path / "out.vcf.gz") if one.position == 1055 for c in consequences.of(one.info)
    )
    assert (missense.gene, missense.transcript, missense.amino_acid_change) == ("GENE1", "T1", "2A>2D")
    assert (missense.allele, missense.dna_change) == (1, "1055C>A")


def test_a_frameshift_does_not_spell_out_the_protein(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    annotate(write_vcf("in.vcf.gz", [record("chr1", 1060, "G", "GA")]), tmp_path / "out.vcf.gz")
    (one,) = records.read(tmp_path / "out.vcf.gz")
    assert len(one.info["BCSQ"]) < 120


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
    assert after[0][7].startswith("BCSQ=missense|")
    assert after[1][7].startswith("QD=1.20e+01;DP=7;BCSQ=synonymous|")
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
        assert one.info["BCSQ"][0].startswith("synonymous|GENE1|")
        assert one.info["BCSQ_ALLELE"] == (1,)


def test_the_header_names_the_tool_and_no_place_or_time(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    annotate(write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A")]), tmp_path / "out.vcf.gz")
    header = [line for line in text(tmp_path / "out.vcf.gz") if line.startswith("##")]
    assert not any("Command" in line or "Date=" in line or str(tmp_path) in line or "/tmp" in line for line in header)
    (ours,) = (line for line in header if line.startswith("##cohortstream_consequence="))
    assert version() in ours
    assert "gene_model=sha256:" in ours


def test_equal_input_gives_equal_bytes_whatever_ran_before(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, reference: LocalReference, tmp_path: Path
) -> None:
    """bcftools keeps the last position in a static variable: intervals out of order, and calls after a failure."""
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


def test_who_else_is_in_the_cohort_changes_nothing(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, tmp_path: Path
) -> None:
    """Two changes of one codon on what could be one haplotype stay two changes, with or without the second carrier."""
    both = [record("chr1", 1054, "G", "T", "1/1", "0/0", "0/0"), record("chr1", 1055, "C", "A", "1/1", "0/0", "0/0")]
    apart = [record("chr1", 1054, "G", "T", "1/1", "0/0", "0/0"), record("chr1", 1055, "C", "A", "0/0", "0/0", "1/1")]
    annotate(write_vcf("a.vcf.gz", both), tmp_path / "1.vcf.gz")
    annotate(write_vcf("b.vcf.gz", apart), tmp_path / "2.vcf.gz")
    assert (
        told(tmp_path / "1.vcf.gz") == told(tmp_path / "2.vcf.gz") == {(1054, "T"): "missense", (1055, "A"): "missense"}
    )


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
def test_a_gene_model_that_csq_cannot_read_is_refused(
    annotate: Annotate, write_vcf: WriteVcf, record: Line, reference: LocalReference, tmp_path: Path, model: str
) -> None:
    gff = tmp_path / "other.gff3"
    gff.write_text(model)
    source = write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A")])
    with pytest.raises(Rejected) as refused:
        annotate(source, tmp_path / "out.vcf.gz", replace(reference, gff=gff))
    assert refused.value.rejection.code == "GFF_FORMAT"


def test_a_tool_that_fails_says_why_without_our_folders(
    annotate: Annotate,
    write_vcf: WriteVcf,
    record: Line,
    reference: LocalReference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csq, "PARAMETERS", ("--regions-file", str(reference.fasta.with_name("no-such.bed"))))
    source = write_vcf("in.vcf.gz", [record("chr1", 1055, "C", "A")])
    with pytest.raises(ToolFailed) as failed:
        annotate(source, tmp_path / "out.vcf.gz")
    assert failed.value.tool == "bcftools csq"
    assert "no-such.bed" in failed.value.said
    assert str(reference.fasta.parent) not in failed.value.said
    assert "no-such.bed" in (tmp_path / "csq.log").read_text()


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


def test_another_gene_model_is_another_provenance(reference: LocalReference, tmp_path: Path) -> None:
    engine = CsqEngine()
    gff = tmp_path / "other.gff3"
    gff.write_text(reference.gff.read_text() + "#\n")
    made = engine.provenance(reference=reference)
    assert made.tool == "bcftools-csq"
    assert made == engine.provenance(reference=reference)
    others = [engine.provenance(reference=replace(reference, gff=model)) for model in (gff, None)]
    assert len({made.parameters, *(other.parameters for other in others)}) == 3


def test_unknown_and_compound_consequences_have_a_rank() -> None:
    info = {"BCSQ": "intron|G,splice_region&missense|G|T|p|+|1A>1B|5A>C,new_word|G", "BCSQ_ALLELE": "1,1,2"}
    entries = consequences.of(info)
    worst = consequences.worst(entries, 1)
    assert worst is not None
    assert worst.consequence == "splice_region&missense"
    assert consequences.worst(entries, 2) == entries[2]
    assert consequences.worst(entries, 3) is None
    with pytest.raises(ValueError, match="zip"):
        consequences.of({**info, "BCSQ_ALLELE": "1,2"})
