"""What lies in a batch's two files, and how each column is written so that it is small.

A batch holds some samples over one shard (a stretch of a contig), cut into windows. `blocks.arrow` and `variants.arrow`
are Arrow IPC files with one row per window, whose columns are lists; Arrow itself compresses their buffers with zstd.
The schema's metadata say `schema_version`, `contig`, `first`, `last`, `window_bp`, `windows_per_record_batch` (the last
record batch may have fewer) and `samples` (JSON, in the order of the rows).

Every column but `first`, `last` and `strings` is a list of bytes: the values' lowest bytes, one after the other, then
their second bytes, and so on up to the highest that is not zero everywhere. So n values in k x n bytes are

    value[i] = sum(bytes[p * n + i] << (8 * p) for p in range(k))

and an empty list is n zeros. `zigzag` maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...; `+1` makes an absent value 0.

blocks.arrow, n = rows of the window, sample by sample (tables.Blocks says what they mean):

| column | values | stored as |
|---|---|---|
| rows | samples | rows of each sample |
| slope | samples | the multiple of min_dp that pl2 is compared with |
| gap, pl0 | n | itself |
| length | n | minus 1 |
| form | n | exclusive or with the usual form, 120 |
| min_dp | n | zigzag of the difference to the sample's row before (the first: to 0) |
| dp | n | zigzag(dp - min_dp) |
| pl1 | n | zigzag(pl1 - 3 x min_dp) |
| pl2 | n | z = zigzag(pl2 - slope x min_dp), likewise l of 15 x pl1: 0 where z = l, z + 1 where z < l, else z |
| gq | n | gq - min(99, second smallest PL - smallest), modulo 256; haploid: of two PLs |

All of it modulo 65,536. In rows that are haploid or without PL, pl1 and pl2 are compared with 0 instead. 15 and 3:
HaplotypeCaller's indel model gives 0, 3n, 45n for n reads without an indel; its SNP model about 3 for a read, and the
read's base quality for pl2. Other callers' numbers cost bytes, never digits.

variants.arrow, n = explicit records (tables.Variants):

| column | values | stored as |
|---|---|---|
| rows | samples | rows of each sample |
| start | n | zigzag of the difference to the sample's row before (the first: to the window's first base) |
| end | n | zigzag(end - start) |
| alts, ads, pls | n | how many values of alt, ad, pl belong to the row |
| alt, ad, pl, ref, pgt, pid, id, gq, dp, min_dp, mq_depth | | +1 |
| flags, ploidy | n | itself |
| gt, sb | 2 n, 4 n | +1; all first values, then all second ones, ... |
| ps | n | 0 absent, else zigzag(ps - start) + 1 |
| info_dp | n | zigzag(info_dp - dp) |
| mq_sum | n | zigzag(mq_sum - 3600 x mq_depth); where mq_depth is absent zigzag(mq_sum + 1) |
| ranked | 7 n | float32 bits, exclusive or with those of NaN; all of the first field, then of the second, ... |
| strings | | what ref, alt, pgt, pid, id name by their position in it (0-based), as plain binary |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from chassis.errors import reject

SCHEMA_VERSION = 1
"""Raised when an older reader would read newer files wrongly."""

WIDEST_BP = 32 * 1024
"""Bases of a window at most: a block as long as the window has its length in 16 bits."""
NARROWEST_BP = 1024

FINEST = 0.107
"""Records of a sample per base, with one band for each GQ."""
ROWS_TOGETHER = 150_000

BLOCK_COLUMNS = ("rows", "slope", "gap", "length", "form", "gq", "min_dp", "dp", "pl0", "pl1", "pl2")
VARIANT_COLUMNS = (
    "rows", "start", "end", "ref", "alts", "alt", "flags", "ploidy", "gt", "gq", "dp", "min_dp", "ads", "ad", "pls",
    "pl", "sb", "pgt", "pid", "ps", "id", "info_dp", "mq_sum", "mq_depth", "ranked",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlace:
    """What a batch is of: `samples` in their order over bases `first` to `last` (1-based, inclusive) of `contig`, in
    windows that begin at multiples of `window_bp` (counted from base 1), the first and last cut to the shard."""

    contig: str
    first: int
    last: int
    window_bp: int
    samples: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ValueError("a shard has a first base of 1 or more, and a last one not before it")
        kib, rest = divmod(self.window_bp, NARROWEST_BP)
        if rest or kib & (kib - 1) or not NARROWEST_BP <= self.window_bp <= WIDEST_BP:
            raise ValueError(f"window_bp is 1024 times a power of two, at most {WIDEST_BP}")
        if len(set(self.samples)) != len(self.samples):
            raise reject(
                code="COHORT_DUPLICATE",
                message="a sample is named twice in a batch",
                where=f"{self.contig}:{self.first}-{self.last}",
                rule="a batch holds a sample once",
                fix="import each sample's gVCF once; replace it to bring a newer one",
            )

    def windows(self) -> list[tuple[int, int]]:
        """(first, last) base of each window, in order."""
        width = self.window_bp
        begins = range((self.first - 1) // width * width + 1, self.last + 1, width)
        return [(max(begin, self.first), min(begin + width - 1, self.last)) for begin in begins]


def window_bases(*, samples: int, records_per_base: float) -> int:
    """The width that a batch's windows best have: about 3 MB decoded (16 bytes a row), so that a reader of many batches
    stays small, but 100 records of a sample on average, so that a sample's columns still compress."""
    rows = max(records_per_base, 1e-6)
    wanted = max(3_000_000 / 16 / (samples * rows), 100 / rows)
    width = NARROWEST_BP
    while width * 2 <= min(wanted * 1.4, WIDEST_BP):
        width *= 2
    return width


