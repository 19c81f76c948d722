"""gVCFs and VCFs: headers, records, blocks, indexes; BAM and CRAM by their first and last bytes."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pysam
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import Rejection, ToolFailed
from chassis.reference.local import LocalReference
from chassis.tools import htslib, vcf
from contracts.values import Interval
from services.jointcall.engines import gvcf
from services.jointcall.engines.protocol import GvcfInput
from tests.fuzz.broken import broken, junk, mutated
from tests.fuzz.judged import SECRET, fuzzed, judged
from tests.services.jointcall.engines.written import HEADER, block, het, sequence, write_reference

BASES = sequence(2000)
SNP = "ACGT"[("ACGT".index(BASES[499]) + 1) % 4]
INTERVAL = Interval(contig="c1", start=401, end=1000, contig_length=2000)
COLUMNS = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{SECRET}"
GVCF = "\n".join(
    (
        HEADER + "##contig=<ID=c1,length=2000>",
        f"##GATKCommandLine=<ID=HaplotypeCaller,CommandLine=--input {SECRET}.cram>",
        COLUMNS,
        block(BASES, 1, 499),
        het(BASES[499], SNP, 500),
        block(BASES, 501, 2000),
        "",
    )
).encode()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> LocalReference:
    return write_reference(tmp_path_factory.mktemp("reference"), BASES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("variants")


def bgzf(path: Path, text: bytes) -> None:
    with pysam.BGZFile(str(path), "w", None) as sink:
        sink.write(text)


def indexed(path: Path) -> Path:
    """With a tabix index where htslib can make one, with the last one or none otherwise."""
    with contextlib.suppress(OSError, ValueError):
        pysam.tabix_index(str(path), preset="vcf", force=True)
    return vcf.index_of(path)


def checked(path: Path, reference: LocalReference) -> None:
    one = GvcfInput(name=SECRET, path=path, index=indexed(path))
    judged(lambda: gvcf.sample_name_of(path), withheld=(SECRET,))
    judged(lambda: gvcf.check(one, interval=INTERVAL, reference=reference), withheld=(SECRET,))
    judged(lambda: gvcf.check_batch([one, one], interval=INTERVAL, reference=reference), withheld=(SECRET,))


@fuzzed
@given(broken(GVCF))
@example(GVCF.replace(SECRET.encode() + b"\n", b"M\xfcller\n"))
@example(GVCF.replace(b"length=2000", "length=²".encode()))
@example(GVCF.replace(b"length=2000", b"length=" + b"9" * 5000))
@example(GVCF.replace(b"ID=c1,", b"ID=" + b"c" * 3000 + b","))
@example(GVCF.replace(b"ID=c1,", b"ID=c\xff1,"))
@example(GVCF.replace(b"c1\t500\t.\t", b"c1\t500\n"))
def test_a_gvcf_is_checked_or_refused(folder: Path, reference: LocalReference, text: bytes) -> None:
    path = folder / "one.g.vcf.gz"
    bgzf(path, text)
    checked(path, reference)


@fuzzed
@given(data=st.data())
def test_a_gvcf_of_broken_blocks_is_checked_or_refused(
    folder: Path, reference: LocalReference, data: st.DataObject
) -> None:
    path = folder / "two.g.vcf.gz"
    bgzf(path, GVCF)
    whole = path.read_bytes()
    indexed(path)
    # the block that ends the file may stay: what is broken lies before it
    path.write_bytes(data.draw(broken(whole, most=2)) + data.draw(st.sampled_from([b"", vcf.BGZF_EOF])))
    one = GvcfInput(name=SECRET, path=path, index=vcf.index_of(path))
    judged(lambda: gvcf.check(one, interval=INTERVAL, reference=reference), withheld=(SECRET,))


@fuzzed
@given(data=st.data())
def test_a_broken_index_is_refused_or_serves(folder: Path, reference: LocalReference, data: st.DataObject) -> None:
    path = folder / "three.g.vcf.gz"
    bgzf(path, GVCF)
    index = indexed(path)
    index.write_bytes(data.draw(mutated(index.read_bytes(), most=2)))
    one = GvcfInput(name=SECRET, path=path, index=index)
    judged(lambda: gvcf.check(one, interval=INTERVAL, reference=reference), withheld=(SECRET,))


@fuzzed
@given(broken(GVCF))
def test_a_header_is_read_or_refused(folder: Path, text: bytes) -> None:
    path = folder / "four.vcf.gz"
    bgzf(path, text)
    header = judged(lambda: vcf.header_of(path), withheld=(SECRET,))
    if isinstance(header, Rejection):
        return
    judged(lambda: vcf.samples_of(header), withheld=(SECRET,))
    contigs = judged(lambda: vcf.contigs_of(header), withheld=(SECRET,))
    if not isinstance(contigs, Rejection):
        assert all(length >= 0 for _, length in contigs)
    with contextlib.suppress(ToolFailed):
        judged(lambda: vcf.restamp(path, extra=("##cohortstream=1",), out=folder / "out.vcf.gz"))


@fuzzed
@given(
    st.one_of(junk(), mutated(b"CRAM\x03\x00" + htslib.CRAM_EOF_V3), st.binary(max_size=30).map(lambda b: b"CRAM" + b))
)
def test_bam_and_cram_are_known_by_their_ends(folder: Path, content: bytes) -> None:
    path = folder / "reads.cram"
    path.write_bytes(content)
    assert isinstance(htslib.has_eof(path), bool)
    judged(lambda: htslib.require_whole(path))
    version = judged(lambda: htslib.cram_version(path))
    assert isinstance(version, Rejection) or struct.pack("2B", *version) == content[4:6]
