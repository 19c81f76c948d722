"""gVCFs at the door of joint calling, known sites at the door of a reference: refused before any tool is started."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from chassis.errors import Rejected, Rejection
from chassis.reference import bundle
from chassis.reference.local import LocalReference
from chassis.storage.file import FileStore
from contracts.values import Interval
from services.jointcall.engines.gatk import GatkEngine
from services.jointcall.engines.gvcf import check
from services.jointcall.engines.protocol import GvcfInput
from tests.faults.bad_input import broken
from tests.faults.bad_input.broken import BASES, GOOD, LENGTH, SNP, Make
from tests.faults.bad_input.said import assert_says
from tests.services.jointcall.engines.written import write_gvcf, write_reference


class NoTool:
    """GATK that must not be needed."""

    version = "0"

    def run(self, tool: str, arguments: Sequence[str], *, log: Path) -> None:
        raise AssertionError(f"{tool} was started on bad input")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    make: Make
    code: str
    where: str
    fix: str
    contig: str = "c1"


FILE, INDEX = "ada.g.vcf.gz", "ada.g.vcf.gz.tbi"
AT_500 = f"{FILE}, record at c1:500"


def ploidy(contig: str, genotype: str, likelihoods: str) -> Row:
    return Row(
        make=broken.on(contig, genotype, likelihoods),
        code="PLOIDY",
        where=f"{FILE}, record at {contig}:500",
        fix="-ploidy",
        contig=contig,
    )


SIX, THREE, TEN = "600,0,600,645,645,1290", "600,0,645", "9,8,7,6,5,4,3,2,1,0"
"""Likelihoods of two alleles, of one, and of three, where there are three kinds of allele."""

ROWS: Mapping[str, Row] = {
    "truncated": Row(make=broken.truncated, code="GZIP_TRUNCATED", where=FILE, fix="again"),
    "damaged": Row(make=broken.damaged, code="GZIP_CRC", where=FILE, fix="again"),
    "no header": Row(make=broken.without_header, code="VCF_HEADER", where=FILE, fix="with its header"),
    "no #CHROM line": Row(make=broken.without_columns, code="VCF_HEADER", where=FILE, fix="with its header"),
    "two samples": Row(
        make=broken.of_two_samples, code="VCF_HEADER", where=f"{FILE}, #CHROM line", fix="each sample's own"
    ),
    "undeclared INFO": Row(make=broken.with_undeclared_info, code="VCF_UNDECLARED", where=AT_500, fix="header line"),
    "undeclared FORMAT": Row(
        make=broken.with_undeclared_format, code="VCF_UNDECLARED", where=AT_500, fix="header line"
    ),
    "undeclared END": Row(
        make=broken.with_an_undeclared_end,
        code="VCF_UNDECLARED",
        where=f"{FILE}, record at c1:1",
        fix="header line",
    ),
    "another sample": Row(
        make=broken.of_someone_else, code="SAMPLE_MISMATCH", where="bea.g.vcf.gz, #CHROM line", fix="send the gVCF"
    ),
    "an unsafe name": Row(
        make=broken.with_an_unsafe_name, code="UNSAFE_ID", where=f"{FILE}, #CHROM line", fix="rename the sample"
    ),
    "another build": Row(
        make=broken.of_another_build, code="BUILD_MISMATCH", where=f"{FILE}, ##contig lines", fix="cohort's reference"
    ),
    "more contigs": Row(
        make=broken.with_more_contigs, code="BUILD_MISMATCH", where=f"{FILE}, ##contig lines", fix="cohort's reference"
    ),
    "another REF": Row(make=broken.of_another_sequence, code="REF_ALLELE", where=AT_500, fix="cohort's reference"),
    "a gap": Row(
        make=broken.with_a_gap, code="GVCF_COVERAGE", where=f"{FILE}, c1:701-800", fix="call the sample again"
    ),
    "no record at all": Row(
        make=broken.without_a_record,
        code="GVCF_COVERAGE",
        where=f"{FILE}, c1:1-1000",
        fix="call the sample again",
    ),
    "out of order": Row(
        make=broken.out_of_order, code="GVCF_ORDER", where=f"{FILE}, record at c1:501", fix="sort and index"
    ),
    "no <NON_REF>": Row(make=broken.without_non_ref, code="GVCF_NON_REF", where=AT_500, fix="-ERC GVCF"),
    "three alleles on X": ploidy("chrX", "0/0/1", TEN),
    "three alleles on Y": ploidy("Y", "0/0/1", TEN),
    "three alleles on MT": ploidy("chrM", "0/0/1", TEN),
    "one allele on an autosome": ploidy("c1", "1", THREE),
    "one allele with the likelihoods of two": ploidy("X", "1", SIX),
    "two alleles with the likelihoods of one": ploidy("MT", "0/1", THREE),
    "no index": Row(make=broken.without_index, code="INDEX_STALE", where=INDEX, fix="index the file again"),
    "an index that is none": Row(
        make=broken.with_a_broken_index, code="INDEX_STALE", where=INDEX, fix="index the file again"
    ),
    "an index of another file": Row(
        make=broken.with_an_index_of_more_records, code="INDEX_STALE", where=INDEX, fix="index the file again"
    ),
    "an index that points into a record": Row(
        make=broken.with_an_index_into_a_record, code="INDEX_STALE", where=INDEX, fix="index the file again"
    ),
    "an index of the version before": Row(
        make=broken.with_an_index_of_the_version_before, code="INDEX_STALE", where=INDEX, fix="index the file again"
    ),
}


def reference_of(folder: Path, contig: str = "c1") -> LocalReference:
    return write_reference(folder, BASES, contig=contig)


def refusal_of(batch: Sequence[GvcfInput], folder: Path, *, contig: str = "c1") -> Rejection:
    """What the engine says to these gVCFs, having started nothing and left nothing."""
    (folder / "reference").mkdir()
    engine, out = GatkEngine(gatk=NoTool(), chunk_bp=1000), folder / "generation"
    with pytest.raises(Rejected) as refused:
        engine.add_samples(
            generation=None,
            batch=batch,
            interval=Interval(contig=contig, start=401, end=1000, contig_length=LENGTH),
            reference=reference_of(folder / "reference", contig),
            out=out,
            scratch=folder,
        )
    assert not out.exists()
    return refused.value.rejection


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_gvcf_is_refused_before_it_is_imported(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    sound = replace(write_gvcf(tmp_path, "zoe", GOOD, contigs=[("c1", LENGTH)]), must_cover=True)
    batch = [row.make(tmp_path)] if row.contig != "c1" else [sound, row.make(tmp_path)]
    assert_says(refusal_of(batch, tmp_path, contig=row.contig), row.code, where=row.where, fix=row.fix)


def test_the_same_sample_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    twice = [broken.good(tmp_path), broken.good(tmp_path / "again")]
    assert_says(refusal_of(twice, tmp_path), "COHORT_DUPLICATE", where=FILE, fix="keep the newer")


@pytest.mark.parametrize(
    ("contig", "genotype", "likelihoods"),
    [
        ("c1", "0/1", SIX),
        ("c1", "0|1", SIX),
        ("c1", "./.", "."),
        ("c1", ".", "."),
        ("chrX", "0/1", SIX),
        ("chrX", "1", THREE),
        ("Y", "1", THREE),
        ("Y", "1/1", SIX),
        ("MT", "1", THREE),
        ("chrM", "0/1", SIX),
    ],
)
def test_what_callers_write_of_x_y_and_mt_is_taken(
    contig: str, genotype: str, likelihoods: str, tmp_path: Path
) -> None:
    """Haploid where a caller had a ploidy map, diploid where it had none; the sample's sex is not known."""
    (tmp_path / "reference").mkdir()
    gvcf = broken.on(contig, genotype, likelihoods)(tmp_path)
    interval = Interval(contig=contig, start=401, end=1000, contig_length=LENGTH)
    found = check(gvcf, interval=interval, reference=reference_of(tmp_path / "reference", contig))
    assert (found.records, found.variants, found.gaps) == (2, 1, ())


