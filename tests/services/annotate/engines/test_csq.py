"""Consequences by bcftools csq: right for each allele, whatever is called before, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import ToolFailed
from chassis.reference.local import LocalReference
from services.annotate import consequences, records
from services.annotate.engines import csq
from services.annotate.engines.csq import CsqEngine
from services.annotate.engines.protocol import AnnotatedCounts, Engine
from tests.support.told import exit_codes, tools_told

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
    with tools_told() as spans:
        annotate(write_vcf("in.vcf.gz", [record("chr1", 1060, "G", "GA")]), tmp_path / "out.vcf.gz")
    assert exit_codes(spans) == [("tool bcftools csq", 0)]
    (one,) = records.read(tmp_path / "out.vcf.gz")
    assert len(one.info["BCSQ"]) < 120


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
    with tools_told() as spans, pytest.raises(ToolFailed) as failed:
        annotate(source, tmp_path / "out.vcf.gz")
    assert exit_codes(spans) == [("tool bcftools csq", 1)]
    assert failed.value.tool == "bcftools csq"
    assert "no-such.bed" in failed.value.said
    assert str(reference.fasta.parent) not in failed.value.said
    assert "no-such.bed" in (tmp_path / "csq.log").read_text()


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
