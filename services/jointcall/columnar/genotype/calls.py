"""A cohort's genotypes left in columns: what samples have of their own is written, what a reference block says is not.

A folder of three Parquet files that pyarrow, DuckDB, Spark or pandas read as they are. It is sparse, as Hail's variant
dataset is: of a written site there is a row for each sample with a record of its own there (or a block that is not
plainly 0/0, and had to be looked at alone). A sample without a row is what its block in the store says, 0/0 nearly
always; `expanded.records` puts both together, and gives the dense VCF to the byte.

`samples.parquet`: `sample` int32, `name` string; in the order of the VCF's columns.

`sites.parquet`: a row for each written site, in order; its row number is `site` in the calls.

| column | type | what |
|---|---|---|
| contig, position | string, int32 | 1-based |
| kind | uint8 | 1: has ALTs; with all sites also 2: no sample has one, 3: none was kept or called |
| ref, alts | string, list of string | as in the VCF |
| qual | double, or null | infinite where the model is that sure that there is no ALT |
| AC, MLEAC | list of int32 | by ALT, as AF and MLEAF |
| AF, MLEAF | list of double | not rounded, like all that follows; NaN where nothing is known |
| AN, DP | int32, int64 | |
| BaseQRankSum, ClippingRankSum, MQRankSum, ReadPosRankSum, MQ0 | float, or null | |
| ExcessHet, FS, InbreedingCoeff, MQ, SOR | double, or null | |
| median_ExcessHet | float, or null | of the samples' own INFO: in the VCF where ExcessHet is null |
| QD | double, or null | the value of the VCF: drawn where the ratio is 35 or more |
| qd_depth | int64 | reads that QD divides by |
| block_alleles | int32, or null | alleles called 0 in samples without a row; the rest of AN is in the calls |
| near_stop | bool | the model's last change was within 1e-9 of its stopping rule |

`calls.parquet`: by site, then sample.

| column | type | what |
|---|---|---|
| site, position, sample | uint32, int32, int32 | row numbers in the other two files; the site's position |
| ploidy | uint8 | 1 or 2 |
| allele_1, allele_2 | int8, or null | 0 is REF, k the site's ALT k; null: no call, and allele_2 of a haploid call |
| phased | bool | GT is written with a bar |
| gq, dp, ps | int32, or null | gq is RGQ at sites of kind 2 and 3 |
| ad, pl | list of int32, or null | of the site's REF and ALTs; genotypes in VCF order |
| pgt, pid | string, or null | |
| flags | uint8 | bits below |

| flag | what |
|---|---|
| 1 | no call |
| 2 | no call, and no field either |
| 4 | its own record is called with an ALT that the site does not keep (see sidecar) |
| 8 | its own record's bar is not taken over |
| 16 | from a reference block |
| 32 | from a record that starts upstream |

The Parquet metadata has `schema_version` (of these tables; another major part means that old readers are wrong) and
`contigs`, JSON of names and lengths. Row groups have fixed numbers of rows, so that the files are the same bytes
however the region was cut into stretches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.jointcall.columnar.genotype.call_tables import CALLS, SITES, calls_of, sites_of
from services.jointcall.columnar.genotype.stretch import Stretch

SCHEMA_VERSION = "1.0"
SITES_FILE, CALLS_FILE, SAMPLES_FILE = "sites.parquet", "calls.parquet", "samples.parquet"
SITE_ROWS = 1 << 16
CALL_ROWS = 1 << 19
"""Rows of a row group."""
_ENDING = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`dense` is how many cells the sites have in a dense VCF, `explicit` how many of them are rows."""

    sites: int
    explicit: int
    dense: int
    size: int