def windows_together(place: BatchPlace) -> int:
    """Windows of one record batch: as many as make a few hundred kilobytes, which is where zstd's and Arrow's own costs
    no longer show. One window of many samples is as much; of a single sample it takes tens."""
    return max(1, round(ROWS_TOGETHER / (len(place.samples) or 1) / place.window_bp / FINEST))


def schema_of(columns: tuple[str, ...], place: BatchPlace, *, kind: str, together: int) -> Any:
    """The pyarrow schema of a file; `kind` is `blocks` or `variants`, `together` the windows of a record batch."""
    fields = [pa.field("first", pa.int32()), pa.field("last", pa.int32())]
    fields += [pa.field(name, pa.list_(pa.field("item", pa.uint8(), nullable=False))) for name in columns]
    if kind == "variants":
        fields.append(pa.field("strings", pa.list_(pa.field("item", pa.binary(), nullable=False))))
    told = {
        "schema_version": str(SCHEMA_VERSION),
        "kind": kind,
        "contig": place.contig,
        "first": str(place.first),
        "last": str(place.last),
        "window_bp": str(place.window_bp),
        "windows_per_record_batch": str(together),
        "samples": json.dumps(place.samples, separators=(",", ":")),
    }
    return pa.schema(fields, metadata=told)


def place_in(schema: Any, *, kind: str, where: str) -> BatchPlace:
    """What the file's metadata say. Raises Rejected SCHEMA_VERSION, FORMAT_MISMATCH."""
    told = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    check_version(told.get("schema_version"), where=where)
    if told.get("kind") != kind:
        raise reject(
            code="FORMAT_MISMATCH",
            message=f"the file holds {told.get('kind')!r}, {kind} are asked for",
            where=where,
            rule="a batch has a file of blocks and one of variants",
            fix="restore the object from its copy, or import the samples again",
        )
    return BatchPlace(
        contig=told["contig"],
        first=int(told["first"]),
        last=int(told["last"]),
        window_bp=int(told["window_bp"]),
        samples=tuple(json.loads(told["samples"])),
    )


def together_in(schema: Any) -> int:
    """Windows of a record batch."""
    return int(schema.metadata[b"windows_per_record_batch"])


def check_version(found: object, *, where: str) -> None:
    """Raises Rejected SCHEMA_VERSION for any version but ours."""
    if str(found) != str(SCHEMA_VERSION):
        raise reject(
            code="SCHEMA_VERSION",
            message=f"it is written in version {found} of the columnar schema",
            where=where,
            rule=f"this release reads version {SCHEMA_VERSION}",
            fix="use the release that wrote it, or import the gVCFs again",
        )
