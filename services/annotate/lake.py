"""The panel as Parquet: `variants/contig=<contig>/part-0.parquet` and `genotypes/contig=<contig>/part-0.parquet`.

Rows are in the order of the VCF, so that row groups are ranges of positions and a query for a region reads few of
them. What lies in memory is one row group of each table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chassis.errors import reject
from chassis.tools import vcf
from services.annotate import consequences, records
from services.annotate.gather import ContigVcf, file_stem
from services.annotate.lake_schema import GENOTYPES, INFO_NUMBERS, VARIANTS
from services.annotate.records import Genotype, Record

ROW_GROUP_ROWS = 131_072
"""Enough for zstd and for statistics to be worth it; about 100 MB while a row group is gathered."""
VERSION = "1"
"""Of the tables: columns are only ever added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeFile:
    """`name` is the file's place below the lake's folder."""

    table: str
    contig: str
    path: Path
    name: str
    rows: int


def write_lake(
    parts: Sequence[ContigVcf], out_dir: Path, *, reference_genotypes: bool = True, row_group_rows: int = ROW_GROUP_ROWS
) -> tuple[LakeFile, ...]:
    """Write the lake of a gathered panel to `out_dir`.

    With `reference_genotypes=False` no row is written for a genotype without any ALT of its record (0/0): in a large
    cohort nearly all are such. A genotype that has no row is then homozygous reference, never missing: missing ones
    keep their rows. The files' metadata says which of the two it is. Raises Rejected (VCF_HEADER).
    """
    return tuple(
        written
        for part in parts
        for written in _write_contig(part, out_dir, everyone=reference_genotypes, rows=row_group_rows)
    )


def _write_contig(part: ContigVcf, out_dir: Path, *, everyone: bool, rows: int) -> tuple[LakeFile, LakeFile]:
    samples = vcf.samples_of(vcf.header_of(part.vcf))
    metadata = {"cohortstream.lake": VERSION, "cohortstream.reference_genotypes": "kept" if everyone else "left out"}
    with ExitStack() as stack:
        variants, genotypes = (
            stack.enter_context(_table(name, schema, part.contig, out_dir, metadata, rows))
            for name, schema in (("variants", VARIANTS), ("genotypes", GENOTYPES))
        )
        for number, record in enumerate(records.read(part.vcf), start=1):
            try:
                called = tuple(_genotypes(record))
                _add_variants(variants, record, called)
                _add_genotypes(genotypes, record, called, samples, everyone=everyone)
            except (ValueError, IndexError):
                raise reject(
                    code="VCF_HEADER",
                    message="a number, a genotype or a list of the record cannot be read",
                    where=f"{part.vcf.name}, record {number}",
                    rule="INFO and FORMAT fields hold what the VCF specification says",
                    fix="write the file again",
                ) from None
    return variants.file(), genotypes.file()


@dataclass(slots=True)
class _Table:
    """Gathers rows, column by column, and writes them out in row groups."""

    name: str
    contig: str
    path: Path
    writer: pq.ParquetWriter
    schema: pa.Schema
    limit: int
    columns: dict[str, list[Any]] = field(init=False)
    written: int = 0

    def __post_init__(self) -> None:
        self.columns = {name: [] for name in self.schema.names}

    def add(self, row: Mapping[str, Any]) -> None:
        for name, column in self.columns.items():
            column.append(row.get(name))
        if len(self.columns["pos"]) >= self.limit:
            self.flush()

    def flush(self) -> None:
        arrays = [pa.array(self.columns[column.name], type=column.type) for column in self.schema]
        batch = pa.Table.from_arrays(arrays, schema=self.schema)
        if batch.num_rows:
            self.writer.write_table(batch, row_group_size=self.limit)
        self.written += batch.num_rows
        for column in self.columns.values():
            column.clear()

    def file(self) -> LakeFile:
        name = "/".join(self.path.parts[-3:])
        return LakeFile(table=self.name, contig=self.contig, path=self.path, name=name, rows=self.written)


@contextmanager
def _table(
    name: str, schema: pa.Schema, contig: str, out_dir: Path, metadata: Mapping[str, str], rows: int
) -> Iterator[_Table]:
    path = out_dir / name / f"contig={file_stem(contig)}" / "part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = schema.with_metadata({**(schema.metadata or {}), **metadata})
    order = pq.SortingColumn.from_ordering(schema, [("pos", "ascending")])
    with pq.ParquetWriter(path, schema, compression="zstd", sorting_columns=order) as writer:
        table = _Table(name=name, contig=contig, path=path, writer=writer, schema=schema, limit=rows)
        yield table
        table.flush()


def _genotypes(record: Record) -> Iterator[tuple[str, Genotype, dict[str, str]]]:
    """(GT as text, GT, all FORMAT fields) of each sample. Fields at the end may be left out (VCF 4.3, 1.6.2)."""
    for column in record.columns:
        fields = dict(zip(record.format, column.split(":"), strict=False))
        text = fields.get("GT", records.MISSING)
        yield text, records.genotype(text), fields


def _add_variants(table: _Table, record: Record, called: Sequence[tuple[str, Genotype, dict[str, str]]]) -> None:
    alleles = [allele for _, genotype, _ in called for allele in genotype.alleles if allele is not None]
    told = consequences.of(record.info)
    numbers = {column: _number(record.info.get(key), kind) for key, column, kind, _ in INFO_NUMBERS}
    for index, alt in enumerate(record.alts, start=1):
        worst = consequences.worst(told, index)
        count = alleles.count(index)
        table.add(
            {
                **_site(record, index),
                "id": record.id,
                "qual": record.quality,
                "filter": record.filters,
                "type": records.allele_type(record.ref, alt).value,
                "ac": count if called else None,
                "an": len(alleles) if called else None,
                "af": count / len(alleles) if alleles else None,
                **(_consequence(worst) if worst is not None else {}),
                "consequences": [_consequence(one) for one in told if one.allele == index],
                **numbers,
            }
        )


def _add_genotypes(
    table: _Table,
    record: Record,
    called: Sequence[tuple[str, Genotype, dict[str, str]]],
    samples: Sequence[str],
    *,
    everyone: bool,
) -> None:
    for sample, (text, genotype, fields) in zip(samples, called, strict=True):
        if not everyone and all(allele == 0 for allele in genotype.alleles):
            continue
        depths = [_integer(depth) for depth in fields.get("AD", records.MISSING).split(",")]
        shared = {
            "sample": sample,
            "gt": text,
            "phased": genotype.phased,
            "dp": _integer(fields.get("DP")),
            "gq": _integer(fields.get("GQ")),
            "ad_ref": depths[0],
        }
        for index in range(1, len(record.alts) + 1):
            # AD may be one dot for the whole list
            depth = depths[index] if len(depths) > 1 else None
            table.add({**_site(record, index), **shared, "dosage": genotype.dosage(index), "ad_alt": depth})


def _site(record: Record, index: int) -> dict[str, Any]:
    return {"pos": record.position, "ref": record.ref, "alt": record.alts[index - 1], "alt_index": index}


def _consequence(one: consequences.Consequence) -> dict[str, str | None]:
    return {
        "consequence": one.consequence,
        "gene": one.gene,
        "transcript": one.transcript,
        "biotype": one.biotype,
        "amino_acid_change": one.amino_acid_change,
        "dna_change": one.dna_change,
    }


def _number(text: str | None, kind: pa.DataType) -> int | float | None:
    if text is None or text == records.MISSING:
        return None
    return int(text) if pa.types.is_integer(kind) else float(text)


def _integer(text: str | None) -> int | None:
    return None if text is None or text == records.MISSING else int(text)