class _Table:
    """A Parquet file whose row groups have `group` rows whatever comes at a time."""

    def __init__(
        self, path: Path, schema: Any, *, group: int, dictionary: Sequence[str], ordered: Sequence[str]
    ) -> None:
        self._waiting: list[Any] = []
        self._rows = 0
        self._group = group
        self._schema = schema
        self._writer = pq.ParquetWriter(
            str(path),
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=list(dictionary),
            write_statistics=list(ordered),
        )

    def add(self, columns: Sequence[Any]) -> None:
        batch = pa.record_batch(list(columns), schema=self._schema)
        self._waiting.append(batch)
        self._rows += batch.num_rows
        while self._rows >= self._group:
            self._flush(self._group)

    def _flush(self, rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, schema=self._schema)
        self._writer.write_table(table.slice(0, rows), row_group_size=self._group)
        self._waiting = table.slice(rows).to_batches()
        self._rows -= rows

    def finish(self) -> None:
        if self._rows:
            self._flush(self._rows)
        self._writer.close()

    def close(self) -> None:
        self._writer.close()


class ColumnsWriter:
    """Writes the three files into `folder`, which is made where it is not there; they are there under their names when
    the `with` is left in peace, or not at all."""

    def __init__(self, *, contigs: Iterable[tuple[str, int]], samples: Sequence[str], folder: Path) -> None:
        self._folder, self._samples = folder, tuple(samples)
        self._sites = self._explicit = 0
        self._about = {"schema_version": SCHEMA_VERSION, "contigs": json.dumps([list(one) for one in contigs])}

    def __enter__(self) -> ColumnsWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._site_table = _Table(
            self._partial(SITES_FILE),
            SITES.with_metadata(self._about),
            group=SITE_ROWS,
            dictionary=("contig", "ref", "alts.list.element"),
            ordered=("contig", "position"),
        )
        self._call_table = _Table(
            self._partial(CALLS_FILE),
            CALLS.with_metadata(self._about),
            group=CALL_ROWS,
            dictionary=("pgt", "pid", "ps", "allele_1", "allele_2", "flags", "ploidy"),
            ordered=("site", "position"),
        )
        return self

    def add(self, contig: str, stretch: Stretch) -> None:
        """The next stretch, by contig and position."""
        written = stretch.written.astype(np.int64)
        if not len(written):
            return
        self._site_table.add(sites_of(stretch, written, contig=contig))
        calls = calls_of(stretch, written, first_site=self._sites)
        self._call_table.add(calls)
        self._sites += len(written)
        self._explicit += len(calls[0])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        names = (SITES_FILE, CALLS_FILE, SAMPLES_FILE)
        try:
            if error is not None:
                self._site_table.close()
                self._call_table.close()
                return
            self._site_table.finish()
            self._call_table.finish()
            place = pa.array(np.arange(len(self._samples), dtype=np.int32))
            table = pa.table({"sample": place, "name": pa.array(self._samples, pa.string())}, metadata=self._about)
            pq.write_table(table, str(self._partial(SAMPLES_FILE)))
            for name in names:
                self._partial(name).replace(self._folder / name)
        finally:
            for name in names:
                self._partial(name).unlink(missing_ok=True)

    def written(self) -> Written:
        """Of what was added; `size` of the files once they are there."""
        files = (self._folder / name for name in (SITES_FILE, CALLS_FILE, SAMPLES_FILE))
        return Written(
            sites=self._sites,
            explicit=self._explicit,
            dense=self._sites * len(self._samples),
            size=sum(path.stat().st_size for path in files if path.exists()),
        )

    def _partial(self, name: str) -> Path:
        return self._folder / (name + _ENDING)


def write_columns(
    stretches: Iterable[tuple[str, Stretch]],
    *,
    contigs: Iterable[tuple[str, int]],
    samples: Sequence[str],
    folder: Path,
) -> Written:
    """Write (contig, stretch) in order to the three files. Stretches need not be `want_dense`. Raises OSError, and
    then no file is left."""
    writer = ColumnsWriter(contigs=contigs, samples=samples, folder=folder)
    with writer:
        for contig, stretch in stretches:
            writer.add(contig, stretch)
    return writer.written()
