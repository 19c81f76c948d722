"""Genotypes left in columns: what is written, and that with the blocks it is the dense VCF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from services.jointcall.columnar.genotype import call_tables, calls
from services.jointcall.columnar.genotype import records as vcf_records
from services.jointcall.columnar.genotype.calls import CALLS_FILE, SAMPLES_FILE, SITES_FILE, write_columns
from services.jointcall.columnar.genotype.expanded import records
from services.jointcall.columnar.genotype.stretch import Stretch
from tests.oracle.made import cohort
from tests.services.jointcall.columnar.genotype.batches import Made

FILES = (SITES_FILE, CALLS_FILE, SAMPLES_FILE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    return Made(cohort(4, folder, people=12, sites=60), folder)


def written(made: Made, folder: Path, *, all_sites: bool = False, stretch_bp: int = 0) -> calls.Written:
    return write_columns(
        made.called(dense=False, all_sites=all_sites, stretch_bp=stretch_bp),
        contigs=made.contigs,
        samples=made.names,
        folder=folder,
    )


@pytest.mark.parametrize("all_sites", [False, True])
def test_columns_and_blocks_are_the_vcf(made: Made, all_sites: bool, tmp_path: Path) -> None:
    counts = written(made, tmp_path, all_sites=all_sites)
    vcf = made.vcf(all_sites=all_sites)
    again = records(tmp_path, made.members, contig=made.cohort.contig, samples=len(made.names))
    for mine, theirs in zip(again, vcf, strict=True):
        assert mine == theirs
    assert counts.sites == len(vcf)
    assert 0 < counts.explicit < counts.dense == len(vcf) * len(made.names)
    assert counts.size == sum((tmp_path / name).stat().st_size for name in FILES)


def test_drawn_qd_is_the_vcfs(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (call_tables, vcf_records):
        monkeypatch.setattr(module, "HIGH_QD", 4.0)
    written(made, tmp_path)
    again = records(tmp_path, made.members, contig=made.cohort.contig, samples=len(made.names))
    assert list(again) == made.vcf()
    assert (pc.max(pq.read_table(tmp_path / SITES_FILE)["QD"])).as_py() > 20


def test_row_groups_and_bytes_do_not_depend_on_the_stretches(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "CALL_ROWS", 100)
    monkeypatch.setattr(calls, "SITE_ROWS", 16)
    written(made, tmp_path / "few", stretch_bp=1 << 15)
    counts = written(made, tmp_path / "many", stretch_bp=256)
    for name in FILES:
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    groups = pq.ParquetFile(tmp_path / "many" / CALLS_FILE).metadata
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups - 1)] == [100] * (
        counts.explicit // 100
    )
    vcf = made.vcf()
    assert list(records(tmp_path / "many", made.members, contig=made.cohort.contig, samples=len(made.names))) == vcf


def test_another_tool_reads_them(made: Made, tmp_path: Path) -> None:
    import duckdb

    written(made, tmp_path)
    sites = f"read_parquet('{tmp_path / SITES_FILE}', file_row_number = true)"
    query = f"""
        select s.position, n.name, c.allele_1, c.allele_2
        from '{tmp_path / CALLS_FILE}' c join {sites} s on c.site = s.file_row_number
        join '{tmp_path / SAMPLES_FILE}' n using (sample)
    """
    found = {(position, name): (one, two) for position, name, one, two in duckdb.sql(query).fetchall()}
    assert pq.read_schema(tmp_path / CALLS_FILE).metadata[b"schema_version"] == calls.SCHEMA_VERSION.encode()
    seen = 0
    for line in made.vcf():
        columns = line.decode().split("\t")
        for name, cell in zip(made.names, columns[9:], strict=True):
            gt = cell.split(":")[0].replace("|", "/").split("/")
            if any(one not in "0." for one in gt):
                alleles = tuple(None if one == "." else int(one) for one in gt)
                assert found[int(columns[1]), name] == (*alleles, None)[:2]
                seen += 1
    assert seen > 50


def test_nothing_is_there_after_a_failure(made: Made, tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, Stretch]]:
        yield from made.called(dense=False)
        raise OSError("the store went away")

    with pytest.raises(OSError, match="went away"):
        write_columns(broken(), contigs=made.contigs, samples=made.names, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_region_without_sites_is_three_tables_without_rows(made: Made, tmp_path: Path) -> None:
    counts = write_columns([], contigs=made.contigs, samples=made.names, folder=tmp_path)
    assert (counts.sites, counts.explicit) == (0, 0)
    assert [pq.read_table(tmp_path / name).num_rows for name in FILES] == [0, 0, len(made.names)]
    assert list(records(tmp_path, made.members, contig=made.cohort.contig, samples=len(made.names))) == []
