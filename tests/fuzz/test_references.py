"""FASTA, GFF3, known sites, calling intervals, bundle documents: registered or refused with the line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import Rejected, Rejection
from chassis.reference.fasta import Sequence, digest_of, normalise
from chassis.reference.intervals import calling_intervals
from chassis.reference.resources import gene_model, known_sites
from contracts.values import Interval
from tests.fuzz.broken import broken
from tests.fuzz.judged import fuzzed, judged
from tests.services.jointcall.engines.written import sequence

BASES = sequence(600)
FASTA = f">c1 first\n{BASES[:200]}\n{BASES[200:]}\n>c2\r\nNNNN{BASES[:50].lower()}NNNN\n".encode()
GFF = (
    b"##gff-version 3\nc1\tx\tgene\t10\t90\t.\t+\t.\tID=gene:g1;biotype=protein_coding\n"
    b"c1\tx\tmRNA\t10\t90\t.\t+\t.\tID=transcript:t1;Parent=gene:g1\n###\nc2\tx\texon\t1\t20\t.\t-\t0\tParent=t1\n"
)
VCF = (
    "##fileformat=VCFv4.2\n##contig=<ID=c1,length=600>\n##contig=<ID=c2,length=58>\n"
    '##INFO=<ID=AF,Number=A,Type=Float,Description="f">\n##FILTER=<ID=PASS,Description="ok">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    f"c1\t5\trs1\t{BASES[4]}\tA,C\t50\tPASS\tAF=0.1,0.2\nc1\t50\t.\t{BASES[49:52]}\t{BASES[49]}\t.\t.\t.\n"
    "c2\t2\t.\tN\t<DEL>\t.\tPASS\t.\n"
).encode()
LENGTHS = {"c1": 600, "c2": 58}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("references")
    (made / "whole.fa").write_bytes(FASTA)
    normalise(made / "whole.fa", made / "reference.fa")
    pysam.faidx(str(made / "reference.fa"))
    return made


def written(path: Path, content: bytes, packed: int) -> Path:
    match packed:
        case 0:
            path.write_bytes(content)
        case 1:
            path.write_bytes(gzip.compress(content, 1))
        case _:
            with pysam.BGZFile(str(path), "w", None) as sink:
                sink.write(content)
    return path


PACKED = st.integers(0, 2)


@fuzzed
@given(broken(FASTA), PACKED)
def test_a_fasta_is_taken_or_refused(folder: Path, content: bytes, packed: int) -> None:
    path = written(folder / "one.fa", content, packed)
    taken = judged(lambda: normalise(path, folder / "normal.fa"))
    if isinstance(taken, Rejection):
        return
    assert len(digest_of(taken)) == 32
    again = normalise(folder / "normal.fa", folder / "normal2.fa")
    assert again == taken
    with pysam.FastaFile(str(folder / "normal.fa")) as read:
        assert list(zip(read.references, read.lengths, strict=True)) == [(one.name, one.length) for one in taken]
    (folder / "normal.fa.fai").unlink()
    covered = calling_intervals(taken, max_interval_bp=50, n_run_bp=2)
    assert all(isinstance(one, Interval) and one.length <= 50 for one in covered)


@fuzzed
@given(broken(gzip.compress(FASTA)))
def test_a_broken_gzip_of_a_fasta_is_refused(folder: Path, content: bytes) -> None:
    (folder / "two.fa.gz").write_bytes(content)
    judged(lambda: normalise(folder / "two.fa.gz", folder / "normal.fa"))
    judged(lambda: gene_model(folder / "two.fa.gz", lengths=LENGTHS, out=folder / "genes.gff3"))
    judged(
        lambda: known_sites(
            folder / "two.fa.gz", fasta=folder / "reference.fa", lengths=LENGTHS, out=folder / "sites.vcf.gz"
        )
    )


@fuzzed
@given(broken(GFF), PACKED)
@example(GFF.replace(b"\t10\t", "\t²\t".encode()), 0)
@example(GFF.replace(b"\t10\t", b"\t" + b"9" * 5000 + b"\t"), 0)
def test_a_gene_model_is_taken_or_refused(folder: Path, content: bytes, packed: int) -> None:
    path = written(folder / "one.gff3", content, packed)
    judged(lambda: gene_model(path, lengths=LENGTHS, out=folder / "genes.gff3"))


@fuzzed
@given(broken(VCF), PACKED)
@example(VCF.replace(b"c1\t5\t", b"c1\t0\t"), 2)
@example(b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nc1\t5\t.\tA\n", 0)
def test_known_sites_are_taken_or_refused(folder: Path, content: bytes, packed: int) -> None:
    path = written(folder / "one.vcf", content, packed)
    out = folder / "sites.vcf.gz"
    taken = judged(lambda: known_sites(path, fasta=folder / "reference.fa", lengths=LENGTHS, out=out))
    if isinstance(taken, Path):
        with pysam.VariantFile(str(out), index_filename=str(taken)) as sites:
            assert all(record.chrom in LENGTHS for record in sites)


def test_known_sites_as_bcf_are_refused(folder: Path) -> None:
    plain, packed = folder / "plain.vcf", folder / "sites.bcf"
    plain.write_bytes(VCF.rsplit(b"c2\t2", 1)[0])
    with pysam.VariantFile(str(plain)) as read, pysam.VariantFile(str(packed), "wb", header=read.header) as out:
        for record in read:
            out.write(record)
    out = folder / "frombcf.vcf.gz"
    refused = judged(lambda: known_sites(packed, fasta=folder / "reference.fa", lengths=LENGTHS, out=out))
    assert isinstance(refused, Rejection)
    assert refused.code == "VCF_HEADER"


@fuzzed
@given(
    st.lists(st.tuples(st.integers(1, 300), st.lists(st.integers(0, 300), max_size=6)), max_size=3),
    st.integers(-1, 90),
    st.integers(-1, 30),
)
def test_intervals_cover_what_is_no_gap(contigs: list[tuple[int, list[int]]], longest: int, gap: int) -> None:
    sequences = []
    for number, (length, cuts) in enumerate(contigs):
        places = sorted({cut for cut in cuts if cut <= length})
        runs = tuple(zip(places[::2], places[1::2], strict=False))
        sequences.append(Sequence(name=f"c{number}", length=length, md5="0" * 32, n_runs=runs))
    try:
        found = calling_intervals(sequences, max_interval_bp=longest, n_run_bp=gap)
    except ValueError:
        assert longest < 1 or gap < 1
        return
    assert all(one.length <= longest for one in found)
    for one in sequences:
        left_out = sum(end - start for start, end in one.n_runs if end - start >= gap)
        assert sum(i.length for i in found if i.contig == one.name) == one.length - left_out


@fuzzed
@given(st.text(max_size=12), st.integers(), st.integers(), st.integers())
def test_an_interval_is_inside_its_contig_or_no_interval(contig: str, start: int, end: int, length: int) -> None:
    try:
        made = Interval(contig=contig, start=start, end=end, contig_length=length)
    except ValueError as error:
        assert not isinstance(error, Rejected)
        return
    assert 1 <= made.start <= made.end <= made.contig_length
    assert "/" not in made.slug
