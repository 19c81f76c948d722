"""What is written: formats that agree, indexes that find, subsets that count as bcftools does; files whole or none."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pysam
import pysam.bcftools
import pytest

from chassis.errors import Rejected
from services.jointcall.columnar.library import exporting, operations, sinks
from services.jointcall.columnar.library.exporting import Wanted
from services.jointcall.columnar.library.fasta import opened_fasta
from services.jointcall.columnar.library.opening import current
from services.jointcall.columnar.library.operations import Workplace
from services.jointcall.columnar.library.shards import Region
from services.jointcall.columnar.library.subset import Subset
from services.jointcall.columnar.store.generation import Generation
from tests.services.jointcall.columnar.library.algebra import People, people, records, workplace


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> People:
    return people(41, tmp_path_factory.mktemp("people"), number=7, sites=80)


@pytest.fixture(scope="module")
def at(cohort: People, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path_factory.mktemp("exporting") / "store") as opened:
        paths = [str(path) for path in cohort.own.values()]
        operations.import_first(opened, paths, reference=cohort.fasta, shard_bp=500)
        yield opened


@pytest.fixture
def generation(at: Workplace) -> Generation:
    return current(at.depot)


def text_of(path: Path, *options: str) -> list[str]:
    said = str(pysam.bcftools.view("--no-version", *options, str(path)))
    return [line for line in said.splitlines() if not line.startswith("##")]


def test_every_format_says_the_same(at: Workplace, generation: Generation, tmp_path: Path) -> None:
    for ending in (".vcf.gz", ".bcf", ".vcf"):
        done = exporting.export(at, generation, Wanted(), out=tmp_path / f"x{ending}")
        assert done.records == len(records(at)) and done.samples == 7
    packed, bcf, plain = (text_of(tmp_path / f"x{ending}") for ending in (".vcf.gz", ".bcf", ".vcf"))
    assert packed == bcf == plain and len(plain) == done.records + 1
    assert (tmp_path / "x.vcf").read_bytes().splitlines()[-done.records :] == records(at)
    assert {path.name for path in tmp_path.iterdir()} == {*("x.vcf.gz", "x.vcf.gz.tbi", "x.bcf", "x.bcf.csi", "x.vcf")}
    for ending in (".vcf.gz", ".bcf"):
        found = text_of(tmp_path / f"x{ending}", "-H", "-t", "chrX:300-600", "-r", "chrX:300-600")
        assert [line.split("\t")[1] for line in found] == [
            line.split(b"\t")[1].decode() for line in records(at, Region("chrX", 300, 600))
        ]


def test_a_folder_has_a_file_for_each_shard(at: Workplace, generation: Generation, tmp_path: Path) -> None:
    done = exporting.export_shards(at, generation, Wanted(), folder=tmp_path / "parts")
    assert len(done.files) == len(generation.shards) > 2
    said = [line for path in done.files for line in text_of(path, "-H")]
    exporting.export(at, generation, Wanted(), out=tmp_path / "x.vcf.gz")
    assert said == text_of(tmp_path / "x.vcf.gz", "-H")


def test_sites_only_are_the_first_columns(at: Workplace, generation: Generation, tmp_path: Path) -> None:
    exporting.export(at, generation, Wanted(sites_only=True), out=tmp_path / "s.vcf")
    lines = (tmp_path / "s.vcf").read_bytes().splitlines()
    assert [line for line in lines if not line.startswith(b"#")] == [
        b"\t".join(line.split(b"\t")[:8]) for line in records(at)
    ]
    assert b"\n".join(lines).count(b"##FORMAT") == 0


def test_a_subset_counts_as_bcftools_does(at: Workplace, generation: Generation, tmp_path: Path) -> None:
    some = [generation.samples[4], generation.samples[1], generation.samples[2]]
    subset = Subset(cohort=generation.samples, samples=some)
    exporting.export(at, generation, Wanted(subset=subset), out=tmp_path / "some.vcf.gz")
    exporting.export(at, generation, Wanted(), out=tmp_path / "all.vcf.gz")
    ordered = ",".join(sorted(some))
    theirs = text_of(tmp_path / "all.vcf.gz", "-s", ordered)
    mine = text_of(tmp_path / "some.vcf.gz")
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        ours, bcftools = one.split("\t"), other.split("\t")
        assert ours[:7] == bcftools[:7] and ours[8:] == bcftools[8:]
        if not one.startswith("#"):
            counts, meant = (dict(f.split("=") for f in row[7].split(";")) for row in (ours, bcftools))
            assert {key: counts.get(key) for key in ("AC", "AN", "DP", "MQ")} == {
                key: meant.get(key) for key in ("AC", "AN", "DP", "MQ")
            }
    carried = Subset(cohort=generation.samples, samples=some, carried=True)
    kept = list(exporting.records(at, generation, Wanted(subset=carried)))
    assert len(kept) == len(text_of(tmp_path / "all.vcf.gz", "-H", "-s", ordered, "-c", "1")) < len(mine) - 1
    whole = Subset(cohort=generation.samples, samples=generation.samples)
    assert [line for _, line in exporting.records(at, generation, Wanted(subset=whole))] == records(at)
    untouched = Subset(cohort=generation.samples, samples=some, recount=False)
    assert [line.split(b"\t")[:8] for _, line in exporting.records(at, generation, Wanted(subset=untouched))] == [
        line.split(b"\t")[:8] for line in records(at)
    ]
    with pytest.raises(Rejected, match="SAMPLE_UNKNOWN"):
        Subset(cohort=generation.samples, samples=["nobody"])


def test_all_sites_are_every_base(at: Workplace, cohort: People, generation: Generation) -> None:
    with opened_fasta(cohort.fasta) as fasta:
        fasta.require(generation.reference)
        region = Region("chrX", 400, 620)
        said = [line for _, line in exporting.records(at, generation, Wanted(regions=[region], bases=fasta.bases))]
    assert {int(line.split(b"\t")[1]) for line in said} <= set(range(400, 621)) and len(said) > 150
    variant = {line.split(b"\t")[1] for line in said if line.split(b"\t")[4] != b"."}
    assert {line.split(b"\t")[1] for line in records(at, region)} <= variant


def test_columns_hold_the_sites_and_say_all(at: Workplace, generation: Generation, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    done = exporting.export_columns(at, generation, Wanted(), folder=tmp_path / "columns")
    sites = pq.read_table(tmp_path / "columns" / "sites.parquet").to_pylist()
    assert [(site["position"], site["ref"], site["alts"]) for site in sites] == [
        (int(line.split("\t")[1]), line.split("\t")[3], line.split("\t")[4].split(","))
        for line in (record.decode() for record in records(at))
    ]
    assert done.sites == len(sites) and done.cells == len(sites) * 7 >= done.explicit > 0
    names = pq.read_table(tmp_path / "columns" / "samples.parquet").column("name").to_pylist()
    assert tuple(names) == generation.samples


def test_carriers_of_what_is_not_shown_are_told(at: Workplace, generation: Generation, tmp_path: Path) -> None:
    lost = tmp_path / "lost.tsv.gz"
    exporting.export(at, generation, Wanted(lost=lost), out=tmp_path / "x.vcf")
    rows = [line.split("\t") for line in pysam.BGZFile(str(lost), "r", None).read().decode().splitlines()]
    assert rows[0][:6] == ["#CHROM", "POS", "REF", "ALT", "WHY", "SAMPLE"] and len(rows) > 2
    one = rows[1][5]
    subset = Subset(cohort=generation.samples, samples=[one])
    exporting.export_shards(at, generation, Wanted(lost=lost, subset=subset), folder=tmp_path / "parts")
    own = [line.split("\t") for line in pysam.BGZFile(str(lost), "r", None).read().decode().splitlines()]
    assert own[1:] == [row for row in rows[1:] if row[5] == one]


def test_digests_tell_one_site_and_all(at: Workplace, generation: Generation, tmp_path: Path) -> None:
    done = exporting.digest(at, generation, Wanted(), out=tmp_path / "sites.tsv")
    rows = [line.split("\t") for line in (tmp_path / "sites.tsv").read_text().splitlines()]
    assert rows[0] == ["#CHROM", "POS", "REF", "ALT", "SHA256"] and len(rows) == done.records + 1
    assert [row[:4] for row in rows[1:]] == [
        [*line.decode().split("\t")[:2], *line.decode().split("\t")[3:5]] for line in records(at)
    ]
    assert exporting.digest(at, generation, Wanted()) == done
    less = Subset(cohort=generation.samples, samples=generation.samples[1:], recount=False)
    assert exporting.digest(at, generation, Wanted(subset=less)).digest != done.digest


def test_long_contigs_have_a_csi(tmp_path: Path) -> None:
    contigs = [("long", 700_000_000)]
    out = tmp_path / "x.vcf.gz"
    with sinks.written_to(out, contigs=contigs) as sink:
        sink.write(b"##fileformat=VCFv4.2\n##contig=<ID=long,length=700000000>\n")
        sink.write(b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        sink.write(b"long\t600000000\t.\tA\tC\t50\t.\t.\n")
    assert {path.name for path in tmp_path.iterdir()} == {"x.vcf.gz", "x.vcf.gz.csi"}
    assert len(text_of(out, "-H", "-r", "long:599999999-600000001")) == 1


@pytest.mark.parametrize("ending", [".vcf.gz", ".bcf", ".vcf"])
def test_what_fails_leaves_the_former_file(ending: str, tmp_path: Path) -> None:
    out = tmp_path / f"x{ending}"
    out.write_bytes(b"former")
    with pytest.raises(OSError, match="No space"), sinks.written_to(out, contigs=[("c", 100)]) as sink:
        sink.write(b"##fileformat=VCFv4.2\n##contig=<ID=c,length=100>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == [out.name] and out.read_bytes() == b"former"


def test_a_bcf_that_htslib_refuses_is_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="BCF could not be written"),
        sinks.written_to(tmp_path / "x.bcf", contigs=[("c", 100)]) as sink,
    ):
        for _ in range(100_000):
            sink.write(b"this is no VCF\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "code"), [("x.txt", "FORMAT_MISMATCH"), ("no/x.vcf", "FILE_MISSING")])
def test_bad_names_are_refused(name: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=code), sinks.written_to(tmp_path / name, contigs=[]):
        pass
