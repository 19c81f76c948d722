"""Registering references, with the real indexers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pysam
import pytest

from chassis.errors import Rejected
from chassis.reference import build
from chassis.reference.bundle import add, find, list_references
from chassis.reference.cache import ReferenceCache
from chassis.reference.model import Bundle, Role
from chassis.storage.file import FileStore
from contracts.values import ReferenceId
from tests.chassis.reference.conftest import write_fasta

pytestmark = pytest.mark.tools


def write_vcf(path: Path, records: list[tuple[str, int, str, str]], *, contigs: str = "") -> Path:
    lines = ["##fileformat=VCFv4.2", *contigs.splitlines(), "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t." for contig, pos, ref, alt in records]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_gff(path: Path, *features: str) -> Path:
    path.write_text("##gff-version 3\n" + "".join(f"{feature}\n" for feature in features))
    return path


def gene(contig: str, start: int, end: int) -> str:
    return f"{contig}\tx\tgene\t{start}\t{end}\t.\t+\t.\tID=gene:1"


async def register(store: FileStore, fasta: Path, tmp_path: Path, **options: Any) -> Bundle:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    bundle = await add(
        store, **({"name": "tiny", "fasta": fasta, "max_interval_bp": 300, "scratch": scratch} | options)
    )
    assert list(scratch.iterdir()) == []
    return bundle


async def refusal(store: FileStore, fasta: Path, tmp_path: Path, **options: Any) -> tuple[str, str]:
    with pytest.raises(Rejected) as refused:
        await register(store, fasta, tmp_path, **options)
    return refused.value.rejection.code, refused.value.rejection.where


async def test_a_bundle_holds_what_the_tools_need(
    store: FileStore, fasta: Path, genome: dict[str, str], tmp_path: Path
) -> None:
    sites = write_vcf(tmp_path / "dbsnp.vcf", [("chr1", 10, genome["chr1"][9], "<DEL>"), ("chr2", 5, "N", "T")])
    gff = write_gff(tmp_path / "model.gff3", gene("chr2", 1, 500))
    bundle = await register(store, fasta, tmp_path, known_sites=[sites], gff=gff)
    assert [str(interval) for interval in bundle.intervals] == [
        "chr1:1-200",
        "chr1:201-400",
        "chr1:461-760",
        "chr2:1-250",
        "chr2:251-500",
    ]
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=1 << 30) as cache:
        local = await cache.local(store, "tiny")
    assert local.id == bundle.id
    with pysam.FastaFile(str(local.fasta)) as opened:
        assert {name: opened.fetch(name) for name in opened.references} == genome
    assert all(path.stat().st_size > 0 for path in (local.fai, *local.bwa_index))
    header = pysam.AlignmentHeader.from_text(local.dictionary.read_text()).to_dict()
    assert [(line["SN"], line["LN"], line["M5"]) for line in header["SQ"]] == [
        (contig.name, contig.length, contig.md5) for contig in bundle.contigs
    ]
    assert local.gff is not None
    assert local.gff.read_text() == gff.read_text()
    (known,) = local.known_sites
    assert known.name == "dbsnp.vcf.gz"
    with pysam.VariantFile(str(known)) as records:
        assert [record.pos for record in records.fetch("chr2", 0, 100)] == [5]


async def test_the_index_is_one_that_bwa_reads(
    store: FileStore, fasta: Path, genome: dict[str, str], tmp_path: Path
) -> None:
    import pybwa

    await register(store, fasta, tmp_path)
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=1 << 30) as cache:
        local = await cache.local(store, "tiny")
    read = pysam.FastxRecord(name="read", sequence=genome["chr2"][100:250], quality="I" * 150)
    [[found]] = pybwa.BwaMem(local.fasta).align([read])
    assert (found.reference_name, found.reference_start) == ("chr2", 100)


async def test_the_same_again_is_no_work(
    store: FileStore, fasta: Path, genome: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = write_vcf(tmp_path / "a.vcf", [("chr1", 10, genome["chr1"][9], "N")])
    first = await register(store, fasta, tmp_path, known_sites=[sites])
    before = [facts async for facts in store.list("")]

    def never(*_: object) -> None:
        raise AssertionError("indexed again")

    monkeypatch.setattr(build, "index_with_bwa", never)
    again = write_fasta(tmp_path / "again.fa", {name: text.lower() for name, text in genome.items()}, width=31)
    assert await register(store, again, tmp_path, known_sites=[sites]) == first
    assert [facts async for facts in store.list("")] == before
    # another name for it costs one pointer, and more known sites no new index
    named = await register(store, fasta, tmp_path, name="other", known_sites=[sites])
    assert (named.id.digest, named.revision) == (first.id.digest, first.revision)
    more = await register(store, fasta, tmp_path, known_sites=[sites], name="more", gff=None, max_interval_bp=100)
    assert more.of(Role.fasta) == first.of(Role.fasta)
    assert more.revision != first.revision
    assert [bundle.id.name for bundle in await list_references(store)] == ["more", "other", "tiny"]


async def test_a_name_moves_only_when_told(
    store: FileStore, fasta: Path, genome: dict[str, str], tmp_path: Path
) -> None:
    first = await register(store, fasta, tmp_path)
    other = write_fasta(tmp_path / "other.fa", {"chr1": genome["chr2"]})
    assert (await refusal(store, other, tmp_path))[0] == "REFERENCE_TAKEN"
    gff = write_gff(tmp_path / "model.gff3", gene("chr2", 1, 500))
    assert (await refusal(store, fasta, tmp_path, gff=gff))[0] == "REFERENCE_TAKEN"
    assert await find(store, "tiny") == first
    with_genes = await register(store, fasta, tmp_path, gff=gff, replace=True)
    assert await find(store, "tiny") == with_genes
    assert with_genes.id == first.id
    second = await register(store, other, tmp_path, replace=True)
    assert await find(store, "tiny") == second
    # what artifacts of the first name is still found by its digest
    assert await find(store, first.id) == with_genes
    with pytest.raises(Rejected) as refused:
        await find(store, ReferenceId(name="tiny", digest="0" * 32))
    assert refused.value.rejection.code == "REFERENCE_UNKNOWN"
    with pytest.raises(Rejected) as refused:
        await find(store, "none")
    assert refused.value.rejection.code == "REFERENCE_UNKNOWN"
    for name in ("../x", "-x", "", "a/b"):
        assert (await refusal(store, fasta, tmp_path, name=name))[0] == "UNSAFE_ID"


async def test_one_digest_has_one_naming(store: FileStore, fasta: Path, genome: dict[str, str], tmp_path: Path) -> None:
    await register(store, fasta, tmp_path)
    renamed = write_fasta(tmp_path / "b.fa", {"1": genome["chr1"], "2": genome["chr2"]})
    swapped = write_fasta(tmp_path / "c.fa", {"chr2": genome["chr2"], "chr1": genome["chr1"]})
    for other in (renamed, swapped):
        assert (await refusal(store, other, tmp_path, name="other"))[0] == "BUILD_MISMATCH"


async def test_known_sites_of_another_build_are_refused(
    store: FileStore, fasta: Path, genome: dict[str, str], tmp_path: Path
) -> None:
    right = genome["chr1"][9]
    wrong = "A" if right != "A" else "C"
    good = ("chr1", 10, right, "N")
    cases = [
        (
            write_vcf(tmp_path / "a.vcf", [good, ("chr1", 11, genome["chr1"][10], "N"), ("chr1", 12, wrong * 3, "N")]),
            "",
        ),
        (write_vcf(tmp_path / "b.vcf", [good, ("chr1", 10, wrong, "N")]), "REF_ALLELE b.vcf, record 2 (chr1:10)"),
        (write_vcf(tmp_path / "c.vcf", [("1", 10, right, "N")]), "BUILD_MISMATCH c.vcf, record 1 (1:10)"),
        (write_vcf(tmp_path / "d.vcf", [("chr2", 500, "AA", "A")]), "BUILD_MISMATCH d.vcf, record 1 (chr2:500)"),
        (
            write_vcf(tmp_path / "e.vcf", [good], contigs="##contig=<ID=chr1,length=12345>"),
            "BUILD_MISMATCH e.vcf, contig chr1 of the header",
        ),
        (
            write_vcf(tmp_path / "f.vcf", [("chr1", 20, genome["chr1"][19], "N"), good]),
            "NOT_SORTED f.vcf, record 2 (chr1:10)",
        ),
    ]
    for vcf, expected in cases[1:]:
        assert " ".join(await refusal(store, fasta, tmp_path, known_sites=[vcf])) == expected
    assert (await refusal(store, fasta, tmp_path, known_sites=[cases[0][0]]))[0] == "REF_ALLELE"
    text = tmp_path / "g.vcf"
    text.write_text("no VCF\n")
    assert await refusal(store, fasta, tmp_path, known_sites=[text]) == ("VCF_HEADER", "g.vcf")
    assert await list_references(store) == ()


async def test_gene_models_of_another_build_are_refused(store: FileStore, fasta: Path, tmp_path: Path) -> None:
    for feature, code in (
        (gene("1", 1, 5), "BUILD_MISMATCH"),
        (gene("chr2", 1, 501), "INTERVAL_BOUNDS"),
        (gene("chr2", 0, 5), "INTERVAL_BOUNDS"),
        (gene("chr2", 9, 5), "INTERVAL_BOUNDS"),
        ("chr2 x gene 1 5", "GFF_FORMAT"),
    ):
        gff = write_gff(tmp_path / "m.gff3", gene("chr1", 1, 5), feature)
        assert await refusal(store, fasta, tmp_path, gff=gff) == (code, "m.gff3, line 3")
    assert (await refusal(store, fasta, tmp_path, gff=write_gff(tmp_path / "m.gff3")))[0] == "EMPTY_INPUT"