def test_a_gap_that_is_accepted_is_named_and_taken(tmp_path: Path) -> None:
    gvcf = replace(broken.with_a_gap(tmp_path), must_cover=False)
    interval = Interval(contig="c1", start=401, end=1000, contig_length=LENGTH)
    (tmp_path / "reference").mkdir()
    reference = reference_of(tmp_path / "reference")
    assert check(gvcf, interval=interval, reference=reference).gaps == ((701, 800),)


def test_bases_that_the_reference_does_not_call_need_no_record(tmp_path: Path) -> None:
    """What a gVCF must cover is the calling intervals: a run of N or what lies beside an exome's targets is not."""
    (tmp_path / "reference").mkdir()
    whole = reference_of(tmp_path / "reference")
    parts = (
        Interval(contig="c1", start=1, end=700, contig_length=LENGTH),
        Interval(contig="c1", start=801, end=LENGTH, contig_length=LENGTH),
    )
    interval = Interval(contig="c1", start=401, end=1000, contig_length=LENGTH)
    found = check(broken.with_a_gap(tmp_path), interval=interval, reference=replace(whole, intervals=parts))
    assert found.gaps == ()


def test_a_fresh_index_beside_an_old_date_is_taken(tmp_path: Path) -> None:
    """By content, not by date: a copy or a restore may leave the file younger than its index."""
    import os

    gvcf = broken.good(tmp_path)
    os.utime(gvcf.index, (0, 0))
    (tmp_path / "reference").mkdir()
    interval = Interval(contig="c1", start=1, end=LENGTH, contig_length=LENGTH)
    assert check(gvcf, interval=interval, reference=reference_of(tmp_path / "reference")).records == 3


