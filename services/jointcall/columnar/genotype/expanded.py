"""The dense VCF from genotypes left in columns and the reference blocks of the store: nothing is lost between the two.

Plain and slow, a cell at a time: it says what a block means where a sample has no row in `calls.parquet`. Whoever wants
a large dense VCF exports it from the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.jointcall.columnar.genotype.calls import CALLS_FILE, SITES_FILE
from services.jointcall.columnar.genotype.model import CONFIDENCE
from services.jointcall.columnar.genotype.numbers import fixed, general, quality
from services.jointcall.columnar.genotype.sites import TURNED_OUT, VARIANT
from services.jointcall.columnar.genotype.streaming import Member
from services.jointcall.columnar.tables import (
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    Blocks,
    Window,
)

ORDER = ("AD", "DP", "GQ", "PGT", "PID", "PL", "PS")
MEDIANS = ("BaseQRankSum", "ClippingRankSum", "MQRankSum", "ReadPosRankSum")

Row = Mapping[str, Any]
Cell = dict[str, str]
"""Text of each FORMAT field that is there."""


def records(folder: Path, members: Sequence[Member], *, contig: str, samples: int) -> Iterator[bytes]:
    """Records of one contig without their line ends. `members` are the batches that were called, of that contig.

    Sites are read row group by row group, windows as they come; calls of one row group of sites are held."""
    sites = pq.ParquetFile(str(folder / SITES_FILE))
    begin = 0
    blocks = _Covering(members, samples)
    for group in range(sites.num_row_groups):
        rows = sites.read_row_group(group).to_pylist()
        calls = pq.read_table(
            str(folder / CALLS_FILE), filters=(pc.field("site") >= begin) & (pc.field("site") < begin + len(rows))
        )
        firsts = np.searchsorted(calls["site"].to_numpy(), begin + np.arange(len(rows) + 1)).tolist()
        for at, site in enumerate(rows):
            if site["contig"] != contig:
                continue
            cells = blocks.cells(site)
            for call in calls.slice(firsts[at], firsts[at + 1] - firsts[at]).to_pylist():
                cells[call["sample"]] = cell_of_call(call, site)
            yield _line(site, cells)
        begin += len(rows)


def cell_of_call(call: Row, site: Row) -> Cell:
    """What stands in a sample's column, from its row in the calls."""
    bar = "|" if call["phased"] else "/"
    copies = [call["allele_1"], call["allele_2"]][: call["ploidy"]]
    out = {"GT": bar.join("." if one is None else str(one) for one in copies)}
    for name in ORDER:
        value = call[name.lower()]
        if value is not None:
            out[name] = ",".join(str(one) for one in value) if isinstance(value, list) else str(value)
    if site["kind"] != VARIANT and "GQ" in out:
        out["RGQ"] = out.pop("GQ")
    return out


def cell_of_block(blocks: Blocks, row: int, site: Row) -> Cell:
    """What stands in the column of a sample without a row in the calls, from the block that covers the site."""
    form = int(blocks.form[row])
    haploid = form & HAPLOID != 0
    gq = int(blocks.gq[row]) if form & HAS_GQ else None
    reads = int(blocks.dp[row]) if form & HAS_DP else None
    depth = int(blocks.min_dp[row]) if form & HAS_MIN_DP else reads
    likelihoods = [int(blocks.pl1[row])] if haploid else [int(blocks.pl1[row]), int(blocks.pl2[row])]
    if form & HAS_PL and sum(likelihoods) > 1:
        gq = gq or 0
    if site["kind"] != VARIANT:
        if site["kind"] == TURNED_OUT and depth is not None:
            depth = int(blocks.dp[row])
        out = {"GT": _both("0" if depth and gq else ".", haploid)}
        return out | {"DP": str(depth), "RGQ": str(gq)} if depth and gq is not None else out
    if form & HAS_GQ and gq == 0 and reads == 0:
        return {"GT": _both(".", haploid)}
    sure = gq or 0
    called = not form & NO_CALL
    if form & HAS_PL:
        sure = min(99, *likelihoods)
        called = True
    out = {"GT": _both("0" if called and sure >= 1 else ".", haploid)}
    alts = len(site["alts"])
    if depth:
        out["AD"] = ",".join([str(depth), *["0"] * alts])
    if depth is not None:
        out["DP"] = str(depth)
    if gq is not None:
        out["GQ"] = str(sure)
    if form & HAS_PL:
        # 0/k is 0/<NON_REF> for the block, and j/k is <NON_REF>/<NON_REF>
        of_alt = [[likelihoods[0], *([] if haploid else [likelihoods[1]] * k)] for k in range(1, alts + 1)]
        out["PL"] = ",".join(str(one) for one in [0, *(value for values in of_alt for value in values)])
    return out


