"""The Parquet lake holds what the VCFs hold, and DuckDB reads it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pysam
import pytest

from chassis.errors import Rejected
from chassis.reference.local import LocalReference
from services.annotate.engines.csq import CsqEngine
from services.annotate.gather import ContigVcf, gather
from services.annotate.lake import LakeFile, write_lake
from services.annotate.lake_schema import GENOTYPES, VARIANTS

Line = Callable[..., str]
WriteVcf = Callable[..., Path]
GENOTYPE_TEXTS = ["0/0", "0/0", "0/1", "1/1", "0|1", "./.", "1/2", "0/2", "2/2", "./1", "0/0:8:8:20", "1", "."]


@pytest.fixture
def panel(
    write_vcf: WriteVcf, record: Line, reference: LocalReference, gene: Any, tmp_path: Path
) -> tuple[ContigVcf, ...]:
    """Both contigs, annotated: SNPs, indels, several ALTs, missing fields, filtered records."""
    rng = random.Random(5)
    parts: list[Path] = []
    for number, (contig, low, high) in enumerate((("chr1", 900, 1250), ("chr1", 1300, 1700), ("chr2", 10, 300))):
        bases = pysam.FastaFile(str(reference.fasta)).fetch(contig)
        lines = []
        for position in sorted(rng.sample(range(low, high), 60)):
            ref = bases[position - 1]
            others = [base for base in "ACGT" if base != ref]
            alts = rng.choice([others[0], f"{others[0]},{others[1]}", f"{ref}AC,{others[2]}", f"{others[1]},*"])
            most = alts.count(",") + 1
            texts = [gt for gt in GENOTYPE_TEXTS if most > 1 or "2" not in gt.partition(":")[0]]
            called = [_full(gt, most, rng) for gt in rng.choices(texts, k=3)]
            filters = rng.choice(["PASS", "PASS", "QD2", "."])
            lines.append(record(contig, position, ref, alts, *called, info=f"DP={position};QD=2.5", filters=filters))
        source = write_vcf(f"in-{number}.vcf.gz", lines)
        out = tmp_path / f"out-{number}.vcf.gz"
        CsqEngine().annotate(vcf=source, reference=reference, out=out, scratch=tmp_path, log=tmp_path / "log")
        parts.append(out)
    return gather(parts, tmp_path / "panel")


def _full(gt: str, alts: int, rng: random.Random) -> str:
    if ":" in gt:
        return gt.split(":")[0] + ":.:8:20"
    if gt == ".":
        return "."  # fields at the end left out
    depths = ",".join(str(rng.randrange(30)) for _ in range(alts + 1))
    return f"{gt}:{depths}:{rng.randrange(60)}:{rng.choice(['.', '99'])}"


@pytest.fixture
def lake(panel: tuple[ContigVcf, ...], tmp_path: Path) -> tuple[LakeFile, ...]:
    # small row groups, so that there are several
    return write_lake(panel, tmp_path / "lake", row_group_rows=50)


@pytest.fixture
def query(lake: tuple[LakeFile, ...], tmp_path: Path) -> Callable[[str], list[Any]]:
    connection = duckdb.connect()
    for table in ("variants", "genotypes"):
        connection.execute(
            f"create view {table} as select * from "
            f"read_parquet('{tmp_path}/lake/{table}/*/*.parquet', hive_partitioning = true)"
        )

    def run(sql: str) -> list[Any]:
        return connection.execute(sql).fetchall()

    return run


def truth(panel: Sequence[ContigVcf]) -> list[Any]:
    """(contig, pysam record) of the whole panel."""
    found = []
    for part in panel:
        with pysam.VariantFile(str(part.vcf)) as opened:
            for record in opened:
                samples = {
                    name: (call.allele_indices, call.phased, call.get("DP"), call.get("GQ"), call.get("AD"))
                    for name, call in record.samples.items()
                }
                told = dict(record.info)
                found.append((part.contig, record.pos, record.ref, record.alts, list(record.filter), told, samples))
    return found


def test_every_alt_is_a_row(query: Callable[[str], list[Any]], panel: tuple[ContigVcf, ...]) -> None:
    rows = query("select contig, pos, ref, alt, alt_index, filter, depth, qual_by_depth from variants")
    expected = [
        (contig, pos, ref, alt, index, ";".join(filters) or None, told["DP"], 2.5)
        for contig, pos, ref, alts, filters, told, _ in truth(panel)
        for index, alt in enumerate(alts, start=1)
    ]
    assert sorted(rows) == sorted(expected)
    assert len(rows) > 180


def test_allele_counts_are_those_of_the_genotypes(
    query: Callable[[str], list[Any]], panel: tuple[ContigVcf, ...]
) -> None:
    rows = query("select contig, pos, alt_index, ac, an, af from variants order by all")
    expected = []
    for contig, pos, _, alts, _, _, samples in truth(panel):
        alleles = [a for call in samples.values() for a in call[0] or () if a is not None]
        for index in range(1, len(alts) + 1):
            ac, an = alleles.count(index), len(alleles)
            expected.append((contig, pos, index, ac, an, pytest.approx(ac / an) if an else None))
    assert rows == sorted(expected, key=lambda row: row[:3])


def test_every_genotype_is_a_row_for_each_alt(query: Callable[[str], list[Any]], panel: tuple[ContigVcf, ...]) -> None:
    rows = query("select contig, pos, alt_index, sample, dosage, phased, dp, gq, ad_ref, ad_alt from genotypes")
    expected = []
    for contig, pos, _, alts, _, _, samples in truth(panel):
        for name, (alleles, phased, dp, gq, ad) in samples.items():
            depths = ad if ad and len(ad) > 1 else (None,) * (len(alts) + 1)
            for index in range(1, len(alts) + 1):
                known = bool(alleles) and None not in alleles
                dosage = alleles.count(index) if known else None
                # htslib calls a haploid genotype phased, there being nothing to phase
                phase = phased and len(alleles or ()) > 1
                expected.append((contig, pos, index, name, dosage, phase, dp, gq, depths[0], depths[index]))
    assert sorted(rows, key=repr) == sorted(expected, key=repr)


def test_questions_that_analysts_ask(query: Callable[[str], list[Any]], panel: tuple[ContigVcf, ...]) -> None:
    """Carriers of damaging variants of a gene, by a join over both tables."""
    carriers = query(
        """
        select distinct g.sample, v.pos, v.amino_acid_change
        from variants v join genotypes g using (contig, pos, ref, alt)
        where v.gene = 'GENE1' and v.consequence = 'missense' and v.filter = 'PASS' and g.dosage > 0
        """
    )
    expected = {
        (name, pos)
        for _, pos, _, alts, filters, told, samples in truth(panel)
        if filters == ["PASS"]
        for index in range(1, len(alts) + 1)
        if index in worst_is_missense(told)
        for name, call in samples.items()
        if call[0] and None not in call[0] and index in call[0]
    }
    assert {(name, pos) for name, pos, _ in carriers} == expected
    assert expected


def worst_is_missense(told: dict[str, Any]) -> set[int]:
    pairs = zip(told.get("BCSQ_ALLELE", ()), told.get("BCSQ", ()), strict=True)
    return {allele for allele, entry in pairs if entry.startswith("missense|")}


def test_all_consequences_of_an_alt_are_kept(query: Callable[[str], list[Any]], panel: tuple[ContigVcf, ...]) -> None:
    ((rows, entries),) = query("select count(*), sum(len(consequences)) from variants where consequence is not null")
    told = [one for *_, info, _ in truth(panel) for one in info.get("BCSQ", ())]
    assert entries == len(told) >= rows > 50


def test_row_groups_are_ranges_of_positions(lake: tuple[LakeFile, ...]) -> None:
    for file in lake:
        opened = pq.ParquetFile(file.path)
        groups = [opened.metadata.row_group(n) for n in range(opened.num_row_groups)]
        assert len(groups) > 1
        assert all(group.num_rows <= 50 for group in groups)
        assert all(group.column(0).compression == "ZSTD" for group in groups)
        ranges = [(group.column(0).statistics.min, group.column(0).statistics.max) for group in groups]
        assert ranges == sorted(ranges)
        assert all(group.sorting_columns for group in groups)
        assert opened.metadata.num_rows == file.rows


def test_the_files_have_the_documented_columns(lake: tuple[LakeFile, ...], tmp_path: Path) -> None:
    for file in lake:
        expected = VARIANTS if file.table == "variants" else GENOTYPES
        assert file.name == f"{file.table}/contig={file.contig}/part-0.parquet"
        assert tmp_path / "lake" / file.name == file.path
        schema = pq.read_schema(file.path)
        assert schema.remove_metadata().equals(expected.remove_metadata())
        assert all(column.metadata[b"description"] for column in schema)
        assert schema.metadata[b"cohortstream.reference_genotypes"] == b"kept"


def test_arrow_reads_it_as_one_dataset(lake: tuple[LakeFile, ...], tmp_path: Path) -> None:
    table = ds.dataset(tmp_path / "lake" / "variants", partitioning="hive").to_table(
        filter=ds.field("contig") == "chr2"
    )
    assert table.num_rows == sum(file.rows for file in lake if (file.table, file.contig) == ("variants", "chr2"))


def test_equal_panels_give_equal_bytes(panel: tuple[ContigVcf, ...], tmp_path: Path) -> None:
    one, other = write_lake(panel, tmp_path / "a"), write_lake(panel, tmp_path / "b")
    assert [file.path.read_bytes() for file in one] == [file.path.read_bytes() for file in other]


def test_reference_genotypes_can_be_left_out(
    panel: tuple[ContigVcf, ...], query: Callable[[str], list[Any]], tmp_path: Path
) -> None:
    small = write_lake(panel, tmp_path / "small", reference_genotypes=False)
    path = f"read_parquet('{tmp_path}/small/genotypes/*/*.parquet')"
    ((rows, reference),) = duckdb.sql(f"select count(*), count(*) filter (gt = '0/0') from {path}").fetchall()
    assert reference == 0
    assert query("select count(*) from genotypes where gt <> '0/0'") == [(rows,)]
    # those that are missing keep their rows
    assert duckdb.sql(f"select count(*) from {path} where dosage is null").fetchall()[0][0] > 0
    metadata = pq.read_schema(next(file.path for file in small if file.table == "genotypes")).metadata
    assert metadata[b"cohortstream.reference_genotypes"] == b"left out"


def test_an_empty_contig_has_tables_too(write_vcf: WriteVcf, tmp_path: Path) -> None:
    empty = gather([write_vcf("in.vcf.gz", [])], tmp_path / "panel", contigs=("chr2",))
    files = write_lake(empty, tmp_path / "lake")
    assert [(file.table, file.rows) for file in files] == [("variants", 0), ("genotypes", 0)]
    assert duckdb.sql(
        f"select count(*) from read_parquet('{tmp_path}/lake/*/*/*.parquet', union_by_name = true)"
    ).fetchall() == [(0,)]


def test_contigs_with_odd_names_stay_apart(write_vcf: WriteVcf, record: Line, tmp_path: Path) -> None:
    names = ("HLA:A*01/1", "HLA:A*01_1", "1")
    meta = ("##fileformat=VCFv4.2", *(f"##contig=<ID={name},length=3000>" for name in names))
    parts = [write_vcf(f"{n}.vcf.gz", [record(name, 5, "A", "C")], meta=meta) for n, name in enumerate(names)]
    write_lake(gather(parts, tmp_path / "panel"), tmp_path / "lake")
    read = f"read_parquet('{tmp_path}/lake/variants/*/*.parquet', hive_types = {{'contig': varchar}})"
    assert {row[0] for row in duckdb.sql(f"select contig from {read}").fetchall()} == set(names)


@pytest.mark.parametrize("bad", ["a/b:1,2,3:3:4", "0/1:1,x,3:3:4", "0/1:1,2:3:4", "0/1:1,2,3:many:4"])
def test_what_cannot_be_read_is_refused_by_record(write_vcf: WriteVcf, record: Line, tmp_path: Path, bad: str) -> None:
    lines = [record("chr1", 5, "A", "C"), record("chr1", 6, "A", "C,G", bad, "0/0", "0/0")]
    part = gather([write_vcf("in.vcf.gz", lines)], tmp_path / "panel")
    with pytest.raises(Rejected, match="record 2") as caught:
        write_lake(part, tmp_path / "lake")
    assert caught.value.rejection.code == "VCF_HEADER"