# --- known sites, where a reference is registered ---------------------------------------------------------------------

SITES_HEADER = (
    "##fileformat=VCFv4.2\n##INFO=<ID=AF,Number=A,Type=Float,Description='share'>\n##contig=<ID=c1,length=2000>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
).replace("'", '"')


def site(at: int, ref: str, alt: str, about: str = "AF=0.5") -> str:
    return f"c1\t{at}\trs{at}\t{ref}\t{alt}\t.\tPASS\t{about}\n"


FIRST, SECOND = site(10, BASES[9], "<DEL>"), site(500, BASES[499], SNP)
SITES: Mapping[str, tuple[str, str, str, str]] = {
    "no header": (FIRST, "VCF_HEADER", "sites.vcf", "bcftools view"),
    "undeclared INFO": (
        SITES_HEADER + FIRST + site(500, BASES[499], SNP, "AF=0.5;QX=1"),
        "VCF_UNDECLARED",
        "sites.vcf, record 2 (c1:500)",
        "header line",
    ),
    "another build": (
        SITES_HEADER.replace("length=2000", "length=2001") + FIRST,
        "BUILD_MISMATCH",
        "sites.vcf, contig c1 of the header",
        "this reference",
    ),
    "another REF": (
        SITES_HEADER + FIRST + site(500, SNP, BASES[499]),
        "REF_ALLELE",
        "sites.vcf, record 2 (c1:500)",
        "of this build",
    ),
    "out of order": (SITES_HEADER + SECOND + FIRST, "NOT_SORTED", "sites.vcf, record 2 (c1:10)", "bcftools sort"),
}


@pytest.mark.parametrize("name", SITES)
async def test_broken_known_sites_refuse_the_reference(name: str, tmp_path: Path) -> None:
    text, code, where, fix = SITES[name]
    fasta, sites = tmp_path / "ref.fa", tmp_path / "sites.vcf"
    fasta.write_text(f">c1\n{BASES}\n")
    sites.write_text(text)
    store = FileStore(root=tmp_path / "store")
    with pytest.raises(Rejected) as refused:
        await bundle.add(store, name="toy", fasta=fasta, known_sites=[sites], max_interval_bp=1000, scratch=tmp_path)
    assert_says(refused.value.rejection, code, where=where, fix=fix)
    assert await bundle.list_references(store) == ()


async def test_mended_known_sites_are_taken_under_the_same_name(tmp_path: Path) -> None:
    fasta, sites = tmp_path / "ref.fa", tmp_path / "sites.vcf"
    fasta.write_text(f">c1\n{BASES}\n")
    store = FileStore(root=tmp_path / "store")
    sites.write_text(SITES_HEADER + SECOND + FIRST)
    with pytest.raises(Rejected, match="NOT_SORTED"):
        await bundle.add(store, name="toy", fasta=fasta, known_sites=[sites], max_interval_bp=1000, scratch=tmp_path)
    sites.write_text(SITES_HEADER + FIRST + SECOND)
    made = await bundle.add(store, name="toy", fasta=fasta, known_sites=[sites], max_interval_bp=1000, scratch=tmp_path)
    assert len(made.intervals) == 2


def test_the_index_check_reads_records(tmp_path: Path) -> None:
    """Before anything is fetched through it: an index may end where the file ends and point astray within."""
    from chassis.tools.index_content import require_tabix_of

    gvcf = broken.with_an_index_into_a_record(tmp_path)
    with pytest.raises(Rejected, match="no record of c1 begins where the index says so"):
        require_tabix_of(gvcf.path, gvcf.index)


def test_the_index_check_reads_a_file_of_many_blocks(tmp_path: Path) -> None:
    """A real gVCF's index fits, and not the same gVCF cut shorter; nor does the shorter one's fit the whole."""
    from chassis.tools.index_content import require_tabix_of
    from tests.services.jointcall.cropped import REAL
    from tests.services.jointcall.engines.written import bgzip

    text = gzip.decompress(next(iter(sorted(REAL.glob("*.g.vcf.gz")))).read_bytes())
    lines = text.splitlines(keepends=True)
    whole = bgzip(tmp_path / "whole.g.vcf.gz", text, name="x")
    require_tabix_of(whole.path, whole.index)
    shorter = bgzip(tmp_path / "shorter.g.vcf.gz", b"".join(lines[:-100]), name="x")
    require_tabix_of(shorter.path, shorter.index)
    kept = shorter.index.read_bytes()
    shutil.copy(whole.index, shorter.index)
    with pytest.raises(Rejected, match="INDEX_STALE"):
        require_tabix_of(shorter.path, shorter.index)
    whole.index.write_bytes(kept)  # all that it names is there; what it leaves out is at the end
    with pytest.raises(Rejected, match="INDEX_STALE"):
        require_tabix_of(whole.path, whole.index)