def covering(blocks: Blocks, first: int, sample: int, position: int) -> int:
    """The row of the block of a window's sample that covers a base, -1 when none does. `first` base of the window."""
    begin, end = blocks.rows[sample], blocks.rows[sample + 1]
    gap, length = blocks.gap[begin:end].astype(np.int64), blocks.length[begin:end].astype(np.int64)
    last = first - 1 + np.cumsum(gap + length)
    at = int(np.searchsorted(last, position))
    return int(begin) + at if at < len(last) and last[at] - length[at] < position else -1


class _Covering:
    """Batches of a contig, with the window of each that was read last."""

    def __init__(self, members: Sequence[Member], samples: int) -> None:
        self._members, self._samples = members, samples
        self._windows = [member.reader.windows() for member in members]
        self._held: dict[int, Window] = {}

    def cells(self, site: Row) -> list[Cell]:
        out: list[Cell] = [{"GT": "."} for _ in range(self._samples)]
        for which, member in enumerate(self._members):
            window = self._window(which, site["position"])
            for sample, column in enumerate(member.columns.tolist()):
                if member.masked[sample]:
                    continue
                row = covering(window.blocks, window.first, sample, site["position"])
                if row >= 0:
                    out[column] = cell_of_block(window.blocks, row, site)
        return out

    def _window(self, which: int, position: int) -> Window:
        held = self._held.get(which)
        if held is None or not held.first <= position <= held.last:
            at = next(at for at, (first, last) in enumerate(self._windows[which]) if first <= position <= last)
            held = self._held[which] = self._members[which].reader.read(at)
        return held


def _short(value: float) -> float:
    """The shortest decimal that names a float of 32 bits."""
    return float(str(np.float32(value)))


def _both(allele: str, haploid: bool) -> str:
    return allele if haploid else f"{allele}/{allele}"


def _line(site: Row, cells: Sequence[Cell]) -> bytes:
    if site["kind"] == VARIANT:
        keys = ["GT", *(name for name in ORDER if any(name in cell for cell in cells))]
    else:
        keys = ["GT", "DP", "RGQ"] if site["DP"] else ["GT"]
    return "\t".join([_head(site), ":".join(keys), *(_column(cell, keys) for cell in cells)]).encode()


def _column(cell: Cell, keys: Sequence[str]) -> str:
    last = max(at for at, key in enumerate(keys) if key in cell)
    return ":".join(cell.get(key, ".") for key in keys[: last + 1])


def _head(site: Row) -> str:
    about = {name: general(_short(site[name])) for name in MEDIANS if site[name] is not None}
    if site["median_ExcessHet"] is not None:
        about["ExcessHet"] = general(_short(site["median_ExcessHet"]))
    if site["MQ0"] is not None:
        about["MQ0"] = str(int(site["MQ0"]))
    if site["MQ"] is not None:
        about["MQ"] = fixed(site["MQ"], 2)
    if site["kind"] != VARIANT:
        if site["DP"]:
            about["DP"] = str(site["DP"])
        if site["kind"] == TURNED_OUT:
            about |= {"MLEAC": ".", "MLEAF": "."}
    else:
        about |= {name: str(site[name]) for name in ("AN", "DP")}
        about |= {name: ",".join(str(one) for one in site[name]) for name in ("AC", "MLEAC")}
        about |= {name: ",".join(general(one) for one in site[name]) for name in ("AF", "MLEAF")}
        for name, digits in (("ExcessHet", 4), ("FS", 3), ("InbreedingCoeff", 4), ("QD", 2), ("SOR", 3)):
            if site[name] is not None:
                about[name] = fixed(site[name], digits)
    sure = site["qual"]
    columns = (
        site["contig"],
        str(site["position"]),
        ".",
        site["ref"],
        ",".join(site["alts"]) or ".",
        "." if sure is None else "Infinity" if sure == inf else quality(sure),
        "LowQual" if sure is not None and sure < CONFIDENCE else ".",
        ";".join(f"{key}={value}" for key, value in sorted(about.items())) or ".",
    )
    return "\t".join(columns)
